"""Bytes stream: memory stays flat, everybody is served meanwhile, and whatever breaks in the middle changes nothing."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
import pytest_twisted
from PIL import Image
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.conftest import RunDaemon
from tests.support import images
from tests.support.client import Answer, Client, Connection, Form, chunk
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.http_contract import (
    BLUE,
    RED,
    check_allowed_everywhere,
    check_refused,
    gather,
    get,
    new_name,
    photograph,
    plain_picture,
    shows,
)
from tests.support.needs import lacking
from tests.support.processes import paused

BLOCK = os.urandom(1 << 20)
SIZES = pytest.mark.parametrize(
    "blocks", [200, pytest.param(1000, marks=pytest.mark.slow)], ids=["200 megabytes", "a gigabyte"]
)
MEGABYTE = 1_000_000


@cache
def large_picture(colour: tuple[int, int, int]) -> bytes:
    """A PNG that keeps a worker busy for a while."""
    return images.encode(Image.new("RGB", (6000, 5000), colour), "PNG", compress_level=1)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with the default limits, whose memory is warm: modules are loaded and threads are running."""
    daemon = Daemon(tmp_path_factory.mktemp("streaming")).start()
    client = Client(daemon.url, KEY)
    for form in (client.specify7_form("warm.jpg"), client.specify6_form("warm.jpg")):
        assert send_upload(client, form, 16 * len(BLOCK)).body == b"Ok."
    assert receive(client, "warm.jpg") == 16
    yield daemon
    assert eventually(lambda: not daemon.open_files(), "for all files to be closed")
    daemon.stop()


@pytest.fixture
def client(daemon: Daemon) -> Client:
    """A client of `daemon`."""
    return Client(daemon.url, KEY)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The mount point of a disk of 8 MiB."""
    disk = tmp_path_factory.mktemp("disk")
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], capture_output=True, check=False)
    if mount.returncode:
        lacking(f"cannot mount a small disk: {mount.stderr.decode()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture(scope="module")
def small_disk_client(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a daemon that keeps its files on `disk`."""
    stores = {"main": {"plugin": "filesystem", "path": disk}}
    daemon = Daemon(tmp_path_factory.mktemp("full"), {"stores": stores, "limits": {"min_free": 0}}).start()
    yield Client(daemon.url, KEY)
    daemon.stop()


@pytest.fixture(scope="module")
def narrow_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with one worker: while that is busy, one job may wait and a second is refused with 503."""
    daemon = Daemon(tmp_path_factory.mktemp("narrow"), {"thumbnails": {"workers": 1, "queue": 1}}).start()
    yield daemon
    daemon.stop()


def send_upload(client: Client, form: Form, size: int, *, chunked: bool = False) -> Answer:
    """Upload `size` bytes of `BLOCK` after `BLOCK`."""
    frame = chunk if chunked else lambda data: data
    with client.connect() as connection:
        connection.send(form.head(None if chunked else size))
        connection.send(frame(form.before) if form.before else b"")
        for _ in range(size // len(BLOCK)):
            connection.send(frame(BLOCK))
        connection.send(frame(form.after))
        if chunked:
            connection.send(chunk(b""))
        return connection.answer()


def receive(client: Client, name: str, expected: bytes = BLOCK) -> int:
    """Download an asset that is `expected` after `expected`; how many there were."""
    with client.connect() as connection:
        connection.send(get(f"/fileget?filename={name}"))
        status, headers = connection.head()
        blocks = 0
        while block := connection.read(len(expected)):
            assert block == expected
            blocks += 1
        assert status == 200
        assert int(headers["Content-Length"]) == blocks * len(expected)
        return blocks


def write_zeroes(path: Path, blocks: int) -> bytes:
    """Make a file of so many megabytes that takes up no disk; a megabyte of it."""
    with path.open("wb") as file:
        file.truncate(blocks * len(BLOCK))
    return bytes(len(BLOCK))


def content_of(path: Path) -> int:
    """How many blocks the file has; fails when it has anything else."""
    with path.open("rb") as file:
        blocks = 0
        while block := file.read(len(BLOCK)):
            assert block == BLOCK
            blocks += 1
        return blocks


async def answers_during(work: Deferred[object], client: Client, name: str) -> int:
    """How many small requests were answered before `work` was done."""
    answered = 0
    while not work.called:
        answer = await client.original(name)
        assert answer.body == b"small"
        answered += not work.called
    return answered


def unfinished(daemon: Daemon) -> list[Path]:
    """The staging files."""
    return [path for path in daemon.store.rglob(".staging/*") if path.is_file()]


def unfinished_bytes(daemon: Daemon) -> int:
    """The size of all staging files."""
    size = 0
    for file in unfinished(daemon):
        with suppress(FileNotFoundError):
            size += file.stat().st_size
    return size


def cost_of_answers(daemon: Daemon, readers: Sequence[Connection], request: bytes) -> int:
    """The bytes of memory that the daemon takes for answers to `request` that nobody reads but for their heads."""
    daemon.forget_peak()
    before = daemon.memory()
    for reader in readers:
        reader.send(request)
    for reader in readers:
        assert reader.head()[0] == 200
    return daemon.peak_memory() - before


def begin_upload(client: Client, form: Form) -> Connection:
    """Send the first megabyte of an upload of two."""
    connection = client.connect()
    connection.send(form.head(2 * len(BLOCK)) + form.before + BLOCK)
    return connection


class TestMemory:
    @SIZES
    @pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
    @pytest_twisted.ensureDeferred
    async def test_a_large_file_goes_up_in_no_memory_while_others_are_served(
        self, daemon: Daemon, client: Client, order: str, blocks: int
    ) -> None:
        name, small = new_name(), new_name()
        await client.store(small, b"small")
        daemon.forget_peak()
        before = daemon.memory()
        upload = deferToThread(send_upload, client, getattr(client, order)(name), blocks * len(BLOCK))
        answered = await answers_during(upload, client, small)
        assert (await upload).body == b"Ok."
        assert answered >= blocks // 50
        assert daemon.peak_memory() - before <= 16 * MEGABYTE
        assert content_of(daemon.store / "originals" / name) == blocks
        await client.delete(name)

    @pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
    @pytest_twisted.ensureDeferred
    async def test_chunks_go_up_in_no_memory(self, daemon: Daemon, client: Client, order: str) -> None:
        name = new_name()
        daemon.forget_peak()
        before = daemon.memory()
        answer = await deferToThread(send_upload, client, getattr(client, order)(name), 100 * len(BLOCK), chunked=True)
        assert answer.body == b"Ok."
        assert daemon.peak_memory() - before <= 16 * MEGABYTE
        assert content_of(daemon.store / "originals" / name) == 100
        await client.delete(name)

    @SIZES
    @pytest_twisted.ensureDeferred
    async def test_a_large_file_comes_down_in_no_memory_while_others_are_served(
        self, daemon: Daemon, client: Client, blocks: int
    ) -> None:
        name, small = new_name(), new_name()
        await client.store(small, b"small")
        zeroes = write_zeroes(daemon.store / "originals" / name, blocks)
        daemon.forget_peak()
        before = daemon.memory()
        download = deferToThread(receive, client, name, zeroes)
        answered = await answers_during(download, client, small)
        assert await download == blocks
        assert answered >= blocks // 50
        assert daemon.peak_memory() - before <= 8 * MEGABYTE
        await client.delete(name)

    @pytest_twisted.ensureDeferred
    async def test_readers_who_do_not_read_cost_no_memory_and_hold_up_nobody(
        self, daemon: Daemon, client: Client
    ) -> None:
        name, small = new_name(), new_name()
        await client.store(small, b"small")
        write_zeroes(daemon.store / "originals" / name, 1000)
        daemon.forget_peak()
        before = daemon.memory()
        readers = [client.connect(receive_buffer=4096) for _ in range(5)]
        for reader in readers:
            reader.send(get(f"/fileget?filename={name}"))
        for reader in readers:
            assert reader.head()[0] == 200
        for _ in range(50):
            assert (await client.original(small)).body == b"small"
        assert daemon.peak_memory() - before <= 8 * MEGABYTE
        for reader in readers:
            assert reader.read(100) == bytes(100)
            reader.close()
        await client.delete(name)

    @pytest_twisted.ensureDeferred
    async def test_readers_who_have_uploaded_before_cost_no_more(self, daemon: Daemon, client: Client) -> None:
        name = new_name()
        write_zeroes(daemon.store / "originals" / name, 1000)
        names = [new_name() for _ in range(20)]
        readers = [client.connect(receive_buffer=4096) for _ in names]
        for reader, uploaded in zip(readers, names, strict=True):
            form = client.specify7_form(uploaded)
            reader.send(form.head(3) + form.before + b"abc" + form.after)
            _, headers = reader.head()
            assert reader.read(int(headers["Content-Length"])) == b"Ok."
        assert cost_of_answers(daemon, readers, get(f"/fileget?filename={name}")) <= 8 * MEGABYTE
        for reader in readers:
            reader.close()
        await client.delete(name)

    @pytest_twisted.ensureDeferred
    async def test_readers_who_owe_a_body_cost_no_more(self, daemon: Daemon, client: Client) -> None:
        name = new_name()
        write_zeroes(daemon.store / "originals" / name, 1000)
        readers = [client.connect(receive_buffer=4096) for _ in range(50)]
        head = f"GET /fileget?filename={name} HTTP/1.1\r\nHost: was\r\nContent-Length: 1000000\r\n\r\n".encode()
        assert cost_of_answers(daemon, readers, head) <= 24 * MEGABYTE
        for reader in readers:
            reader.close()
        await client.delete(name)

    def test_of_what_comes_slowly_little_is_held(self, daemon: Daemon, client: Client) -> None:
        piece, pieces = BLOCK[:20_000], 25
        daemon.forget_peak()
        before = daemon.memory()
        connections = [client.connect() for _ in range(100)]
        for connection in connections:
            form = client.specify6_form(new_name())
            connection.send(form.head(len(BLOCK)) + form.before)
        for sent in range(len(piece), len(piece) * (pieces + 1), len(piece)):
            for connection in connections:
                connection.send(piece)
            # All but the last 128 KiB of each.
            at_least = len(connections) * (sent - (1 << 17))
            eventually(lambda at_least=at_least: unfinished_bytes(daemon) >= at_least, "for what was sent")
        assert daemon.peak_memory() - before <= 24 * MEGABYTE
        for connection in connections:
            connection.close()

    @pytest_twisted.ensureDeferred
    async def test_clients_that_send_slowly_hold_up_nobody(self, daemon: Daemon, client: Client) -> None:
        small = new_name()
        await client.store(small, b"small")
        names = [new_name() for _ in range(50)]
        forms = [client.specify7_form(name) for name in names]
        connections = [begin_upload(client, form) for form in forms]
        for _ in range(50):
            assert (await client.original(small)).body == b"small"
        for connection, form in zip(connections, forms, strict=True):
            connection.send(BLOCK + form.after)
        for connection, name in zip(connections, names, strict=True):
            assert connection.answer().body == b"Ok."
            connection.close()
            assert content_of(daemon.store / "originals" / name) == 2

    @pytest_twisted.ensureDeferred
    async def test_others_are_served_while_thumbnails_are_made(self, daemon: Daemon, client: Client) -> None:
        small = new_name()
        await client.store(small, b"small")
        names = [new_name(".png") for _ in range(3)]
        for name in names:
            (daemon.store / "originals" / name).write_bytes(large_picture(RED))
        thumbnails = gather(*(client.thumbnail(name, 100) for name in names))
        assert await answers_during(thumbnails, client, small) >= 20
        assert all(shows(answer, RED) for answer in await thumbnails)


@pytest.mark.slow
class TestBreakingOff:
    @pytest_twisted.ensureDeferred
    async def test_a_client_that_hangs_up_releases_the_file(self, daemon: Daemon, client: Client) -> None:
        name = new_name()
        await deferToThread(send_upload, client, client.specify7_form(name), 32 * len(BLOCK))
        path = str(daemon.store / "originals" / name)
        for _ in range(3):
            with client.connect(receive_buffer=4096) as connection:
                connection.send(get(f"/fileget?filename={name}"))
                assert connection.head()[0] == 200
                assert path in daemon.open_files()
            eventually(lambda: path not in daemon.open_files(), "for the file to be closed")

    @pytest_twisted.ensureDeferred
    async def test_answers_without_a_body_keep_no_file_open(self, daemon: Daemon, client: Client) -> None:
        name = new_name()
        await deferToThread(send_upload, client, client.specify7_form(name), len(BLOCK))
        etag = (await client.head("/fileget", filename=name)).headers["ETag"]
        await client.original(name, headers={"If-None-Match": etag})
        await client.original(name, headers={"Range": f"bytes={len(BLOCK)}-"})
        await client.original(name, headers={"Range": "bytes=0-0"})
        await client.reference(name)
        eventually(
            lambda: str(daemon.store / "originals" / name) not in daemon.open_files(), "for the file to be closed"
        )

    @pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
    @pytest.mark.parametrize("abruptly", [False, True], ids=["politely", "abruptly"])
    @pytest_twisted.ensureDeferred
    async def test_a_client_that_vanishes_leaves_nothing(
        self, daemon: Daemon, client: Client, order: str, abruptly: bool
    ) -> None:
        name = new_name()
        await client.store(name, b"old")
        with begin_upload(client, getattr(client, order)(name)) as connection:
            eventually(lambda: unfinished(daemon), "for the staging file")
            assert (await client.original(name)).body == b"old"
            if abruptly:
                connection.reset_on_close()
        eventually(lambda: not unfinished(daemon), "for the staging file to go")
        assert (await client.original(name)).body == b"old"
        assert not daemon.open_files()

    @pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
    @pytest_twisted.ensureDeferred
    async def test_a_killed_daemon_leaves_the_old_content(self, run_daemon: RunDaemon, order: str) -> None:
        daemon = run_daemon()
        client = Client(daemon.url, KEY)
        await client.store("a.jpg", b"old")
        with begin_upload(client, getattr(client, order)("a.jpg")):
            eventually(lambda: sum(path.stat().st_size for path in unfinished(daemon)), "for half an upload")
            daemon.kill()
        assert unfinished(daemon)
        assert (daemon.store / "originals" / "a.jpg").read_bytes() == b"old"
        daemon.start()
        assert (await client.original("a.jpg")).body == b"old"
        eventually(lambda: not unfinished(daemon), "for the staging file to go")
        await client.store("a.jpg", b"new")
        assert (await client.original("a.jpg")).body == b"new"

    @pytest_twisted.ensureDeferred
    async def test_a_daemon_that_is_stopped_leaves_nothing_unfinished(self, run_daemon: RunDaemon) -> None:
        daemon = run_daemon()
        client = Client(daemon.url, KEY)
        await client.store("a.jpg", b"old")
        with begin_upload(client, client.specify7_form("a.jpg")):
            eventually(lambda: unfinished(daemon), "for the staging file")
            daemon.restart()
        eventually(lambda: not unfinished(daemon), "for the staging file to go")
        assert (await client.original("a.jpg")).body == b"old"

    @pytest_twisted.ensureDeferred
    async def test_a_reader_gets_all_of_the_version_it_began_with(self, daemon: Daemon, client: Client) -> None:
        for change in (lambda name: client.store(name, b"new"), client.delete):
            name = new_name()
            await deferToThread(send_upload, client, client.specify7_form(name), 32 * len(BLOCK))
            with client.connect(receive_buffer=4096) as connection:
                connection.send(get(f"/fileget?filename={name}"))
                assert connection.head()[0] == 200
                await change(name)
                assert (await client.original(name)).body != BLOCK
                for _ in range(32):
                    assert connection.read(len(BLOCK)) == BLOCK
                assert connection.rest() == b""

    @pytest_twisted.ensureDeferred
    async def test_of_simultaneous_uploads_one_wins_whole(self, daemon: Daemon, client: Client) -> None:
        name = new_name()
        contents = [bytes([number]) * 300_000 for number in range(12)]
        uploads = gather(*(client.upload_like_specify7(name, content) for content in contents))
        while not uploads.called:
            answer = await client.original(name)
            assert answer.status == 404 or answer.body in contents
        assert {answer.body for answer in await uploads} == {b"Ok."}
        assert (await client.original(name)).body in contents


class TestFullDisk:
    @pytest.fixture
    def client(self, small_disk_client: Client) -> Client:
        return small_disk_client

    @pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
    @pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
    @pytest_twisted.ensureDeferred
    async def test_a_full_disk_is_told_and_the_old_content_stays(
        self, client: Client, disk: Path, order: str, chunked: bool
    ) -> None:
        name = new_name()
        await client.store(name, b"old")
        answer = await deferToThread(
            send_upload, client, getattr(client, order)(name), 16 * len(BLOCK), chunked=chunked
        )
        check_refused(answer, 507, client.key)
        check_allowed_everywhere(answer)
        assert (await client.original(name)).body == b"old"
        eventually(lambda: not list(disk.rglob(".staging/*")), "for the staging file to go")
        await client.store(name, b"new" * 1000)
        assert (await client.original(name)).body == b"new" * 1000

    @pytest_twisted.ensureDeferred
    async def test_a_thumbnail_for_which_there_is_no_space_can_be_made_later(self, client: Client, disk: Path) -> None:
        name = new_name()
        await client.store(name, photograph())
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        answer = await client.thumbnail(name, 300)
        check_refused(answer, 507, client.key)
        filler.unlink()
        assert (await client.thumbnail(name, 300)).image().size == (300, 200)


class TestOneThumbnail:
    @pytest.mark.parametrize("number", [16, 100])
    @pytest_twisted.ensureDeferred
    async def test_simultaneous_requests_share_one_job(self, narrow_daemon: Daemon, number: int) -> None:
        client = Client(narrow_daemon.url, KEY)
        slow, name = new_name(".png"), new_name()
        await client.store(slow, large_picture(BLUE))
        await client.store(name, plain_picture(RED, (3000, 2000)))
        with client.connect() as busy:
            busy.send(get(f"/fileget?filename={slow}&type=T&scale=100"))
            eventually(lambda: unfinished(narrow_daemon), "for the worker to be busy")
            answers = await gather(*(client.thumbnail(name, 200) for _ in range(number)))
            assert shows(busy.answer(), BLUE)
        assert {answer.status for answer in answers} == {200}
        assert len({(answer.body, answer.headers["ETag"]) for answer in answers}) == 1
        assert shows(answers[0], RED)
        assert (await client.thumbnail(name, 200)).headers["ETag"] == answers[0].headers["ETag"]

    @pytest_twisted.ensureDeferred
    async def test_a_job_that_nobody_waits_for_any_more_is_given_up(self, narrow_daemon: Daemon) -> None:
        client = Client(narrow_daemon.url, KEY)
        slow, abandoned, wanted = new_name(".png"), new_name(), new_name()
        await client.store(slow, large_picture(BLUE))
        for name in (abandoned, wanted):
            await client.store(name, plain_picture(RED))
        # From here on there is a worker, which can be made to wait.
        await client.thumbnail(wanted, 50)
        with client.connect() as busy:
            with paused(set(narrow_daemon.workers())):
                busy.send(get(f"/fileget?filename={slow}&type=T&scale=100"))
                eventually(lambda: len(unfinished(narrow_daemon)) == 1, "for the worker to be busy")
                with client.connect() as impatient:
                    impatient.send(get(f"/fileget?filename={abandoned}&type=T&scale=100"))
                    eventually(lambda: len(unfinished(narrow_daemon)) == 2, "for the second job to wait")
                eventually(lambda: len(unfinished(narrow_daemon)) == 1, "for the second job to be given up")
            assert shows(await client.thumbnail(wanted, 100), RED)
            assert shows(busy.answer(), BLUE)
        assert not list((narrow_daemon.store / "thumbnails").glob(f"{Path(abandoned).stem}*"))

    @pytest.mark.parametrize("attempt", range(3))
    @pytest_twisted.ensureDeferred
    async def test_nobody_gets_old_bytes_after_a_replacement(
        self, daemon: Daemon, client: Client, attempt: int
    ) -> None:
        name = new_name(".png")
        blue = images.encode(Image.new("RGB", (300, 200), BLUE), "PNG")
        with self._making(daemon, client, name, wait=attempt > 0) as connection:
            await client.store(name, blue)
            for answer in await gather(*(client.thumbnail(name, scale) for scale in (200, 200, 50))):
                assert shows(answer, BLUE)
            assert (await client.original(name)).body == blue
            pending = connection.answer()
            assert shows(pending, RED) or shows(pending, BLUE)
        eventually(lambda: not unfinished(daemon), "for the work to end")
        for scale in (200, 50):
            assert shows(await client.thumbnail(name, scale), BLUE)

    @pytest.mark.parametrize("attempt", range(3))
    @pytest_twisted.ensureDeferred
    async def test_nobody_gets_old_bytes_after_a_deletion(self, daemon: Daemon, client: Client, attempt: int) -> None:
        name = new_name(".png")
        with self._making(daemon, client, name, wait=attempt > 0) as connection:
            assert (await client.delete(name)).body == b"Ok."
            for answer in await gather(client.thumbnail(name, 200), client.thumbnail(name, 50), client.original(name)):
                assert answer.status == 404
            pending = connection.answer()
            assert pending.status == 404 or shows(pending, RED)
        eventually(lambda: not unfinished(daemon), "for the work to end")
        assert (await client.thumbnail(name, 200)).status == 404
        assert not list(daemon.store.glob(f"thumbnails/{name.removesuffix('.png')}*"))
        await client.store(name, images.encode(Image.new("RGB", (300, 200), BLUE), "PNG"))
        assert shows(await client.thumbnail(name, 200), BLUE)

    def _making(self, daemon: Daemon, client: Client, name: str, wait: bool) -> Connection:
        """A connection that has asked for the thumbnail, scale 200, of a big red picture that was just copied in."""
        (daemon.store / "originals" / name).write_bytes(large_picture(RED))
        connection = client.connect()
        connection.send(get(f"/fileget?filename={name}&type=T&scale=200"))
        if wait:
            eventually(lambda: unfinished(daemon), "for the thumbnail to be begun")
        return connection
