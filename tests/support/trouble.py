"""What goes wrong with an asset server, provoked: the messages that an administrator reads then."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.support import images, pdfs
from tests.support.cli import run, write_config
from tests.support.client import Client
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.davservers import NGINX, require
from tests.support.needs import require_reach
from tests.support.ports import free_port
from tests.support.tls import self_signed
from was_daemon.config.load import load
from was_daemon.daemon.warnings import warnings
from was_daemon.workers.sandbox import landlock

_DAY = timedelta(days=1)
_NOBODY = 65534
_KINDS = ("read", "write", "delete", "getmetadata", "testkey")

SOON_IN_TROUBLE = {
    "server": {"max_upload": "1 MiB"},
    "thumbnails": {"max_pixels": 500_000},
    "collections": {"mode": "map", "map": {"Fish": {"directory": ""}}},
}
"""A configuration whose limits are soon reached."""


class Trouble:
    """Ways into trouble: each method returns what is said then.

    `daemon` has the configuration `SOON_IN_TROUBLE`; `place` is a directory that every user can reach.
    """

    def __init__(self, daemon: Daemon, directory: Path, place: Path) -> None:
        self._daemon = daemon
        self._client = Client(daemon.url, KEY)
        self._directory = directory
        self._place = place

    async def wrong_key(self) -> str:
        return await self._refused(Client(self._daemon.url, "another key").token("a.jpg"))

    async def wrong_clock(self) -> str:
        return await self._refused(self._client.token("a.jpg", int(time.time()) - 3600))

    async def token_missing(self) -> str:
        return await self._refused("")

    async def _refused(self, token: str) -> str:
        answer = await self._client.upload_like_specify7("a.jpg", b"a", coll="Fish", token=token)
        assert answer.status == 403
        found = eventually(lambda: self._line(answer.headers["X-Request-Id"]), "for the line in the log")
        return f"{answer.text}\n{found}"

    def _line(self, request: str) -> str:
        return next((line for line in self._daemon.log().splitlines() if request in line), "")

    async def own_limit(self) -> str:
        answer = await self._client.upload_like_specify7("a.jpg", bytes(2 << 20), coll="Fish")
        assert answer.status == 413
        return answer.text

    async def no_thumbnail(self) -> str:
        files = {"a.svg": (415, b"<svg/>"), "b.jpg": (422, b"no picture"), "c.pdf": (422, pdfs.encrypted(b"secret"))}
        said = []
        for name, (status, content) in files.items():
            await self._client.store(name, content, coll="Fish")
            answer = await self._client.thumbnail(name, 50, coll="Fish")
            assert answer.status == status, answer
            said.append(answer.text)
        return "\n".join(said)

    async def large_picture(self) -> str:
        await self._client.store("large.jpg", images.jpeg((1000, 600)), coll="Fish")
        answer = await self._client.thumbnail("large.jpg", 50, coll="Fish")
        assert answer.status == 422
        return answer.text

    async def wrong_collection(self) -> str:
        answer = await self._client.original("a.jpg", coll="Birds")
        assert answer.status == 404
        return answer.text

    async def wrong_level(self) -> str:
        answer = await self._client.original("not-here.jpg", coll="Fish")
        assert answer.status == 404
        return answer.text

    async def bad_name(self) -> str:
        answer = await self._client.original("2019/a.jpg", coll="Fish")
        assert answer.status == 400
        return answer.text

    async def redirect(self) -> str:
        assert (await self._client.get("//web_asset_store.xml")).status == 200
        answer = await self._client.get("/fileupload")
        assert answer.status == 405
        return answer.text

    async def not_mounted(self) -> str:
        aside = self._daemon.store.with_name("unmounted")
        self._daemon.store.rename(aside)
        try:
            # It looks at open directories anew after a second.
            answer = await self._client.upload_like_specify7("b.jpg", b"b", coll="Fish")
        finally:
            aside.rename(self._daemon.store)
        assert answer.status == 503, answer
        return answer.text

    async def mistakes(self) -> str:
        config = write_config(self._directory, self._store(), server={"public_ulr": "https://assets.example.org"})
        return run("serve", "--config", config).err

    async def sandbox(self) -> str:
        settings = load(write_config(self._directory, self._store()), {})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(landlock, "version", lambda: 0)
            return "\n".join(warnings(settings))

    async def lost_catalogue(self) -> str:
        originals = self._directory / "store/originals"
        originals.mkdir(parents=True)
        for name in "abcde":
            (originals / f"{name}.jpg").write_bytes(b"felis")
        catalogue = {"path": self._directory / "catalogue.sqlite"}
        return run("doctor", "--config", write_config(self._directory, self._store(), catalogue=catalogue)).out

    def _store(self) -> dict[str, dict[str, object]]:
        return {"main": {"plugin": "filesystem", "path": self._directory / "store"}}

    async def full_disk(self) -> str:
        with running(Daemon(self._directory / "full", {"limits": {"min_free": "9000 TiB"}})) as full:
            answer = await Client(full.url, KEY).upload_like_specify7("a.jpg", b"a")
            assert answer.status == 507
            return answer.text + "\n" + run("status", "--config", full.config_file).out

    async def port_taken(self) -> str:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            second = Daemon(self._directory / "second")
            text = second.config_file.read_text()
            port = other.getsockname()[1]
            second.config_file.write_text(text.replace(f"tcp:{second.port}:interface=127.0.0.1", f"tcp:{port}"))
            second.launch()
            assert second.wait() == 1
            return second.log()

    async def permissions(self) -> str:
        is_root = os.geteuid() == 0
        if is_root:
            require_reach()
        setpriv = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
        config = {"stores": {"main": {"plugin": "filesystem", "path": self._place / "srv/attachments"}}}
        daemon = Daemon(self._place / "daemon", config, wrapper=setpriv if is_root else ())
        originals = self._place / "srv/attachments/originals"
        originals.mkdir(parents=True)
        for path in (daemon.directory, originals.parent) if is_root else ():
            os.chown(path, _NOBODY, _NOBODY)
        originals.chmod(0o500)
        daemon.config_file.chmod(0o644)
        with running(daemon):
            answer = await Client(daemon.url, KEY).upload_like_specify7("a.jpg", b"a")
            assert answer.status == 503
            ran = run("status", "--config", daemon.config_file)
            assert ran.code == 1
        return f"{answer.text}\n{ran.out}".replace(str(self._place), "")

    async def root(self) -> str:
        if os.geteuid() != 0:
            pytest.skip("needs root")
        store = self._place / "srv/attachments"
        store.mkdir(parents=True)
        os.chown(store, _NOBODY, _NOBODY)
        config = write_config(self._place, {"main": {"plugin": "filesystem", "path": store}})
        said = run("serve", "--config", config).err.replace(str(config), "/etc/was-daemon/was.toml")
        return said.replace(str(self._place), "").replace("nobody", "was-daemon")

    async def no_time(self) -> str:
        urls = "".join(f'<url type="{kind}">http://127.0.0.1/</url>' for kind in _KINDS)
        document = f"<urls>{urls}</urls>".encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == "/web_asset_store.xml" else 404)
                self.send_header("Content-Type", "text/xml")
                self.end_headers()
                self.wfile.write(document)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            Thread(target=server.serve_forever).start()
            try:
                return run("check", f"http://127.0.0.1:{server.server_port}", "--no-key").out
            finally:
                server.shutdown()

    async def mixed_content(self) -> str:
        pem = self_signed(self._directory)
        return self._checked(pem, {"public_url": "http://assets.example.org"})

    async def expired_certificate(self) -> str:
        return self._checked(self_signed(self._directory, since=-9 * _DAY, until=-_DAY), {})

    def _checked(self, pem: Path, server: dict[str, object]) -> str:
        port = free_port()
        listen = [f"ssl:{port}:interface=127.0.0.1:privateKey={pem}:certKey={pem}"]
        with running(Daemon(self._directory / "secure", {"server": {"listen": listen, **server}})):
            (self._directory / "key").write_text(KEY, "utf-8")
            url = f"https://localhost:{port}"
            return run("check", url, "--key-file", self._directory / "key", "--ca-file", pem, "--timeout", "5").out

    async def nginx_limit(self) -> str:
        with nginx_before(self._daemon.url, self._directory) as url:
            answer = await Client(url, KEY).upload_like_specify7("a.jpg", bytes(2 << 20), coll="Fish")
        assert answer.status == 413
        return answer.text


@contextmanager
def nginx_before(target: str, directory: Path) -> Iterator[str]:
    """The address of an nginx that passes requests on as it does by default."""
    require(NGINX)
    port = free_port()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    (directory / "nginx.conf").write_text(
        f"daemon off; pid {directory}/pid; error_log {directory}/error.log; events {{}} http {{ access_log off;"
        f" {temporary} server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {target}; }} }} }}"
    )
    command = [NGINX, "-e", f"{directory}/error.log", "-c", f"{directory}/nginx.conf"]
    with subprocess.Popen(command) as nginx:
        try:
            eventually(lambda: _listens(port), "for nginx to listen")
            yield f"http://127.0.0.1:{port}"
        finally:
            nginx.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(daemon: Daemon) -> Iterator[Daemon]:
    """A daemon that ends with the context."""
    yield daemon.start()
    daemon.stop()
