"""The configuration of collections with keys and quotas of their own, and of redirects."""

from pathlib import Path

import pytest

from tests.config.test_config import MAIN, SECRET, SMALLEST, keys_of, mistakes_of, settings_of, with_server, with_store
from was_daemon.model.redirect import Redirect

OTHER = "another secret"
NO_KEY = MAIN + "[collections]\nmode = 'map'\n"
MAP = SMALLEST + "[collections]\nmode = 'map'\n"


def collection(name: str, more: str = "", directory: str | None = None) -> str:
    return f"map.{name} = {{ directory = '{directory or name}'{', ' if more else ''}{more} }}\n"


def test_a_collection_has_the_key_in_its_file_and_its_quota(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{OTHER}\n")
    text = MAP + "recount = 600\n" + collection("a", "key_file = 'key', quota = '500 GiB'") + collection("b")
    settings = settings_of(tmp_path, text)
    first, second = settings.collections.map.values()
    assert (first.key, first.quota, settings.collections.recount) == (OTHER, 500 << 30, 600)
    assert (second.key, second.quota) == (None, None)
    assert OTHER not in repr(settings)


def test_with_keys_of_all_collections_the_server_needs_none(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, NO_KEY + collection("a", "key = 'a'") + collection("b", "key = 'b'"))
    assert settings.server.key is None
    assert settings.key_source == "each collection's own"
    one = NO_KEY + collection("a", "key = 'a'") + collection("b")
    assert keys_of(mistakes_of(tmp_path, one)) == ["server.key"]
    assert settings_of(tmp_path, one, {"ATTACHMENT_KEY": "c"}).server.key == "c"


@pytest.mark.parametrize(
    ("more", "key", "reason"),
    [
        ("key = 'a', key_file = 'key'", "collections.map.a.key", "exclude each other"),
        ("key = ''", "collections.map.a.key", "is empty"),
        ("key_file = 'empty'", "collections.map.a.key_file", "is empty"),
        ("key_file = 'missing'", "collections.map.a.key_file", "no such file"),
        ("key_file = 'bytes'", "collections.map.a.key_file", "not a text"),
        ("key_file = 'open'", "collections.map.a.key_file", "chmod go-w"),
        (f"key = ['{SECRET}']", "collections.map.a.key", "expected a text"),
        ("key = 'a', quota = 'much'", "collections.map.a.quota", '"much"'),
    ],
)
def test_a_mistake_in_a_collection_is_reported_with_its_key(tmp_path: Path, more: str, key: str, reason: str) -> None:
    for name, content in (("key", b"b"), ("empty", b"\n"), ("bytes", b"\xff"), ("open", b"b")):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "open").chmod(0o666)
    (mistake,) = mistakes_of(tmp_path, NO_KEY + collection("a", more))
    assert mistake.startswith(f"{key}: ")
    assert reason in mistake
    assert SECRET not in mistake


def test_a_key_in_the_configuration_makes_it_a_secret(tmp_path: Path) -> None:
    text = NO_KEY + collection("a", f"key = '{SECRET}'")
    settings_of(tmp_path, text)
    (tmp_path / "was.toml").chmod(0o666)
    assert keys_of(mistakes_of(tmp_path, text)) == ["collections.map.a.key"]


@pytest.mark.parametrize(("one", "other"), [("key = 'a'", ""), ("key = 'a'", "key = 'b'"), ("quota = 1", "quota = 2")])
def test_collections_in_one_directory_have_one_key_and_one_quota(tmp_path: Path, one: str, other: str) -> None:
    shared = [collection("a", one, "same"), collection("b", other, "same")]
    assert keys_of(mistakes_of(tmp_path, MAP + "".join(shared))) == ["collections.map.b.directory"]
    settings_of(tmp_path, MAP + collection("a", one, "same") + collection("b", one, "same"))
    settings_of(tmp_path, MAP + collection("a", one) + collection("b", other))


def test_the_servers_key_is_a_key_like_another(tmp_path: Path) -> None:
    settings_of(tmp_path, MAP + collection("a", "key = 'a key'", "same") + collection("b", "", "same"))


@pytest.mark.parametrize(
    ("line", "redirect"),
    [
        ("", None),
        ("redirect = false", None),
        ("redirect = true", Redirect.PRESIGNED),
        ('redirect = "presigned"', Redirect.PRESIGNED),
        ('redirect = "nginx"', Redirect.NGINX),
    ],
)
def test_a_store_says_who_sends_its_files(tmp_path: Path, line: str, redirect: Redirect | None) -> None:
    store = settings_of(tmp_path, with_store(line)).stores["main"]
    assert (store.redirect, store.redirect_thumbnails) == (redirect, False)
    if redirect:
        assert (
            settings_of(tmp_path, with_store(f"{line}\nredirect_thumbnails = true")).stores["main"].redirect_thumbnails
        )


@pytest.mark.parametrize("value", ["1", "0", "'apache'", "['nginx']", "{}", "''"])
def test_a_redirect_that_is_none_is_a_mistake(tmp_path: Path, value: str) -> None:
    text = with_store(f"redirect = {value}\nredirect_thumbnails = true")
    assert keys_of(mistakes_of(tmp_path, text)) == ["stores.main.redirect"]


@pytest.mark.parametrize("lines", ["redirect_thumbnails = true", "redirect = true\nredirect_thumbnails = 1"])
def test_thumbnails_are_redirected_by_a_store_that_redirects(tmp_path: Path, lines: str) -> None:
    assert keys_of(mistakes_of(tmp_path, with_store(lines))) == ["stores.main.redirect_thumbnails"]


@pytest.mark.parametrize("location", ["", "/", "was-files", "/was-files/", "/was files", "/a//b", "/a;b"])
def test_a_location_of_nginx_is_a_plain_path(tmp_path: Path, location: str) -> None:
    assert keys_of(mistakes_of(tmp_path, with_server(f"nginx_location = '{location}'"))) == ["server.nginx_location"]


def test_files_for_an_nginx_that_is_not_trusted_are_warned_of(tmp_path: Path) -> None:
    line = 'redirect = "nginx"'
    assert any("trusted_proxies" in warning for warning in settings_of(tmp_path, with_store(line)).warnings)
    for server in ('trusted_proxies = ["127.0.0.1"]', 'listen = ["unix:/run/was"]'):
        text = with_server(server) + f"{line}\n"
        assert not any('"nginx" does nothing' in warning for warning in settings_of(tmp_path, text).warnings)
