"""Real S3 servers on free ports of 127.0.0.1, with what they keep in temporary directories."""

import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import attrs
import pytest

from storage_plugins.s3 import S3Store, s3
from tests.support.davservers import DavServer, require
from tests.support.ports import free_port
from was_daemon.stores.s3.options import S3Options

ACCESS_KEY = SECRET_KEY = "S3RVER"
"""The only ones that s3rver knows."""

BUCKET = "assets"

MakeS3Store = Callable[..., S3Store]

_S3RVER = Path(sys.prefix) / "s3rver" / "node_modules" / "s3rver" / "bin" / "s3rver.js"
_CEPH = [Path("/usr/bin") / name for name in ("ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin")]


def moto(page: int = 20, certificate: Path | None = None) -> DavServer:
    """moto, which keeps everything in memory, and lists `page` names at a time."""
    secure = ["-s", "-c", str(certificate), "-k", str(certificate)] if certificate else []

    def command(port: int, home: Path, root: Path) -> list[str]:
        server = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        return ["env", f"MOTO_S3_DEFAULT_MAX_KEYS={page}", *server, *secure]

    return DavServer(command, "https" if certificate else "http")


def s3rver() -> DavServer:
    """s3rver, which keeps files."""
    node = shutil.which("node")
    require(node or "node", _S3RVER)

    def command(port: int, home: Path, root: Path) -> list[str]:
        service = ["--address", "127.0.0.1", "--port", str(port), "--service-endpoint", "localhost"]
        return [str(node), str(_S3RVER), "--silent", "--directory", str(root), *service]

    return DavServer(command)


def options(url: str, **changes: object) -> S3Options:
    """Those of a store at a server of ours, below a prefix of its own."""
    settings: dict[str, object] = {
        "bucket": BUCKET,
        "endpoint": url,
        "prefix": uuid.uuid4().hex,
        "access_key_id": ACCESS_KEY,
        "secret_access_key": SECRET_KEY,
        "timeout": 30.0,
    }
    return S3Options(**(settings | changes))


async def make_bucket(url: str) -> None:
    """Have the bucket there."""
    store = s3.create(options(url, prefix=""))
    assert isinstance(store, S3Store)
    try:
        await store._bucket().call("PUT", "", accept=(200, 409))
    finally:
        await store.close()


@attrs.define
class Ceph:
    """A Ceph cluster of one monitor, one disk in memory and one gateway."""

    port: int = attrs.field(factory=free_port)
    home: Path = attrs.field(factory=lambda: Path(tempfile.mkdtemp(prefix="was-ceph-")))
    _processes: list[subprocess.Popen[bytes]] = attrs.field(factory=list)

    @property
    def url(self) -> str:
        """The gateway's."""
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> "Ceph":
        """Make the cluster, and wait until its gateway answers."""
        require(*_CEPH)
        monitor = f"v2:127.0.0.1:{free_port()}"
        cluster = str(uuid.uuid4())
        for name in ("mon", "osd", "rgw", "run"):
            (self.home / name).mkdir()
        (self.home / "ceph.conf").write_text(_CEPH_CONF.format(home=self.home, id=cluster, monitor=monitor))
        for name, rights in _CEPH_KEYS.items():
            create = [] if (self.home / "keyring").exists() else ["--create-keyring"]
            self._run("ceph-authtool", *create, self.home / "keyring", "--gen-key", "-n", name, *rights)
        self._run("monmaptool", "--create", "--addv", "a", f"[{monitor}]", "--fsid", cluster, self.home / "monmap")
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", self.home / "monmap", "--keyring", self.home / "keyring")
        self._begin("ceph-mon", "-i", "a")
        self._run("ceph", "osd", "create")
        self._run("ceph-osd", "-i", "0", "--mkfs")
        self._begin("ceph-osd", "-i", "0")
        login = ("--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY)
        self._run("radosgw-admin", "user", "create", "--uid", "tests", "--display-name", "tests", *login)
        self.open()
        return self

    def open(self) -> None:
        """Start the gateway."""
        frontend = f"beast endpoint=127.0.0.1:{self.port}"
        keyring = ("--keyring", str(self.home / "keyring"))
        self._begin("radosgw", "-n", "client.admin", *keyring, "--rgw-frontends", frontend)
        for _ in range(600):
            try:
                urlopen(self.url, timeout=5).close()
                return
            except (URLError, ConnectionError):
                time.sleep(0.1)
        pytest.fail((self.home / "output.log").read_text())

    def cut(self) -> None:
        """End the gateway at once."""
        gateway = self._processes.pop()
        gateway.kill()
        gateway.wait()

    def remove(self) -> None:
        """End everything, and remove what it kept."""
        for process in self._processes:
            process.kill()
            process.wait()
        shutil.rmtree(self.home)

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [program, "-c", self.home / "ceph.conf", *arguments]
        if program in ("ceph-authtool", "monmaptool"):
            command = [program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        if done.returncode:
            pytest.fail(f"{program}: {done.stdout}{done.stderr}")

    def _begin(self, program: str, *arguments: str) -> None:
        with (self.home / "output.log").open("ab") as log:
            command = [program, "-c", str(self.home / "ceph.conf"), "-f", *arguments]
            self._processes.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))


_ALL = "allow *"
_CEPH_KEYS = {
    "mon.": ("--cap", "mon", _ALL),
    "client.admin": ("--cap", "mon", _ALL, "--cap", "osd", _ALL),
    "osd.0": ("--cap", "mon", _ALL, "--cap", "osd", _ALL),
}

_CEPH_CONF = """
[global]
fsid = {id}
mon host = [{monitor}]
keyring = {home}/keyring
run dir = {home}/run
admin socket = {home}/run/$name.asok
log file = {home}/$name.log
mon cluster log file = {home}/cluster.log
mon data = {home}/mon
mon allow pool size one = true
osd data = {home}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd pool default size = 1
osd pool default pg num = 8
osd crush chooseleaf type = 0
osd class load list = *
osd class default list = *
public addr = 127.0.0.1
cluster addr = 127.0.0.1
rgw data = {home}/rgw
rgw dns name = localhost
"""
"""The gateway insists on keys; without them it waits for ever. A disk in memory is there at once."""
