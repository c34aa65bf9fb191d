"""Disks that are full, forbidden, read-only, broken or hung: plain answers, nothing half-written, nobody else waits."""

# The tests look at the disk themselves, while nobody else needs the reactor.
# ruff: noqa: ASYNC221

import fcntl
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
import pytest
import pytest_twisted

from tests.support.client import Answer, Client, Connection
from tests.support.daemon import KEY, Daemon, Document, eventually
from tests.support.http_contract import (
    RED,
    check_allowed_everywhere,
    check_refused,
    get,
    new_name,
    photograph,
    plain_picture,
)
from tests.support.paths import ROOT
from tests.support.remotes import small_disk
from tests.support.slow import slow_after
from tests.support.sshd import require

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
FAULTY = ROOT / "tests" / "faulty"
ORDERS = ("specify7_form", "specify6_form")
THREADS = 16
"""The calls that one collection has on its disk at once."""

COLLECTIONS = ("here", "there", "elsewhere")


@attrs.frozen
class Site:
    """A daemon whose collection `there` is a link, in the same store as `here`, to the directory `disk`.

    `elsewhere` is in a store of its own. `fault` is the file that says what is wrong with `disk`.
    """

    daemon: Daemon
    disk: Path
    fault: Path

    @property
    def client(self) -> Client:
        """A client of the daemon."""
        return Client(self.daemon.url, KEY)

    def originals(self, coll: str = "there") -> Path:
        """Where a collection's originals are."""
        if coll == "there":
            return self.disk / "originals"
        return self.daemon.directory / ("other" if coll == "elsewhere" else "main") / coll / "originals"

    def check_clean(self) -> None:
        """Assert that nothing half-written is left anywhere."""
        roots = (self.disk, self.daemon.directory)
        eventually(lambda: not [path for root in roots for path in root.rglob(".staging/*")], "for staging files to go")

    def threads(self) -> int:
        """The threads of the daemon, without the one that answers."""
        return len(list(Path(f"/proc/{self.daemon.pid}/task").iterdir())) - 1

    def hung(self) -> int:
        """The calls that hang."""
        waiting = f":{self.fault.stat().st_ino} "
        return sum("->" in line and waiting in line for line in Path("/proc/locks").read_text().splitlines())

    @contextmanager
    def failing(self, kind: str, *calls: str) -> Iterator[None]:
        """These calls fail on the disk meanwhile."""
        self.fault.write_text(" ".join([kind, *calls]))
        try:
            yield
        finally:
            self.fault.write_text("")

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """All calls hang meanwhile, and go on afterwards."""
        with self.fault.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with self.failing("hang"):
                yield


def make_site(
    directory: Path, disk: Path, wrapper: tuple[str, ...] = (), faulty: str = "main/there", **sections: object
) -> Site:
    """A site that does not run yet; `faulty` is what can be made to fail, of the daemon's directory."""
    daemon = directory / "daemon"
    main, other, fault = daemon / "main", daemon / "other", directory / "fault"
    disk.mkdir(parents=True, exist_ok=True)
    main.mkdir(parents=True)
    fault.touch()
    (main / "there").symlink_to(disk, target_is_directory=True)
    stores = {name: {"plugin": "filesystem", "path": path} for name, path in {"main": main, "other": other}.items()}
    places = {name: {"directory": name, "store": "main"} for name in COLLECTIONS}
    places["elsewhere"]["store"] = "other"
    config: Document = {
        "stores": stores,
        "collections": {"mode": "map", "map": places},
        "limits": {"min_free": 0},
        "thumbnails": {"workers": 1},
        **sections,  # type: ignore[dict-item]  # a table each
    }
    environ = {"PYTHONPATH": str(FAULTY), "FAULTY": f"{daemon / faulty}:{disk}", "FAULT": str(fault)}
    return Site(Daemon(daemon, config, environ, wrapper), disk, fault)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose disk can be made to fail."""
    directory = tmp_path_factory.mktemp("faulty")
    site = make_site(directory, directory / "disk")
    site.daemon.start()
    yield site
    site.daemon.stop()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose collection `there` is on a disk of 4 MB of its own."""
    directory = tmp_path_factory.mktemp("small")
    with small_disk(directory / "disk", "4m") as disk, ExitStack() as stack:
        site = make_site(directory, disk)
        site.daemon.start()
        stack.callback(site.daemon.stop)
        yield site


def check_fault(answer: Answer, status: int, cross_origin: bool = True) -> None:
    """Assert that `answer` is a plain error, for pages of all origins."""
    check_refused(answer, status, KEY)
    assert ("Retry-After" in answer.headers) == (status == 503)
    if cross_origin:
        check_allowed_everywhere(answer)


async def check_it_works(site: Site, coll: str = "there") -> None:
    """Assert that everything works, and leave nothing."""
    name, client = new_name(), site.client
    for order in ORDERS:
        assert (await client.upload(getattr(client, order)(name, coll=coll), photograph())).body == b"Ok."
    assert (await client.original(name, coll=coll)).body == photograph()
    assert (await client.thumbnail(name, 60, coll=coll)).image().size == (60, 40)
    assert (await client.metadata(name, coll=coll)).status == 200
    assert (await client.delete(name, coll=coll)).body == b"Ok."
    assert (await client.original(name, coll=coll)).status == 404
    site.check_clean()


# -- no space ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
@pytest_twisted.ensureDeferred
async def test_an_upload_for_which_there_is_no_space_changes_nothing(small: Site, order: str) -> None:
    client, name = small.client, new_name()
    await client.store(name, b"old", coll="there")
    for each in (name, new_name()):
        answer = await client.upload(getattr(client, order)(each, coll="there"), os.urandom(6 * MEGABYTE))
        check_fault(answer, 507)
    assert [path.name for path in small.originals().glob("*.jpg")] == [name]
    assert (await client.original(name, coll="there")).body == b"old"
    small.check_clean()
    assert (await client.upload(getattr(client, order)(name, coll="there"), b"smaller")).body == b"Ok."
    assert (small.originals() / name).read_bytes() == b"smaller"
    await check_it_works(small)
    assert (await client.delete(name, coll="there")).body == b"Ok."


@pytest_twisted.ensureDeferred
async def test_a_thumbnail_for_which_there_is_no_space_is_told_and_made_later(small: Site) -> None:
    client, name = small.client, new_name()
    await client.store(name, photograph(), coll="there")
    with (small.disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
        while True:
            filler.write(bytes(4096))
    check_fault(await client.thumbnail(name, 60, coll="there"), 507)
    assert (await client.original(name, coll="there")).body == photograph()
    assert (await client.metadata(name, coll="there")).status == 200
    small.check_clean()
    (small.disk / "filler").unlink()
    assert (await client.thumbnail(name, 60, coll="there")).image().size == (60, 40)
    assert (await client.delete(name, coll="there")).body == b"Ok."


# -- no permission -----------------------------------------------------------------------------------------------------


async def check_nothing_can_be_written(site: Site, name: str) -> None:
    """Assert that uploads and deletes are refused, and that the original `name`, a photograph, stays as it is."""
    client = site.client
    for order in ORDERS:
        for each in (name, new_name()):
            answer = await client.upload(getattr(client, order)(each, coll="there"), b"new" * MEGABYTE)
            check_fault(answer, 503)
    check_fault(await client.delete(name, coll="there"), 503, cross_origin=False)
    assert (site.originals() / name).read_bytes() == photograph()
    assert (await client.original(name, coll="there")).body == photograph()
    assert (await client.thumbnail(name, 60, coll="there")).image().size == (60, 40)
    check_fault(await client.thumbnail(name, 61, coll="there"), 503)
    assert (await client.metadata(name, coll="there")).status == 200
    site.check_clean()


@pytest_twisted.ensureDeferred
async def test_a_directory_that_may_not_be_written_to_is_still_read(tmp_path: Path) -> None:
    wrapper: tuple[str, ...] = ()
    if os.geteuid() == 0:
        require(shutil.which("setpriv"), "setpriv")
        wrapper = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    site = make_site(tmp_path, tmp_path / "disk", wrapper)
    with ExitStack() as stack:
        stack.callback(site.daemon.start().stop)
        client, name = site.client, new_name()
        await client.store(name, photograph(), coll="there")
        await client.thumbnail(name, 60, coll="there")
        directories = [path for path in site.disk.rglob("*") if path.is_dir()]
        stack.callback(lambda: [path.chmod(0o700) for path in directories])
        for path in directories:
            path.chmod(0o500)
        await check_nothing_can_be_written(site, name)
        (site.originals() / name).chmod(0)
        for answer in (await client.original(name, coll="there"), await client.thumbnail(name, 60, coll="there")):
            assert answer.status in (200, 503)
        check_fault(await client.original(name, coll="there"), 503)
        (site.originals() / name).chmod(0o600)
        for path in directories:
            path.chmod(0o700)
        assert (await client.delete(name, coll="there")).body == b"Ok."
        await check_it_works(site)


@pytest_twisted.ensureDeferred
async def test_a_disk_that_becomes_read_only_is_still_read(small: Site) -> None:
    client, name = small.client, new_name()
    await client.store(name, photograph(), coll="there")
    await client.thumbnail(name, 60, coll="there")
    small.check_clean()
    subprocess.run(["mount", "-o", "remount,ro", small.disk], check=True)
    try:
        await check_nothing_can_be_written(small, name)
        await check_it_works(small, "here")
    finally:
        subprocess.run(["mount", "-o", "remount,rw", small.disk], check=True)
    assert (await client.delete(name, coll="there")).body == b"Ok."
    await check_it_works(small)


# -- a disk that is broken ---------------------------------------------------------------------------------------------


ENDINGS = [("writev",), ("fsync",), ("rename", "link"), ("utime",)]
"""What an upload ends with."""


@pytest.mark.parametrize("calls", [*ENDINGS, ("open",), ("mkdir", "stat")])
@pytest.mark.parametrize("order", slow_after(1, ORDERS))
@pytest_twisted.ensureDeferred
async def test_an_upload_to_a_broken_disk_changes_nothing(site: Site, order: str, calls: tuple[str, ...]) -> None:
    client, name = site.client, new_name()
    await client.store(name, photograph(), coll="there")
    with site.failing("EIO", *calls):
        answers = [
            await client.upload(getattr(client, order)(each, coll="there"), b"new" * MEGABYTE)
            for each in (name, new_name())
        ]
        await check_it_works(site, "here")
    # With its file first, only the last steps of an upload are done on the disk of its collection.
    where = {200, 503} if order == "specify7_form" and calls in ENDINGS else {503}
    for answer in answers:
        assert answer.status in where
        if answer.status != 200:
            check_fault(answer, 503)
    if 200 not in where:
        assert (await client.original(name, coll="there")).body == photograph()
        assert [path.name for path in site.originals().glob("*.jpg")] == [name]
    site.check_clean()
    for path in site.originals().glob("*.jpg"):
        assert (await client.delete(path.name, coll="there")).body == b"Ok."
    await check_it_works(site)


@pytest.mark.parametrize("call", ["stat", "open", "pread"])
@pytest_twisted.ensureDeferred
async def test_what_a_broken_disk_cannot_read_is_no_missing_asset(site: Site, call: str) -> None:
    client, name = site.client, new_name()
    await client.store(name, photograph(), coll="there")
    with site.failing("EIO", call, *(["stat"] if call == "stat" else [])):
        if call != "stat":
            check_fault(await client.original(name, coll="there"), 503)
            check_fault(await client.reference(name, coll="there"), 503)
        if call != "pread":
            check_fault(await client.thumbnail(name, 60, coll="there"), 503)
        if call == "stat":
            check_fault(await client.metadata(name, coll="there"), 503, cross_origin=False)
            check_fault(await client.delete(name, coll="there"), 503, cross_origin=False)
        await check_it_works(site, "here")
    assert (await client.original(name, coll="there")).body == photograph()
    assert (await client.delete(name, coll="there")).body == b"Ok."
    await check_it_works(site)


@pytest_twisted.ensureDeferred
async def test_a_download_from_a_disk_that_breaks_is_seen_to_be_broken(site: Site) -> None:
    client, name = site.client, new_name()
    content = os.urandom(20 * MEGABYTE)
    await client.store(name, content, coll="there")
    with client.connect(receive_buffer=4096) as connection:
        connection.send(get(f"/fileget?filename={name}&coll=there"))
        status, headers = connection.head()
        assert (status, headers["Content-Length"]) == (200, str(len(content)))
        assert connection.read(1000) == content[:1000]
        with site.failing("EIO", "pread"), pytest.raises(ConnectionResetError):
            assert len(connection.rest()) < len(content) - 1000
            raise ConnectionResetError
    assert (await client.delete(name, coll="there")).body == b"Ok."
    await check_it_works(site)


# -- a mount that hangs ------------------------------------------------------------------------------------------------


def send(connection: Connection, client: Client, kind: int, name: str) -> None:
    """Send one of several kinds of requests that need the disk of `there`."""
    uploads = {0: client.specify7_form, 1: client.specify6_form}
    if kind in uploads:
        form = uploads[kind](name, coll="there")
        connection.send(form.head(1000) + form.before + bytes(1000) + form.after)
    elif kind == 2:
        form = f"filename={name}&coll=there&token={client.token(name)}".encode()
        head = "POST /filedelete HTTP/1.1\r\nHost: was\r\nContent-Type: application/x-www-form-urlencoded"
        connection.send(f"{head}\r\nContent-Length: {len(form)}\r\n\r\n".encode() + form)
    else:
        targets = ("fileget?", "fileget?type=T&scale=60&", "getmetadata?", "getfileref?")
        connection.send(get(f"/{targets[kind % len(targets)]}filename={name}&coll=there"))


@pytest_twisted.ensureDeferred
async def test_a_mount_that_hangs_freezes_the_requests_that_need_it_and_nothing_else(site: Site) -> None:
    client, kinds = site.client, 7
    names = [new_name() for _ in range(56)]
    for name in names:
        path = site.originals() / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(plain_picture(RED))
    with ExitStack() as stack:
        connections = [stack.enter_context(client.connect()) for _ in names]
        with site.hanging():
            for index, (connection, name) in enumerate(zip(connections, names, strict=True)):
                send(connection, client, index % kinds, name)
            eventually(lambda: site.hung() == THREADS, "for the requests to hang")
            for _ in range(3):
                for coll in ("here", "elsewhere"):
                    await check_others_are_served(client, coll)
            assert site.hung() == THREADS
            assert not select.select(connections, [], [], 0)[0]
        answers = [connection.answer() for connection in connections]
    statuses = [{answer.status for answer in answers[kind::kinds]} for kind in range(kinds)]
    assert statuses == [{200}] * kinds
    for index, name in enumerate(names):
        path = site.originals() / name
        assert path.exists() == (index % kinds != 2)
        assert index % kinds > 1 or path.read_bytes() == bytes(1000)
        path.unlink(missing_ok=True)
    shutil.rmtree(site.disk / "thumbnails")
    await check_it_works(site)


async def check_others_are_served(client: Client, coll: str) -> None:
    """Assert that everything works in a collection, while others do not."""
    name = new_name()
    for order in ORDERS:
        assert (await client.upload(getattr(client, order)(name, coll=coll), photograph())).body == b"Ok."
    assert (await client.original(name, coll=coll)).body == photograph()
    assert (await client.thumbnail(name, 60, coll=coll)).image().size == (60, 40)
    assert (await client.metadata(name, coll=coll)).status == 200
    assert (await client.reference(name, coll=coll)).status == 200
    assert (await client.delete(name, coll=coll)).body == b"Ok."
    assert (await client.original(name, coll=coll)).status == 404


@pytest.mark.parametrize("whole", slow_after(1, [False, True]), ids=["a collection", "a whole store"])
@pytest_twisted.ensureDeferred
async def test_a_daemon_whose_disk_hangs_can_be_stopped_and_started(tmp_path: Path, whole: bool) -> None:
    site = make_site(
        tmp_path, tmp_path / "disk", faulty="main" if whole else "main/there", server={"shutdown_grace": 0.5}
    )
    with ExitStack() as stack:
        stack.callback(site.daemon.start().stop)
        client = site.client
        await client.store("a.jpg", photograph(), coll="there")
        with site.hanging():
            connection = stack.enter_context(client.connect())
            connection.send(get("/fileget?filename=a.jpg&coll=there"))
            upload = stack.enter_context(client.connect())
            form = client.specify6_form("b.jpg", coll="there")
            upload.send(form.head(1000) + form.before)
            eventually(lambda: site.hung() == 2, "for the requests to hang")
            site.daemon.stop()
            assert "hang and are left behind" in site.daemon.log()
            if not whole:
                site.daemon.start()
                await check_others_are_served(client, "here")
        if whole:
            site.daemon.start()
        assert (await client.original("a.jpg", coll="there")).body == photograph()
        assert not (site.originals() / "b.jpg").exists()
        await check_it_works(site)


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_threads_without_work_end(site: Site) -> None:
    await check_it_works(site, "here")
    eventually(lambda: site.threads() == 0, "for the threads to end")
