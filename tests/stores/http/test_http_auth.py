"""Logging in to HTTP servers, by the examples of RFC 7616 and 7617."""

import re

import pytest

from was_daemon.stores.http import auth as http_auth
from was_daemon.stores.http.auth import FixedLogin, PasswordLogin, parse_challenges

NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
CHALLENGE = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    f'nonce="{NONCE}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


@pytest.mark.parametrize(
    ("algorithms", "response"),
    [
        (["MD5"], "8ca523f5e9506fed4657c9700eebdbec"),
        (["SHA-256"], "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        (["MD5", "SHA-256"], "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        (["SHA-512-256", "MD5"], "8ca523f5e9506fed4657c9700eebdbec"),
    ],
)
def test_the_examples_of_rfc_7616(monkeypatch: pytest.MonkeyPatch, algorithms: list[str], response: str) -> None:
    monkeypatch.setattr(http_auth.secrets, "token_hex", lambda _size: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    login = PasswordLogin("Mufasa", "Circle of Life")
    assert login.authorise("GET", "/dir/index.html") is None
    assert login.challenged([CHALLENGE.format(algorithm) for algorithm in algorithms], None)
    header = login.authorise("GET", "/dir/index.html")
    assert header is not None
    assert f'response="{response}"' in header
    assert "nc=00000001" in header
    assert "nc=00000002" in (login.authorise("GET", "/dir/index.html") or "")


def test_an_old_nonce_is_a_reason_to_try_again_and_a_wrong_password_is_not() -> None:
    login = PasswordLogin("u", "p")
    login.challenged([CHALLENGE.format("MD5")], None)
    sent = login.authorise("GET", "/")
    assert not login.challenged([CHALLENGE.format("MD5")], sent)
    assert login.challenged([CHALLENGE.format("MD5").replace(NONCE, "another")], sent)
    assert "nc=00000001" in (login.authorise("GET", "/") or "")


def test_basic_is_tried_once_and_only_when_there_is_nothing_better() -> None:
    login = PasswordLogin("Aladdin", "open sesame")
    assert login.challenged(['Negotiate, Basic realm="x"'], None)
    assert login.authorise("GET", "/") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert not login.challenged(['Basic realm="x"'], login.authorise("GET", "/"))
    assert login.challenged(['Basic realm="x"', CHALLENGE.format("MD5")], login.authorise("GET", "/"))
    assert (login.authorise("GET", "/") or "").startswith("Digest ")
    assert not PasswordLogin("u", "p").challenged(["Negotiate", 'Digest realm="x", nonce="y", qop="auth-int"'], None)


def test_a_token_is_sent_at_once_and_never_twice() -> None:
    login = FixedLogin("Bearer sesame")
    assert login.authorise("GET", "/") == "Bearer sesame"
    assert not login.challenged(["Bearer"], None)
    assert "sesame" not in repr(login)


def test_a_digest_of_the_old_kind_and_names_that_need_escaping() -> None:
    login = PasswordLogin('back\\slash "quoted"', "p")
    login.challenged(['Digest realm="r", nonce="n"'], None)
    header = login.authorise("PUT", "/") or ""
    assert r'username="back\\slash \"quoted\""' in header
    assert re.search(r"\b(qop|nc|cnonce|algorithm|opaque)=", header) is None


def test_challenges_are_taken_apart() -> None:
    assert parse_challenges(['Basic realm="a, b=c", charset="UTF-8", Digest realm=x, nonce="q\\"q"', "NTLM", ""]) == [
        ("basic", {"realm": "a, b=c", "charset": "UTF-8"}),
        ("digest", {"realm": "x", "nonce": 'q"q'}),
        ("ntlm", {}),
    ]


def test_a_server_that_names_no_scheme_gets_the_password_where_that_was_allowed() -> None:
    assert not PasswordLogin("u", "p").challenged([], None)
    login = PasswordLogin("Aladdin", "open sesame", unasked=True)
    assert login.authorise("GET", "/") is None
    assert login.challenged([], None)
    assert login.authorise("GET", "/") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert not login.challenged([], login.authorise("GET", "/"))
    assert not PasswordLogin("u", "p", unasked=True).challenged(["Negotiate"], None)
