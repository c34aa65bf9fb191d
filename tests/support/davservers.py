"""Real WebDAV servers on free ports of 127.0.0.1, with generated configurations in temporary directories."""

import hashlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import pytest
from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.support.needs import lacking
from tests.support.ports import await_free, free_port
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import IAssetStore
from was_daemon.testing.contract import original
from was_daemon.testing.streams import payload

KEY = original("asset.bin")
SMALL = b"small"
LARGE = payload(3_000_000)
"""More than the store reads ahead: it is sent chunked, and cannot be sent twice."""

USER, PASSWORD, REALM = "specify", "pass: wörd", "assets"

NGINX = "/usr/sbin/nginx"
NGINX_MODULES = Path("/usr/lib/nginx/modules")
APACHE = "/usr/sbin/apache2"
APACHE_MODULES = Path("/usr/lib/apache2/modules")
PHP = "/usr/bin/php"
SABRE = Path("/usr/share/php/Sabre/autoload.php")


def require(*paths: str | Path) -> None:
    """Skip the test when a server is not installed; under CI that is a failure."""
    missing = [str(path) for path in paths if not Path(path).exists()]
    if missing:
        lacking(f"not installed: {', '.join(missing)}")


@attrs.define
class DavServer:
    """A server that serves `root`; `command` is told the port, the directory for its own files, and `root`."""

    command: Callable[[int, Path, Path], list[str]]
    scheme: str = "http"
    port: int = attrs.field(factory=free_port)
    home: Path = attrs.field(factory=lambda: Path(tempfile.mkdtemp(prefix="was-dav-")))
    _process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> Path:
        """The directory that the server shows as /."""
        return self.home / "files"

    @property
    def url(self) -> str:
        host = "localhost" if self.scheme == "https" else "127.0.0.1"
        return f"{self.scheme}://{host}:{self.port}/"

    def start(self) -> "DavServer":
        """Start the server and wait until it listens."""
        self.root.mkdir(exist_ok=True)
        # Servers that are started as root serve as another user, who must get at the files.
        self.home.chmod(0o755)
        self.root.chmod(0o777)
        with (self.home / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(self.port, self.home, self.root), stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    pytest.fail((self.home / "output.log").read_text())
                time.sleep(0.02)

    def empty(self) -> None:
        """Remove everything that is served."""
        for path in self.root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def kill(self) -> None:
        """End the server and all its processes at once, as a power cut would."""
        if self._process:
            self.signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
            # Its children are not waited for, and listen until the last of their threads has ended.
            await_free(self.port)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes of the server."""
        assert self._process
        os.killpg(self._process.pid, number)

    def remove(self) -> None:
        """End the server and remove its files."""
        self.kill()
        shutil.rmtree(self.home)


def nginx(methods: str = "PUT DELETE MKCOL COPY MOVE", propfind: str = "PROPFIND", extra: str = "") -> DavServer:
    """nginx with its dav module; `propfind` may be "off", `extra` goes into its location."""
    require(NGINX, NGINX_MODULES / "ngx_http_dav_ext_module.so")

    def command(port: int, home: Path, root: Path) -> list[str]:
        (home / "nginx.conf").write_text(f"""
            load_module {NGINX_MODULES}/ngx_http_dav_ext_module.so;
            daemon off; worker_processes 2; pid {home}/pid; error_log {home}/error.log;
            {f"user {_me()};" if os.geteuid() == 0 else ""}
            events {{ }}
            http {{
                access_log off; client_max_body_size 0; keepalive_requests 100000; default_type image/jpeg;
                client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
                uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
                server {{
                    listen 127.0.0.1:{port}; root {root};
                    location / {{ dav_methods {methods}; dav_ext_methods {propfind}; {extra} }}
                }}
            }}
        """)
        return [NGINX, "-e", str(home / "error.log"), "-c", str(home / "nginx.conf")]

    return DavServer(command)


def apache(login: str = "", certificate: Path | None = None, extra: str = "") -> DavServer:
    """Apache with mod_dav; `login` is "", "Basic" or "Digest", `extra` goes into its directory section."""
    require(APACHE, APACHE_MODULES / "mod_dav.so", APACHE_MODULES / "mod_dav_fs.so")
    names = "mpm_event authn_core authn_file authz_core authz_user auth_basic auth_digest dav dav_fs ssl"
    loads = "\n".join(f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so" for name in names.split(" "))

    def command(port: int, home: Path, root: Path) -> list[str]:
        (home / "Digest").write_text(f"{USER}:{REALM}:{_md5(f'{USER}:{REALM}:{PASSWORD}')}\n")
        (home / "Basic").write_text(f"{USER}:{_apr1(PASSWORD)}\n")
        required = f"""
            AuthType {login}
            AuthName {REALM}
            AuthUserFile {home}/{login}
            Auth{login}Provider file
            Require valid-user
        """
        (home / "apache.conf").write_text(f"""
            {loads}
            ServerName localhost
            Listen 127.0.0.1:{port}
            PidFile {home}/pid
            ErrorLog {home}/error.log
            DefaultRuntimeDir {home}
            DocumentRoot {root}
            DavLockDB {home}/locks
            MaxKeepAliveRequests 0
            {"User daemon" if os.geteuid() == 0 else ""}
            {f"SSLEngine on{os.linesep}SSLCertificateFile {certificate}" if certificate else ""}
            <Directory {root}>
                Dav On
                {required if login else "Require all granted"}
                {extra}
            </Directory>
        """)
        return [APACHE, "-d", str(home), "-f", str(home / "apache.conf"), "-D", "FOREGROUND"]

    return DavServer(command, "https" if certificate else "http")


def wsgidav(login: str = "") -> DavServer:
    """wsgidav on cheroot; `login` is "", "Basic" or "Digest"."""

    def command(port: int, home: Path, root: Path) -> list[str]:
        return [sys.executable, "-c", _WSGIDAV, str(root), str(port), login, USER, PASSWORD]

    return DavServer(command)


def sabre(nodes: str = "FSExt") -> DavServer:
    """sabre/dav, the engine of Nextcloud and ownCloud, on PHP's own server; `nodes` is "FS" for files without ETags."""
    require(PHP, SABRE)

    def command(port: int, home: Path, root: Path) -> list[str]:
        (home / "server.php").write_text(f"""<?php
            require '{SABRE}';
            $server = new Sabre\\DAV\\Server(new Sabre\\DAV\\{nodes}\\Directory('{root}'));
            $server->setBaseUri('/');
            $server->exec();
        """)
        settings = ["-d", "display_errors=0", "-d", "memory_limit=512M"]
        server = [PHP, *settings, "-S", f"127.0.0.1:{port}", "-t", str(home), str(home / "server.php")]
        return ["env", "PHP_CLI_SERVER_WORKERS=8", *server]

    return DavServer(command)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what the store or the server does in its own time."""
    for _ in range(3000):
        if condition():
            return
        await deferLater(reactor, 0.02)
    pytest.fail("it did not happen within a minute")


Serve = Callable[[DavServer], DavServer]
MakeStore = Callable[..., IAssetStore]


async def message(awaitable: Awaitable[object], expected: type[AssetError]) -> str:
    """The message of the error, which tells a client nothing about the server."""
    with pytest.raises(expected) as caught:
        await awaitable
    text = str(caught.value)
    assert text
    assert not any(secret in text for secret in ("http", "localhost", "127.0.0.1", USER, PASSWORD, "\n", "asset.bin"))
    return text


_WSGIDAV = """
import sys
from cheroot.wsgi import Server
from wsgidav.wsgidav_app import WsgiDAVApp

root, port, login, user, password = sys.argv[1:]
app = WsgiDAVApp({
    "provider_mapping": {"/": root},
    "simple_dc": {"user_mapping": {"*": {user: {"password": password}} if login else True}},
    "http_authenticator": {
        "accept_basic": login == "Basic",
        "accept_digest": login == "Digest",
        "default_to_digest": login == "Digest",
    },
    "verbose": 1,
})
Server(("127.0.0.1", int(port)), app, numthreads=24, request_queue_size=64).start()
"""


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def _apr1(password: str) -> str:
    command = ["openssl", "passwd", "-apr1", "-stdin"]
    return subprocess.run(command, input=password.encode(), capture_output=True, check=True).stdout.decode().strip()


def _me() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name
