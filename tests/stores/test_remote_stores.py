"""Behind a remote store everything else stays the same: OpenSSH and Apache, by way of a daemon, over HTTP."""

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted

from tests.support import images
from tests.support.client import Client, Connection
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.http_contract import BLUE, RED, HTTPContract, gather, get, new_name, photograph, plain_picture, shows
from tests.support.remotes import KINDS, FarEnd, files_below, make_far_end, small_disk
from tests.support.slow import slow_after

MEGABYTE = 1_000_000
SPOOL = 4 << 20


@pytest.fixture(scope="module", params=slow_after(1, KINDS))
def far(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarEnd]:
    """A server."""
    far = make_far_end(request.param, tmp_path_factory.mktemp(request.param))
    far.start()
    yield far
    far.remove()


@pytest.fixture(scope="module")
def daemon(far: FarEnd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that keeps everything on `far`."""
    config = {
        "server": {"max_upload": "8 MiB"},
        "stores": {"main": far.table()},
        "spool": {"max_size": f"{SPOOL} B"},
    }
    daemon = Daemon(tmp_path_factory.mktemp("daemon"), config).start()
    yield daemon
    daemon.stop()


@pytest.fixture
def client(daemon: Daemon) -> Client:
    """A client of `daemon`."""
    return Client(daemon.url, KEY)


@pytest.fixture
def spool(daemon: Daemon) -> Path:
    """Where the daemon has its spool."""
    return daemon.directory / "spool"


def heavy_photograph(size: int) -> bytes:
    """A photograph in a file of that many bytes, most of them after its end."""
    return photograph() + os.urandom(size - len(photograph()))


def with_date(date: str) -> bytes:
    """A photograph that was taken then."""
    before = b"2012:02:02 13:48:41"
    assert before in photograph()
    return photograph().replace(before, date.encode())


def answered(connection: Connection) -> bool:
    """Whether something has arrived."""
    return bool(select.select([connection._socket], [], [], 0)[0])


@pytest.mark.parametrize(
    "far", [kind if kind == "sftp" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS], indirect=True
)
@pytest.mark.slow
class TestContract(HTTPContract):
    """All of it; on one kind of server always, on the others with the slow tests."""


class TestTheFarEnd:
    """What is there, and when, and how much of it moves."""

    @pytest_twisted.ensureDeferred
    async def test_files_have_the_official_names_there(self, far: FarEnd, client: Client) -> None:
        root = "Käfer a+b#%20 é ?"
        await client.store(f"{root}.tif", images.encode(images.chart(), "TIFF"))
        assert (await client.thumbnail(f"{root}.tif", 60)).status == 200
        assert (far.root / "originals" / f"{root}.tif").is_file()
        assert (far.root / "thumbnails" / f"{root}_60.png").is_file()
        assert (await client.delete(f"{root}.tif")).body == b"Ok."
        assert not [path for path in files_below(far.root) if root in path]

    @pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
    def test_an_upload_is_acknowledged_when_it_has_its_name_there(
        self, far: FarEnd, client: Client, order: str
    ) -> None:
        name, content = new_name(), os.urandom(4 * MEGABYTE)
        path = far.put(name, b"old")
        form = getattr(client, order)(name)
        with client.connect() as connection:
            with far.relay.holding(after=2 * MEGABYTE) as holds:
                connection.send(form.head(len(content)) + form.around(content))
                eventually(holds, "for half of the upload")
                assert not answered(connection)
                assert path.read_bytes() == b"old"
            assert connection.answer().body == b"Ok."
            assert path.read_bytes() == content
        eventually(lambda: not far.unfinished(), "for temporary files to go")

    def test_an_original_streams_through_without_the_spool_or_memory(
        self, far: FarEnd, daemon: Daemon, client: Client, spool: Path
    ) -> None:
        name, blocks = new_name(".mp4"), 200
        os.truncate(far.put(name, b""), blocks * MEGABYTE)
        eventually(lambda: not list(spool.glob(".staging/*")), "for what others left to go")
        spooled = files_below(spool)
        daemon.forget_peak()
        before = daemon.memory()
        with client.connect() as connection:
            connection.send(get(f"/fileget?filename={name}"))
            status, headers = connection.head()
            assert (status, headers["Content-Length"]) == (200, str(blocks * MEGABYTE))
            for block in range(blocks):
                assert connection.read(MEGABYTE) == bytes(MEGABYTE)
                if block == blocks // 2:
                    assert files_below(spool) == spooled
            assert connection.rest() == b""
        assert daemon.peak_memory() - before <= 24 * MEGABYTE
        assert files_below(spool) == spooled
        far.originals().joinpath(name).unlink()

    @pytest_twisted.ensureDeferred
    async def test_a_range_is_all_that_is_fetched(self, far: FarEnd, client: Client) -> None:
        name, content = new_name(), os.urandom(20 * MEGABYTE)
        far.put(name, content)
        etag = (await client.head("/fileget", filename=name)).headers["ETag"]
        far.relay.count_anew()
        for header, expected in {
            "bytes=10000000-10000999": content[10 * MEGABYTE :][:1000],
            "bytes=-1000": content[-1000:],
            f"bytes={20 * MEGABYTE - 1}-": content[-1:],
        }.items():
            answer = await client.original(name, headers={"Range": header, "If-Range": etag})
            assert (answer.status, answer.body) == (206, expected)
        assert (await client.original(name, headers={"Range": f"bytes={len(content)}-"})).status == 416
        assert (await client.original(name, headers={"If-None-Match": etag})).status == 304
        assert (await client.head("/fileget", filename=name)).headers["Content-Length"] == str(len(content))
        assert far.relay.received < MEGABYTE

    @pytest_twisted.ensureDeferred
    async def test_whoever_hangs_up_ends_the_transfer(self, far: FarEnd, client: Client) -> None:
        name = new_name(".mp4")
        os.truncate(far.put(name, b""), 200 * MEGABYTE)
        far.relay.count_anew()
        with client.connect(receive_buffer=4096) as connection:
            connection.send(get(f"/fileget?filename={name}"))
            assert connection.head()[0] == 200
        # Were the first one still fetched, it would be meanwhile.
        assert (await client.original(name, headers={"Range": "bytes=0-59999999"})).body == bytes(60 * MEGABYTE)
        assert far.relay.received < 90 * MEGABYTE

    @pytest_twisted.ensureDeferred
    async def test_one_new_thumbnail_for_many_is_one_fetch_and_one_job(self, far: FarEnd, client: Client) -> None:
        first, name, content = new_name(), new_name(), images.noisy_photograph((2400, 1600))
        assert len(content) > MEGABYTE
        far.put(first, content)
        far.put(name, content)
        # The first thumbnail of all is sent again when its directory has been made.
        assert (await client.thumbnail(first, 30)).status == 200
        far.relay.count_anew()
        answers = await gather(*(client.thumbnail(name, 1500) for _ in range(16)))
        assert {answer.status for answer in answers} == {200}
        assert len({answer.body for answer in answers}) == 1
        # The thumbnail itself is sent there once, and comes back sixteen times.
        thumbnail = len(answers[0].body)
        assert len(content) < far.relay.received < 1.5 * len(content) + 16 * thumbnail
        assert thumbnail < far.relay.sent < 1.5 * thumbnail


class TestTheSpool:
    """Thumbnails and metadata are made from copies."""

    @pytest_twisted.ensureDeferred
    async def test_a_copy_serves_every_scale_and_the_metadata(
        self, far: FarEnd, daemon: Daemon, client: Client
    ) -> None:
        name, content = new_name(), heavy_photograph(2 * MEGABYTE)
        far.put(name, content)
        assert (await client.thumbnail(name, 30)).image().size == (30, 20)
        far.relay.count_anew()
        assert (await client.thumbnail(name, 60)).image().size == (60, 40)
        assert (await client.metadata(name, dt="date")).text == "2012:02:02 13:48:41"
        daemon.restart()
        assert "Store main: <" not in daemon.log()
        assert (await client.thumbnail(name, 90)).image().size == (90, 60)
        assert far.relay.received < MEGABYTE

    @pytest_twisted.ensureDeferred
    async def test_the_spool_stays_within_its_size(self, far: FarEnd, client: Client, spool: Path) -> None:
        names = [new_name() for _ in range(8)]
        for name in names:
            far.put(name, heavy_photograph(MEGABYTE))
        await gather(*(client.metadata(name) for name in names))
        eventually(lambda: 0 < sum(files_below(spool).values()) <= SPOOL, "for copies to go")
        far.relay.count_anew()
        for name in names:
            assert (await client.thumbnail(name, 60)).image().size == (60, 40)
        assert far.relay.received > (len(names) - SPOOL // MEGABYTE) * MEGABYTE
        eventually(lambda: 0 < sum(files_below(spool).values()) <= SPOOL, "for copies to go")

    @pytest_twisted.ensureDeferred
    async def test_what_is_larger_than_the_spool_is_not_kept(self, far: FarEnd, client: Client, spool: Path) -> None:
        name = new_name()
        far.put(name, heavy_photograph(SPOOL + MEGABYTE))
        assert (await client.thumbnail(name, 60)).image().size == (60, 40)
        assert (await client.metadata(name)).status == 200
        eventually(lambda: sum(files_below(spool).values()) <= SPOOL, "for the copy to go")

    @pytest_twisted.ensureDeferred
    async def test_a_copy_that_was_tidied_away_is_fetched_again(self, far: FarEnd, client: Client, spool: Path) -> None:
        name = new_name()
        far.put(name, photograph())
        assert (await client.thumbnail(name, 30)).status == 200
        for path in files_below(spool):
            (spool / path).unlink(missing_ok=True)
        assert (await client.thumbnail(name, 60)).image().size == (60, 40)

    @pytest.mark.parametrize("behind_its_back", [False, True], ids=["through the daemon", "at the far end"])
    @pytest_twisted.ensureDeferred
    async def test_what_was_replaced_is_never_served_from_an_old_copy(
        self, far: FarEnd, client: Client, behind_its_back: bool
    ) -> None:
        name = new_name()
        old, new = with_date("2001:01:01 01:01:01"), with_date("2002:02:02 02:02:02")
        versions = [old, new, plain_picture(RED), plain_picture(BLUE)]
        for step, content in enumerate(versions):
            if behind_its_back:
                far.put(name, content, later=2 * step)
            else:
                await client.store(name, content)
            original, thumbnail, date = await gather(
                client.original(name), client.thumbnail(name, 50), client.metadata(name, dt="date")
            )
            assert original.body == content
            assert thumbnail.status == 200
            if step < 2:
                assert date.body in content
            else:
                assert date.status == 404
                assert shows(thumbnail, (RED, BLUE)[step - 2])

    @pytest_twisted.ensureDeferred
    async def test_versions_of_one_second_are_told_apart(self, far: FarEnd, client: Client) -> None:
        name = new_name()
        modified = far.put(name, plain_picture(RED)).stat().st_mtime_ns
        assert shows(await client.thumbnail(name, 50), RED)
        os.utime(far.put(name, plain_picture(BLUE) + bytes(100)), ns=(modified, modified))
        assert shows(await client.thumbnail(name, 50), BLUE)
        assert (await client.original(name)).body == plain_picture(BLUE) + bytes(100)

    @pytest_twisted.ensureDeferred
    async def test_an_older_file_put_in_place_is_a_new_version(self, far: FarEnd, client: Client) -> None:
        name = new_name()
        far.put(name, with_date("2001:01:01 01:01:01"))
        before = await client.original(name)
        assert (await client.metadata(name, dt="date")).text == "2001:01:01 01:01:01"
        far.put(name, with_date("2002:02:02 02:02:02"), later=-100_000)
        assert (await client.metadata(name, dt="date")).text == "2002:02:02 02:02:02"
        after = await client.original(name, headers={"If-None-Match": before.headers["ETag"]})
        assert (after.status, after.body) == (200, with_date("2002:02:02 02:02:02"))

    @pytest_twisted.ensureDeferred
    async def test_what_was_deleted_at_the_far_end_is_gone(self, far: FarEnd, client: Client) -> None:
        name = new_name()
        path = far.put(name, photograph())
        assert (await client.thumbnail(name, 50)).status == (await client.metadata(name)).status == 200
        path.unlink()
        answers = await gather(
            client.original(name),
            client.thumbnail(name, 50),
            client.thumbnail(name, 60),
            client.metadata(name),
            client.reference(name, type="T", scale=50),
            client.delete(name),
        )
        assert {answer.status for answer in answers} == {404}
        assert not [path for path in files_below(far.root) if Path(name).stem in path]

    @pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
    def test_an_upload_that_breaks_off_leaves_nothing(
        self, far: FarEnd, client: Client, spool: Path, order: str
    ) -> None:
        name = new_name()
        form = getattr(client, order)(name)
        with client.connect() as connection:
            connection.send(form.head(2 * MEGABYTE) + form.before + bytes(MEGABYTE))
            eventually(lambda: list(spool.glob(".staging/*")), "for the staging file")
        eventually(lambda: not list(spool.glob(".staging/*")), "for the staging file to go")
        assert not [path for path in files_below(far.root) if name in path]


class TestSeveralStores:
    """One collection there and one here, on another disk than the spool; thumbnails of both here."""

    @pytest.fixture(scope="class")
    @classmethod
    def disk(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
        """A disk of its own."""
        with small_disk(tmp_path_factory.mktemp("disk"), "16m") as disk:
            yield disk

    @pytest.fixture(scope="class")
    @classmethod
    def daemon(cls, far: FarEnd, disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
        """A daemon with two stores."""
        stores = {"far": far.table(), "near": {"plugin": "filesystem", "path": disk}}
        places = {"There": {"directory": "there"}, "Here": {"directory": "here", "store": "near"}}
        config = {
            "stores": stores,
            "collections": {"mode": "map", "store": "far", "map": places},
            "thumbnails": {"store": "near"},
            # All of the disk is less than what is left free otherwise.
            "limits": {"min_free": 0},
        }
        daemon = Daemon(tmp_path_factory.mktemp("several"), config).start()
        yield daemon
        daemon.stop()

    @pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
    @pytest_twisted.ensureDeferred
    async def test_each_collection_is_on_its_store_and_the_thumbnails_on_theirs(
        self, far: FarEnd, disk: Path, client: Client, order: str
    ) -> None:
        name = new_name()
        for coll, colour in {"There": RED, "Here": BLUE}.items():
            answer = await client.upload(getattr(client, order)(name, coll=coll), plain_picture(colour))
            assert answer.body == b"Ok."
            assert (await client.original(name, coll=coll)).body == plain_picture(colour)
            assert shows(await client.thumbnail(name, 50, coll=coll), colour)
        thumbnail = f"{Path(name).stem}_50.jpg"
        assert f"there/originals/{name}" in files_below(far.root)
        assert not [path for path in files_below(far.root) if thumbnail in path]
        ours = sorted(path for path in files_below(disk) if Path(name).stem in path)
        assert ours == [f"here/originals/{name}", f"here/thumbnails/{thumbnail}", f"there/thumbnails/{thumbnail}"]

        await client.upload(getattr(client, order)(name, coll="There"), plain_picture(BLUE))
        assert shows(await client.thumbnail(name, 50, coll="There"), BLUE)
        assert (await client.delete(name, coll="There")).body == b"Ok."
        assert (await client.original(name, coll="There")).status == 404
        assert shows(await client.thumbnail(name, 50, coll="Here"), BLUE)
        assert sorted(path for path in files_below(disk) if Path(name).stem in path) == ours[:2]

    @pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
    def test_an_upload_takes_no_memory(self, far: FarEnd, daemon: Daemon, client: Client, order: str) -> None:
        name, block, blocks = new_name(".mp4"), os.urandom(MEGABYTE), 60
        form = getattr(client, order)(name, coll="There")
        spooled = files_below(daemon.directory / "spool")
        daemon.forget_peak()
        before = daemon.memory()
        with client.connect() as connection:
            connection.send(form.head(blocks * len(block)) + form.before)
            for _ in range(blocks):
                connection.send(block)
            connection.send(form.after)
            assert connection.answer().body == b"Ok."
        assert daemon.peak_memory() - before <= 32 * MEGABYTE
        assert far.originals("there").joinpath(name).read_bytes() == block * blocks
        eventually(lambda: files_below(daemon.directory / "spool") == spooled, "for the staging file to go")
        far.originals("there").joinpath(name).unlink()
