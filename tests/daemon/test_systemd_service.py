"""The units in etc/, under a real systemd: the daemon works within the rules of its sandbox."""

import io
import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from urllib.request import urlopen

import pytest
import pytest_twisted
from PIL import Image
from sqlalchemy import URL, Engine, create_engine, inspect, select

from tests.conftest import RunDaemon
from tests.daemon.test_stop import get
from tests.support.client import Client
from tests.support.daemon import KEY, eventually, to_toml
from tests.support.databases import mariadb, new_database, postgresql
from tests.support.images import chart, encode, heic, pdf, photograph
from tests.support.machine import Machine
from tests.support.ports import free_port
from tests.support.sshd import SSHD, USER
from tests.support.tls import self_signed
from was_daemon.catalogue.schema import assets

SERVICE = "was-daemon.service"


class Service:
    """The daemon as a service of a machine of its own."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.port = free_port()
        self.client = Client(f"http://127.0.0.1:{self.port}", KEY)
        etc = machine.root / "etc/was-daemon"
        (etc / "key").write_text(KEY)
        (etc / "key").chmod(0o600)
        self.configure()

    def configure(self, **sections: dict[str, object]) -> None:
        server = {"listen": [f"tcp:{self.port}:interface=127.0.0.1"], **sections.pop("server", {})}
        stores = {"stores": {"main": {"plugin": "filesystem", "path": "/var/lib/was-daemon/files"}}}
        document = {"server": {"key_file": "$CREDENTIALS_DIRECTORY/key", **server}, **stores, **sections}
        (self.machine.root / "etc/was-daemon/was.toml").write_text(to_toml(document))

    def place(self, name: str, secret: str) -> None:
        """Write a file of the daemon's user beside the configuration."""
        path = self.machine.root / "etc/was-daemon" / name
        path.touch(0o600)
        path.write_text(secret)
        shutil.chown(path, 950)

    def amend(self, unit: str, text: str) -> None:
        """Add to a unit what an operator would."""
        (self.machine.root / f"etc/systemd/system/{unit}.d/test.conf").write_text(text)
        self.systemctl("daemon-reload")

    def systemctl(self, *arguments: str) -> None:
        self.machine.run("systemctl", *arguments)

    def show(self, what: str) -> str:
        return self.machine.show(SERVICE, what)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    machine = Machine(tmp_path)
    try:
        machine.start()
        yield Service(machine)
    finally:
        machine.stop()


@pytest_twisted.ensureDeferred
async def test_everything_works_within_the_sandbox(service: Service) -> None:
    service.systemctl("start", SERVICE)
    assert service.show("StatusText") == "Serving"
    client = service.client
    files = {
        "a.jpg": photograph((600, 400)),
        "a.tif": encode(chart(), "TIFF"),
        "a.pdf": pdf(),
        "a.heic": heic(),
        "a.png": encode(chart(), "PNG"),
    }
    for name, content in files.items():
        await client.store(name, content)
        assert (await client.original(name)).body == content
        thumbnail = await client.thumbnail(name, 64)
        assert thumbnail.status == 200, (name, thumbnail, service.machine.log())
        assert max(thumbnail.image().size) == 64
    assert (await client.metadata("a.jpg", dt="date")).status == 200
    tile = await client.get("/iiif/3/a.jpg/0,0,256,256/256,256/0/default.jpg")
    assert (tile.status, tile.image().size) == (200, (256, 256)), service.machine.log()
    large = io.BytesIO()
    Image.effect_noise((3000, 3000), 50).save(large, "TIFF", compression="tiff_lzw")
    await client.store("large.tif", large.getvalue())
    assert (await client.thumbnail("large.tif", 500)).status == 200
    for name in [*files, "large.tif"]:
        assert (await client.delete(name)).status == 200
    originals = service.machine.root / "var/lib/was-daemon/files/originals"
    assert originals.stat().st_uid == 950
    assert [path.name for path in originals.iterdir() if path.is_file()] == []


@pytest_twisted.ensureDeferred
async def test_tls_works_within_the_sandbox(service: Service, run_daemon: RunDaemon, tmp_path: Path) -> None:
    certificate, far_port, port = self_signed(tmp_path), free_port(), free_port()
    run_daemon({"server": {"listen": [tls_endpoint(far_port, certificate)]}})
    shutil.copy(certificate, service.machine.root / "etc/was-daemon/tls.pem")
    known = Path("/etc/was-daemon/tls.pem")
    (service.machine.root / known.relative_to("/")).chmod(0o644)
    far = {"plugin": "asset-server", "url": f"https://localhost:{far_port}", "key": KEY, "ca_file": str(known)}
    listen = [f"tcp:{service.port}:interface=127.0.0.1", tls_endpoint(port, known)]
    service.configure(server={"listen": listen}, stores={"main": far}, thumbnails={"store": "main"})
    service.systemctl("start", SERVICE)
    await service.client.store("a.bin", b"over TLS")
    assert over_tls(f"https://localhost:{port}/fileget?filename=a.bin", certificate) == b"over TLS"


@pytest.mark.slow
@pytest.mark.parametrize("database", [mariadb, postgresql])
@pytest_twisted.ensureDeferred
async def test_stores_and_databases_elsewhere_work_within_the_sandbox(
    service: Service, database: Callable[[], AbstractContextManager[URL]], tmp_path: Path
) -> None:
    sshd = SSHD(tmp_path / "sshd")
    (tmp_path / "files").mkdir()
    service.place("id", sshd.user_key.read_text())
    far = {"plugin": "sftp", "host": "127.0.0.1", "port": sshd.port, "user": USER, "path": str(tmp_path / "files")}
    login = {"identity_file": "/etc/was-daemon/id", "fingerprint": sshd.fingerprint()}
    with database() as server:
        url = new_database(server)
        service.place("password", str(url.password))
        address = url._replace(drivername=url.get_backend_name(), password=None).render_as_string()
        secret = {"password_file": "/etc/was-daemon/password", "journal": "/var/lib/was-daemon/journal.sqlite"}
        service.configure(stores={"main": {**far, **login}}, catalogue={"url": address, **secret})
        sshd.start()
        try:
            service.systemctl("start", SERVICE)
            await service.client.store("a.jpg", photograph((600, 400)))
            assert (await service.client.thumbnail("a.jpg", 64)).status == 200, service.machine.log()
            entries = create_engine(url)
            eventually(lambda: names_in(entries) == ["a.jpg"], "for the row")
            entries.dispose()
            service.systemctl("stop", SERVICE)
        finally:
            sshd.stop()


def names_in(entries: Engine) -> list[str]:
    """The originals that are recorded; none before the daemon has made the tables."""
    with entries.connect() as connection:
        is_there = inspect(connection).has_table(assets.name)
        return list(connection.scalars(select(assets.c.name))) if is_there else []


def over_tls(url: str, certificate: Path) -> bytes:
    with urlopen(url, context=ssl.create_default_context(cafile=str(certificate)), timeout=10) as answer:
        content: bytes = answer.read()
    return content


def tls_endpoint(port: int, pem: Path) -> str:
    return f"ssl:{port}:interface=127.0.0.1:privateKey={pem}:certKey={pem}"


@pytest_twisted.ensureDeferred
async def test_the_sandbox_is_in_force(service: Service) -> None:
    service.systemctl("start", SERVICE)
    process = Path(f"/proc/{service.machine.main_pid()}")
    lines = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
    assert lines["Uid"].split() == ["950"] * 4
    assert int(lines["CapEff"], 16) == int(lines["CapBnd"], 16) == 0
    assert (lines["NoNewPrivs"], lines["Seccomp"]) == ("1", "2")
    mounts = {line.split()[4]: line.split()[5].split(",") for line in (process / "mountinfo").read_text().splitlines()}
    assert "ro" in mounts["/"]
    assert "rw" in mounts["/var/lib/was-daemon"]
    assert (process / "root/tmp").stat().st_ino != (service.machine.root / "tmp").stat().st_ino


@pytest_twisted.ensureDeferred
async def test_a_reload_by_systemd(service: Service) -> None:
    service.systemctl("start", SERVICE)
    process = service.machine.main_pid()
    service.configure(server={"max_upload": 10})
    service.systemctl("reload", SERVICE)
    eventually(lambda: "was read again" in service.machine.log(), "for the reload")
    assert (await service.client.upload_like_specify7("a.jpg", bytes(11))).status == 413
    service.configure(server={"max_upload": "much"})
    service.systemctl("reload", SERVICE)
    eventually(lambda: "mistakes" in service.show("StatusText"), "for systemd to be told of the mistake")
    assert service.show("ActiveState") == "active"
    assert (await service.client.upload_like_specify7("a.jpg", bytes(10))).status == 200
    assert service.machine.main_pid() == process


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_several_processes_work_within_the_sandbox(service: Service) -> None:
    service.configure(server={"workers": 2})
    service.systemctl("start", SERVICE)
    assert "2 processes serve" in service.machine.log()
    with ExitStack() as stack:
        for _ in range(4):
            connection = stack.enter_context(service.client.connect())
            get(connection, "/")
            assert connection.answer().status == 200
        await service.client.store("a.jpg", photograph((600, 400)))
        assert (await service.client.thumbnail("a.jpg", 64)).status == 200
    service.systemctl("reload", SERVICE)
    eventually(lambda: "was read again" in service.machine.log(), "for the reload")
    service.systemctl("stop", SERVICE)
    assert (service.show("Result"), service.show("ExecMainStatus")) == ("success", "0")


@pytest_twisted.ensureDeferred
async def test_several_services_share_a_port_of_systemds_and_no_client_is_lost_when_one_is_killed(
    service: Service,
) -> None:
    service.configure(server={"workers": 2})
    service.amend("was-daemon@.socket", f"[Socket]\nListenStream=\nListenStream=127.0.0.1:{service.port}\n")
    units = [f"was-daemon@{number}.{kind}" for number in (1, 2) for kind in ("socket", "service")]
    service.systemctl("start", *units)

    def are_all_answered() -> bool:
        answers = [service.client.raw(b"GET / HTTP/1.1\r\nHost: was\r\nConnection: close\r\n\r\n") for _ in range(20)]
        return {answer.status for answer in answers} == {200}

    assert are_all_answered()
    await service.client.store("a.jpg", photograph((600, 400)))
    assert (await service.client.thumbnail("a.jpg", 64)).status == 200
    service.systemctl("kill", "--signal=KILL", "was-daemon@2.service")
    assert are_all_answered()
    eventually(lambda: service.machine.show("was-daemon@2.service", "NRestarts") == "1", "for systemd to start it anew")
    for number in (1, 2):
        admin = ["curl", "-s", "--unix-socket", f"/run/was-daemon/{number}/admin", "http://was/healthz"]
        eventually(lambda admin=admin: '"status": "ok"' in service.machine.run(*admin), "for it to be well")
    service.systemctl("stop", *units)
    for number in (1, 2):
        assert service.machine.show(f"was-daemon@{number}.service", "Result") == "success"


def test_nobody_is_refused_while_the_service_restarts_behind_its_socket(service: Service) -> None:
    service.configure(server={"listen": ["systemd:domain=INET:index=0"]})
    service.amend("was-daemon.socket", f"[Socket]\nListenStream=\nListenStream=127.0.0.1:{service.port}\n")
    service.systemctl("start", "was-daemon.socket")
    with service.client.connect() as connection:
        # The first client has the service started.
        get(connection, "/testkey")
        assert connection.answer().status == 400
    first = service.machine.main_pid()
    with service.client.connect() as under_way:
        under_way.send(b"GET / HTTP/1.1\r\n")
        assert service.client.raw(b"GET / HTTP/1.1\r\nHost: was\r\n\r\n").status == 200
        service.systemctl("restart", "--no-block", SERVICE)
        eventually(lambda: "SIGTERM: the daemon stops" in service.machine.log(), "for the service to stop")
        with service.client.connect() as early:
            get(early, "/")
            under_way.send(b"Host: was\r\n\r\n")
            assert under_way.answer().headers["Connection"] == "close"
            assert early.answer().status == 200
    assert service.machine.main_pid() != first
    assert service.show("NRestarts") == "0"


def test_a_stop_is_a_success_and_waits_for_requests(service: Service) -> None:
    service.systemctl("start", SERVICE)
    with service.client.connect() as under_way:
        under_way.send(b"GET / HTTP/1.1\r\n")
        assert service.client.raw(b"GET / HTTP/1.1\r\nHost: was\r\n\r\n").status == 200
        service.systemctl("stop", "--no-block", SERVICE)
        eventually(lambda: service.show("StatusText").startswith("Finishing"), "for the service to stop")
        under_way.send(b"Host: was\r\n\r\n")
        assert under_way.answer().status == 200
    eventually(lambda: service.show("ActiveState") == "inactive", "for the service to end")
    assert (service.show("Result"), service.show("ExecMainStatus")) == ("success", "0")


@pytest.mark.slow
def test_a_daemon_that_hangs_is_started_anew(service: Service) -> None:
    plugins = service.machine.root / "opt/plugins/storage_plugins"
    plugins.mkdir(parents=True)
    (plugins / "blocking.py").write_text(BLOCKING)
    stores = {"main": {"plugin": "blocking", "path": "/var/lib/was-daemon/files"}}
    service.configure(stores=stores, plugins={"path": ["/opt/plugins"]})
    service.amend(SERVICE, "[Service]\nWatchdogSec=2\n")
    service.systemctl("start", SERVICE)
    with service.client.connect() as connection:
        get(connection, "/fileget?filename=a.jpg&type=O")
        eventually(lambda: service.show("NRestarts") == "1", "for the watchdog to bite")
    eventually(lambda: service.show("ActiveState") == "active", "for the daemon to be there again")
    assert service.client.raw(b"GET / HTTP/1.1\r\nHost: was\r\n\r\n").status == 200


BLOCKING = """
import time

from storage_plugins.filesystem import FilesystemOptions, FilesystemStore
from was_daemon.plugins import StorePlugin


class BlockingStore(FilesystemStore):
    async def open(self, key):
        time.sleep(1000)


blocking = StorePlugin("blocking", FilesystemOptions, lambda options: BlockingStore(options.path, options.layout))
"""
