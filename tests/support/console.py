"""The console of a daemon under test, as a browser without scripts uses it."""

import base64
import hashlib
import http.client
import re
import socket
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

import attrs

from tests.support.daemon import Daemon
from tests.support.ports import free_port

PASSWORD = "correct horse battery staple"
HASH_PARAMETERS = (2, 1, 1)
"""Those of scrypt that take no time."""


def hashed(password: str = PASSWORD) -> str:
    """The line of a password file."""
    cost, size, parallel = HASH_PARAMETERS
    salt = b"0123456789abcdef"
    digest = hashlib.scrypt(password.encode(), salt=salt, n=cost, r=size, p=parallel, dklen=32)
    return f"scrypt${cost}${size}${parallel}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


@attrs.frozen
class Answer:
    """An answer of the console."""

    status: int
    headers: Mapping[str, str]
    cookies: list[str]
    body: bytes = attrs.field(repr=lambda body: repr(body[:500]))

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def token(self) -> str:
        """The token of the first form on the page."""
        found = re.search('name="csrf" value="([^"]+)"', self.text)
        assert found, self.text
        return found[1]


def beside(path: str, address: str) -> str:
    """The path below the console of an address that is on the page at `path`."""
    return urljoin(f"/console/{path}", address).removeprefix("/console/")


class _Connection(http.client.HTTPConnection):
    """A connection to a port of this machine, or to a Unix socket."""

    def __init__(self, at: int | Path) -> None:
        super().__init__("127.0.0.1", at if isinstance(at, int) else 80, timeout=60)
        self._at = at

    def connect(self) -> None:
        """Connect."""
        if isinstance(self._at, int):
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(self._at))


class Browser:
    """Keeps the cookies of one server, and sends forms as browsers do; `at` is its port or Unix socket."""

    def __init__(self, at: int | Path, host: str = "") -> None:
        self._at = at
        self.host = host or f"localhost:{at if isinstance(at, int) else 80}"
        self.cookies: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> Answer:
        """Ask for a page; `path` is below the console."""
        return self.send("GET", f"/console/{path}".partition("#")[0], b"", headers)

    def post(self, path: str, fields: Mapping[str, str], origin: str | None = "", **headers: str) -> Answer:
        """Send a form; its origin is this server's own unless another one is given, or None."""
        origins = {} if origin is None else {"Origin": origin or f"http://{self.host}"}
        sent = {"Content-Type": "application/x-www-form-urlencoded", **origins, **headers}
        return self.send("POST", f"/console/{path}", urlencode(fields).encode(), sent)

    def send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a request."""
        connection = _Connection(self._at)
        try:
            cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
            own = {"Host": self.host, **(cookies if self.cookies else {})}
            connection.request(method, path, body or None, {**own, **headers})
            response = connection.getresponse()
            content = response.read()
            set_cookies = response.headers.get_all("Set-Cookie") or []
        finally:
            connection.close()
        for each in set_cookies:
            name, _, value = each.partition(";")[0].partition("=")
            self.cookies[name] = value
        return Answer(response.status, response.headers, set_cookies, content)

    def submit(self, path: str, form: str, **fields: str) -> Answer:
        """Fill in a form of a page, and send it; `form` is a part of its HTML that no other form there has."""
        [found] = [each for each in re.findall("<form.*?</form>", self.get(path).text, re.DOTALL) if form in each]
        action = re.search('action="([^"]*)"', found)
        assert action, found
        hidden = re.findall('<input type="hidden" name="([^"]*)" value="([^"]*)">', found)
        given = {unescape(name): unescape(value) for name, value in hidden}
        return self.post(beside(path, unescape(action[1])), {**given, **fields})

    def log_in(self, password: str = PASSWORD, next_page: str = "") -> Answer:
        """Send the form of the login."""
        token = self.get(f"login?next={next_page}").token
        return self.post("login", {"password": password, "csrf": token, "next": next_page})


class ConsoleServer:
    """A daemon with a console; `config` adds to its configuration, section by section."""

    def __init__(self, directory: Path, config: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.password_file = directory / "console-password"
        self.password_file.write_text(hashed() + "\n")
        self.password_file.chmod(0o600)
        self.history = directory / "history"
        config = config or {}
        own = {
            "server": {"admin_listen": [f"tcp:{self.port}:interface=127.0.0.1"]},
            "admin": {"password_file": self.password_file, "history": self.history},
        }
        sections = {name: {**own.get(name, {}), **config.get(name, {})} for name in [*own, *config]}
        self.daemon = Daemon(directory, sections)

    def start(self) -> "ConsoleServer":
        """Start the daemon."""
        self.daemon.start()
        return self

    def browser(self, host: str = "") -> Browser:
        """A browser that has not been here."""
        return Browser(self.port, host)

    def visitor(self) -> Browser:
        """A browser that is logged in."""
        browser = self.browser()
        assert browser.log_in().status == 303
        return browser
