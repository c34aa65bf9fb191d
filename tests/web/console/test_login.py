"""Who gets into the console: password, sessions, cookies, forms and headers, seen from outside."""

import http.client
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.task import Clock
from twisted.web.http import Request
from twisted.web.test.requesthelper import DummyChannel

from tests.support.console import PASSWORD, Browser, ConsoleServer, hashed
from tests.support.daemon import eventually
from tests.support.tls import self_signed
from was_daemon.web.console.guard import Guard, Visit
from was_daemon.web.console.login import Login
from was_daemon.web.console.visitors import ConsoleRules, Visitor

PAGES = ("", "failures/", "work/", "findings/")


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleServer]:
    console = ConsoleServer(tmp_path_factory.mktemp("console")).start()
    yield console
    console.daemon.stop()


def wrong(browser: Browser, number: int) -> list[int]:
    token = browser.get("login").token
    return [browser.post("login", {"password": f"wrong {each}", "csrf": token}).status for each in range(number)]


# -- the login ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_a_page_without_a_login_leads_to_the_login_and_back(console: ConsoleServer, page: str) -> None:
    browser = console.browser()
    answer = browser.get(page)
    assert answer.status == 303
    assert "Overview" not in answer.text
    assert browser.get(page).headers["Location"] == ("../" if page else "./") + (
        f"login?next={page.replace('/', '%2F')}" if page else "login"
    )
    logged_in = browser.log_in(next_page=page)
    assert (logged_in.status, logged_in.headers["Location"]) == (303, page or "./")
    assert browser.get(page).status == 200


def test_the_addresses_of_the_endpoint_and_of_the_console_lead_to_it(console: ConsoleServer) -> None:
    browser = console.browser()
    for path in ("/", "/console"):
        answer = browser.send("GET", path, b"", {})
        assert (answer.status, answer.headers["Location"]) == (303, "console/")


def test_a_wrong_password_is_refused(console: ConsoleServer) -> None:
    browser = console.browser()
    answer = browser.log_in("Correct horse battery staple")
    assert answer.status == 403
    assert "This is not the password." in answer.text
    assert browser.get("").status == 303
    browser.log_in()


def test_after_five_wrong_passwords_one_has_to_wait_even_with_the_right_one(tmp_path: Path) -> None:
    console = ConsoleServer(tmp_path / "guessed").start()
    try:
        browser = console.browser()
        assert wrong(browser, 6) == [403] * 5 + [429]
        answer = browser.log_in()
        assert answer.status == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 2
        assert re.search(r"wait [12] seconds", answer.text)
        eventually(lambda: browser.log_in().status == 303, "for the wait to be over")
    finally:
        console.daemon.stop()


def test_the_cookie_is_for_no_script_and_no_other_site_and_for_https_alone_where_that_is_used(
    console: ConsoleServer,
) -> None:
    (cookie,) = console.browser().log_in().cookies
    name, *attributes = cookie.split("; ")
    assert name.startswith(f"was_console_{console.port}=")
    assert sorted(each.lower() for each in attributes) == ["httponly", "path=/", "samesite=strict"]


def test_a_login_begins_a_session_with_another_cookie_than_the_form_came_with(console: ConsoleServer) -> None:
    browser = console.browser()
    browser.get("login")
    before = dict(browser.cookies)
    browser.log_in()
    assert browser.cookies != before


def test_a_logout_ends_the_session_and_not_only_the_cookie(console: ConsoleServer) -> None:
    browser = console.visitor()
    page = browser.get("")
    kept = dict(browser.cookies)
    answer = browser.post("logout", {"csrf": page.token})
    assert (answer.status, answer.headers["Location"]) == (303, "login")
    assert "Max-Age=0" in answer.cookies[0]
    browser.cookies = kept
    assert browser.get("").status == 303


def test_an_invented_cookie_is_no_session(console: ConsoleServer) -> None:
    browser = console.browser()
    browser.cookies[f"was_console_{console.port}"] = "0" * 43
    assert browser.get("").status == 303


@pytest.mark.parametrize(
    ("is_readable", "sentence"), [(False, "cannot read the file of the password"), (True, "No password is set")]
)
@pytest_twisted.ensureDeferred
async def test_why_nobody_can_log_in_is_told(is_readable: bool, sentence: str) -> None:
    async def password() -> None:
        if not is_readable:
            raise PermissionError

    login = Login(Guard(password, ConsoleRules, Clock()))
    visitor = Visitor(address="127.0.0.1", needs_password=True, is_secure=False)
    page = await login.page(Visit(Request(DummyChannel(), False), visitor, "./", "", ""), "./")
    assert page.status == 403
    assert sentence in page.content


@pytest.mark.slow
def test_a_new_password_ends_all_sessions_without_a_reload(tmp_path: Path) -> None:
    console = ConsoleServer(tmp_path / "changed").start()
    try:
        browser = console.visitor()
        console.password_file.write_text(hashed("another password"))
        eventually(lambda: browser.get("").status == 303, "for the new password to be seen")
        assert console.browser().log_in(PASSWORD).status == 403
        assert console.browser().log_in("another password").status == 303
        console.password_file.unlink()
        eventually(lambda: console.browser().get("login").status == 403, "for the lack of a password to be seen")
        assert "was-daemon console-password" in console.browser().get("login").text
    finally:
        console.daemon.stop()


# -- forms -------------------------------------------------------------------------------------------------------------


def test_a_form_without_its_token_or_with_that_of_another_browser_is_refused(console: ConsoleServer) -> None:
    browser, other = console.visitor(), console.visitor()
    for fields in ({}, {"csrf": ""}, {"csrf": "é"}, {"csrf": other.get("").token}):
        assert browser.post("logout", fields).status == 403
    assert browser.get("").status == 200


def test_the_login_itself_needs_the_token_of_its_form(console: ConsoleServer) -> None:
    browser = console.browser()
    browser.get("login")
    assert browser.post("login", {"password": PASSWORD}).status == 403
    assert console.browser().post("login", {"password": PASSWORD, "csrf": browser.get("login").token}).status == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://localhost.evil.example"])
def test_a_form_that_another_site_has_sent_is_refused(console: ConsoleServer, origin: str) -> None:
    browser = console.visitor()
    token = browser.get("").token
    assert browser.post("logout", {"csrf": token}, origin=origin).status == 403
    assert browser.post("logout", {"csrf": token}, origin=None, **{"Sec-Fetch-Site": "cross-site"}).status == 403
    assert browser.post("logout", {"csrf": token}, origin=None).status == 303


def test_a_large_form_ends_the_connection(console: ConsoleServer) -> None:
    browser = console.browser()
    with pytest.raises(OSError):
        browser.post("login", {"password": "a" * 2_000_000})
    assert console.browser().get("login").status == 200


def test_a_page_after_the_login_is_one_of_the_console(console: ConsoleServer) -> None:
    for asked in (
        "//evil.example/",
        "https://evil.example",
        "/metrics",
        "../metrics",
        "javascript:alert(1)",
        "a\r\nb: c",
    ):
        browser = console.browser()
        token = browser.get("login").token
        answer = browser.post("login", {"password": PASSWORD, "csrf": token, "next": asked})
        assert (answer.status, answer.headers["Location"]) == (303, "./")


# -- headers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "login", "nothing", "work", "static/0/console.css"])
def test_every_answer_forbids_scripts_and_frames_of_others(console: ConsoleServer, path: str) -> None:
    answer = console.browser().get(path)
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert "form-action 'self'" in policy and "base-uri 'none'" in policy
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    # With "no-referrer" browsers would send `Origin: null`.
    assert answer.headers["Referrer-Policy"] == "same-origin"


def test_no_page_has_a_script_or_a_style_in_it(console: ConsoleServer) -> None:
    browser = console.visitor()
    for page in (*PAGES, "login", "nothing"):
        text = browser.get(page).text
        assert not re.search(r"<style|style=|<script(?! type=\"module\" src=)|\son[a-z]+=|javascript:", text), page


def test_what_machines_ask_needs_no_login(console: ConsoleServer) -> None:
    browser = console.browser()
    assert [browser.send("GET", path, b"", {}).status for path in ("/healthz", "/metrics", "/assets")] == [
        200,
        200,
        404,
    ]


def test_nothing_of_it_is_on_the_public_port(console: ConsoleServer) -> None:
    browser = Browser(console.daemon.port)
    for path in ("/console", "/console/", "/console/login"):
        assert browser.send("GET", path, b"", {}).status == 404


def test_neither_password_nor_hash_is_in_the_log(console: ConsoleServer) -> None:
    console.visitor()
    assert PASSWORD not in console.daemon.log()
    assert hashed().rpartition("$")[2] not in console.daemon.log()


# -- https and proxies -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_where_a_browser_comes_by_https_the_cookie_is_for_that_alone(tmp_path: Path) -> None:
    url = "https://console.example.org"
    console = ConsoleServer(tmp_path / "https", {"admin": {"public_url": url}}).start()
    try:
        # The proxy names another host, as nginx does by default.
        browser = console.browser(host="127.0.0.1:9180")
        token = browser.get("login").token
        assert browser.post("login", {"password": PASSWORD, "csrf": token}, origin="http://evil.example").status == 403
        answer = browser.post("login", {"password": PASSWORD, "csrf": token}, origin=url)
        assert answer.status == 303
        assert answer.cookies[0].startswith("__Host-was_console_9180=")
        assert "secure" in answer.cookies[0].lower()
    finally:
        console.daemon.stop()


@pytest.mark.slow
def test_with_tls_in_the_daemon_the_cookie_is_for_https_alone(tmp_path: Path) -> None:
    console = ConsoleServer(tmp_path / "tls")
    certificate = self_signed(tmp_path)
    endpoint = f"ssl:{console.port}:interface=127.0.0.1:privateKey={certificate}:certKey={certificate}"
    console.daemon.write_config({"server": {"admin_listen": [endpoint]}, "admin": {"history": console.history}})
    console.start()
    try:
        trusting = ssl.create_default_context(cafile=str(certificate))
        connection = http.client.HTTPSConnection("localhost", console.port, context=trusting)
        connection.request("GET", "/console/login")
        cookie = connection.getresponse().headers["Set-Cookie"]
        connection.close()
        assert cookie.startswith(f"__Host-was_console_{console.port}=")
        assert "; Secure" in cookie
    finally:
        console.daemon.stop()


@pytest.mark.slow
def test_a_trusted_proxy_tells_of_https_and_of_addresses(tmp_path: Path) -> None:
    console = ConsoleServer(tmp_path / "proxied", {"server": {"trusted_proxies": ["127.0.0.1"]}}).start()
    try:
        browser = console.browser()
        assert "secure" in browser.get("login", **{"X-Forwarded-Proto": "https"}).cookies[0].lower()
        token = browser.get("login").token
        for number in range(6):
            answer = browser.post("login", {"password": "x", "csrf": token}, **{"X-Forwarded-For": "192.0.2.7"})
            assert answer.status == (429 if number == 5 else 403)
        # Somebody else does not wait for them.
        assert (
            browser.post("login", {"password": PASSWORD, "csrf": token}, **{"X-Forwarded-For": "192.0.2.8"}).status
            == 303
        )
    finally:
        console.daemon.stop()


# -- Unix sockets ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Unix socket of a console without a password."""
    directory = tmp_path_factory.mktemp("local")
    socket = directory / "admin"
    console = ConsoleServer(directory / "daemon")
    console.daemon.write_config({"server": {"admin_listen": [f"unix:{socket}"]}, "admin": {"history": console.history}})
    console.start()
    yield socket
    console.daemon.stop()


def test_on_a_unix_socket_the_users_own_processes_need_no_password(local: Path) -> None:
    browser = Browser(local, host="localhost")
    page = browser.get("")
    assert page.status == 200
    # There is nothing to log out of, but forms have their tokens.
    assert "Log out" not in page.text
    assert browser.post("logout", {}).status == 403
    assert Browser(local, host="[::1]:9180").get("").status == 200


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("evil.example", {}),
        ("localhost.evil.example:9180", {}),
        ("localhost", {"X-Forwarded-For": "192.0.2.7"}),
        ("localhost", {"X-Was-Visitor": "0 1 192.0.2.7"}),
    ],
)
def test_who_comes_over_it_by_another_name_or_by_a_proxy_needs_one(
    local: Path, host: str, headers: dict[str, str]
) -> None:
    assert Browser(local, host=host).get("", **headers).status == 303


def test_a_client_cannot_say_itself_that_it_needs_no_password(console: ConsoleServer) -> None:
    assert console.browser().get("", **{"X-Was-Visitor": "0 0 127.0.0.1"}).status == 303
