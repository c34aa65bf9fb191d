"""The contract on a filesystem store, what of it shows on the disk, and what the configuration changes."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from urllib.request import urlopen
from xml.etree import ElementTree

import pytest
import pytest_twisted
from PIL import Image
from twisted.internet.utils import getProcessOutput

from tests.conftest import RunDaemon
from tests.support import images, prepared
from tests.support.client import Answer, Client, Connection, Form, file_part, text_part
from tests.support.daemon import BIN, KEY, Daemon, clean_environment, eventually
from tests.support.http_contract import (
    BLUE,
    RED,
    HTTPContract,
    check_allowed_everywhere,
    check_refused,
    gather,
    get,
    new_name,
    photograph,
    plain_picture,
    shows,
)
from tests.support.ports import free_port
from tests.support.slow import slow_after
from tests.support.staging import leave_stale

GREEN = (30, 200, 30)


def client_of(daemon: Daemon) -> Client:
    """A client of `daemon` that knows the key all tests use."""
    return Client(daemon.url, KEY)


def store_at(path: Path, **options: str) -> dict[str, dict[str, dict[str, object]]]:
    """The configuration of one filesystem store."""
    return {"stores": {"main": {"plugin": "filesystem", "path": path, **options}}}


@contextmanager
def running(daemon: Daemon) -> Iterator[Daemon]:
    """A daemon that runs as long as the context lasts."""
    daemon.start()
    yield daemon
    daemon.stop()


def put(path: Path, content: bytes, age: int = 0) -> None:
    """Write a file that was last modified `age` seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time.time() - age,) * 2)


def files_below(directory: Path) -> list[str]:
    """The relative paths of all files but those that say which daemons are there."""
    return sorted(str(path.relative_to(directory)) for path in tree(directory) if not path.is_dir())


def tree(directory: Path) -> list[Path]:
    """All files and directories below a directory, but for those that say which daemons are there."""
    return sorted(path for path in directory.rglob("*") if ".daemons" not in path.parts)


def finished_below(directory: Path) -> list[str]:
    """The relative paths of all files but those that are being written."""
    return [path for path in files_below(directory) if "/.staging/" not in f"/{path}"]


@pytest.fixture(scope="module")
def sharded_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a sharded store."""
    directory = tmp_path_factory.mktemp("sharded")
    with running(Daemon(directory, store_at(directory / "store", layout="sharded"))) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def mapped_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with three collections in two stores."""
    directory = tmp_path_factory.mktemp("collections")
    stores = {name: {"plugin": "filesystem", "path": directory / name} for name in ("main", "nas")}
    collections = {
        "KUFishvoucher": {"directory": "Ichthyology"},
        "Käfer": {"directory": "Entomology/Coleoptera"},
        "KUHerbarium": {"directory": "Botany", "store": "nas"},
    }
    mapped = {"mode": "map", "store": "main", "map": collections}
    with running(Daemon(directory, {"stores": stores, "collections": mapped})) as daemon:
        yield daemon


class TestFilesystem(HTTPContract):
    @pytest.fixture
    def client(self, filesystem_client: Client) -> Client:
        return filesystem_client


class TestOnTheDisk:
    """Section 4: the layout of an existing server's directory."""

    @pytest.fixture
    def client(self, filesystem_client: Client) -> Client:
        return filesystem_client

    @pytest.fixture
    def store(self, filesystem_daemon: Daemon) -> Path:
        return filesystem_daemon.store

    @pytest.mark.parametrize(
        ("extension", "ending"),
        [
            (".jpg", "_60.jpg"),
            (".JPG", "_60.JPG"),
            (".att.jpg", ".att_60.jpg"),
            (".pdf", "_60.png"),
            (".heic", "_60.png"),
            ("", "_60.png"),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_files_lie_where_the_official_server_has_them(
        self, client: Client, store: Path, extension: str, ending: str
    ) -> None:
        name = new_name(extension)
        content = {".pdf": images.pdf, ".heic": images.heic}.get(extension, photograph)()
        await client.store(name, content)
        assert (store / "originals" / name).read_bytes() == content
        answer = await client.thumbnail(name, 60)
        assert (store / "thumbnails" / f"{name.removesuffix(extension)}{ending}").read_bytes() == answer.body

    @pytest_twisted.ensureDeferred
    async def test_delete_leaves_no_file(self, client: Client, store: Path) -> None:
        name = new_name()
        await client.store(name, photograph())
        for scale in (1, 60, 4096):
            await client.thumbnail(name, scale)
        await client.delete(name)
        assert not [path for path in files_below(store) if name.removesuffix(".jpg") in path]

    @pytest_twisted.ensureDeferred
    async def test_thumbnails_without_an_original_are_deleted_all_the_same(self, client: Client, store: Path) -> None:
        name, root = new_name(), new_name("")
        for thumbnail in (
            f"{root}_60.jpg",
            f"{root}_4096.jpg",
            f"{root}4_60.jpg",
            f"{root}_60.jpeg",
            f"{root}_60_60.jpg",
        ):
            put(store / "thumbnails" / thumbnail, plain_picture(RED))
        assert (await client.thumbnail(f"{root}.jpg", 60)).status == 404
        assert (await client.get(f"/static/thumbnails/{root}_60.jpg")).status == 404
        check_refused(await client.delete(f"{root}.jpg"), 404, client.key)
        left = [path for path in files_below(store) if root in path]
        assert left == sorted(f"thumbnails/{root}{end}" for end in ("4_60.jpg", "_60.jpeg", "_60_60.jpg"))
        check_refused(await client.delete(name), 404, client.key)

    @pytest_twisted.ensureDeferred
    async def test_thumbnails_of_every_scale_are_deleted(self, client: Client, store: Path) -> None:
        root = new_name("")
        for scale in (1, 10, 999, 4096):
            put(store / "thumbnails" / f"{root}_{scale}.jpg", plain_picture(RED))
        put(store / "originals" / f"{root}.jpg", plain_picture(RED))
        assert (await client.delete(f"{root}.jpg")).body == b"Ok."
        assert not [path for path in files_below(store) if root in path]

    @pytest_twisted.ensureDeferred
    async def test_a_file_copied_in_by_hand_is_an_asset(self, client: Client, store: Path) -> None:
        name = new_name(" käfer.jpg")
        put(store / "originals" / name, photograph(), age=1_000_000)
        assert (await client.original(name)).body == photograph()
        assert (await client.thumbnail(name, 60)).image().size == (60, 40)
        assert (await client.metadata(name, dt="date")).text == images.TAKEN
        assert (await client.delete(name)).body == b"Ok."

    @pytest_twisted.ensureDeferred
    async def test_a_file_replaced_by_hand_has_a_new_thumbnail(self, client: Client, store: Path) -> None:
        name = new_name()
        await client.store(name, plain_picture(RED))
        before = await client.thumbnail(name, 60)
        assert shows(before, RED)
        put(store / "originals" / name, plain_picture(BLUE))
        assert shows(await client.thumbnail(name, 60, headers={"If-None-Match": before.headers["ETag"]}), BLUE)
        assert (await client.original(name)).body == plain_picture(BLUE)

    @pytest_twisted.ensureDeferred
    async def test_a_file_from_a_machine_whose_clock_is_ahead_is_an_asset(self, client: Client, store: Path) -> None:
        name = new_name()
        put(store / "originals" / name, plain_picture(RED), age=-3600)
        for _ in range(2):
            assert shows(await client.thumbnail(name, 60), RED)
        put(store / "originals" / name, plain_picture(BLUE), age=-3600)
        assert shows(await client.thumbnail(name, 60), BLUE)

    @pytest_twisted.ensureDeferred
    async def test_a_file_removed_by_hand_is_gone_with_its_thumbnails(self, client: Client, store: Path) -> None:
        name = new_name()
        await client.store(name, plain_picture(RED))
        assert (await client.thumbnail(name, 60)).status == 200
        (store / "originals" / name).unlink()
        assert (await client.original(name)).status == 404
        assert (await client.thumbnail(name, 60)).status == 404
        assert (await client.get(f"/static/thumbnails/{name.removesuffix('.jpg')}_60.jpg")).status == 404

    @pytest_twisted.ensureDeferred
    async def test_a_thumbnail_older_than_its_original_is_never_served(self, client: Client, store: Path) -> None:
        name = new_name()
        thumbnail = f"{name.removesuffix('.jpg')}_60.jpg"
        put(store / "originals" / name, plain_picture(BLUE), age=10)
        put(store / "thumbnails" / thumbnail, plain_picture(RED, (60, 40)), age=20)
        assert (await client.get(f"/static/thumbnails/{thumbnail}")).status == 404
        assert shows(await client.thumbnail(name, 60), BLUE)
        assert shows(await client.get(f"/static/thumbnails/{thumbnail}"), BLUE)

    @pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
    @pytest_twisted.ensureDeferred
    async def test_what_is_no_file_is_no_asset(self, client: Client, store: Path, make: object) -> None:
        name = new_name()
        assert callable(make)
        make(store / "originals" / name)
        for answer in (
            await client.original(name),
            await client.thumbnail(name, 60),
            await client.metadata(name),
            await client.get(f"/static/originals/{name}"),
        ):
            check_refused(answer, 404, client.key)
        path = store / "originals" / name
        path.rmdir() if path.is_dir() else path.unlink()

    @pytest_twisted.ensureDeferred
    async def test_refused_uploads_leave_no_file(self, client: Client, store: Path) -> None:
        outside = finished_below(store.parent)
        root = new_name("")
        for form in (
            client.specify7_form(f"../{root}.jpg"),
            client.specify7_form(str(store / f"{root}.jpg")),
            client.specify7_form(f"{root}.jpg", token="0:0"),
            client.specify6_form(f"{root}.jpg", token="0:0"),
            client.specify6_form(f"{root}.jpg", kind="T"),
            client.specify7_form(f"{root}.jpg", kind="T"),
            Form.of(file_part(), text_part("token", client.token(""))),
        ):
            answer = await client.upload(form, bytes(1 << 20))
            assert answer.status in (200, 400, 403)
            assert answer.body != b"Ok."
        eventually(lambda: files_below(store.parent) == outside, "for the staging files to go")


class TestAdoption:
    """Section 4: an existing server's directory is adopted as it is, and can be given back."""

    @pytest_twisted.ensureDeferred
    async def test_an_official_directory_is_served_as_it_is(self, run_daemon: RunDaemon, tmp_path: Path) -> None:
        base = tmp_path / "museum"
        kinds = {"a.jpg": "a_60.jpg", "b.pdf": "b_60.png", "c.tif": "c_60.png", "sp61.att.JPG": "sp61.att_60.JPG"}
        marks = {}
        for name, thumbnail in kinds.items():
            formats = {".jpg": "JPEG", ".JPG": "JPEG", ".tif": "TIFF", ".pdf": "PDF"}
            put(base / "originals" / name, images.encode(images.chart(), formats[name[-4:]]), age=10)
            marks[name] = images.encode(Image.new("RGB", (60, 40), RED), "PNG" if thumbnail.endswith("png") else "JPEG")
            put(base / "thumbnails" / thumbnail, marks[name], age=5)
        before = files_below(base)
        client = client_of(run_daemon(store_at(base)))
        for name, thumbnail in kinds.items():
            assert (await client.original(name)).body == (base / "originals" / name).read_bytes()
            assert (await client.thumbnail(name, 60)).body == marks[name]
            assert (await client.get(f"/static/thumbnails/{thumbnail}")).body == marks[name]
        assert files_below(base) == before

    @pytest_twisted.ensureDeferred
    async def test_official_thumbnails_go_with_their_original(self, run_daemon: RunDaemon, tmp_path: Path) -> None:
        base = tmp_path / "museum"
        for name in ("sp612.att.jpg", "sp6123.att.jpg"):
            put(base / "originals" / name, plain_picture(RED), age=10)
            for scale in (50, 123, 400):
                put(base / "thumbnails" / name.replace(".jpg", f"_{scale}.jpg"), plain_picture(RED, (50, 33)), age=5)
        put(base / "originals" / "d.pdf", images.pdf(), age=10)
        put(base / "thumbnails" / "d_50.png", images.encode(Image.new("RGB", (50, 33), RED), "PNG"), age=5)
        client = client_of(run_daemon(store_at(base)))
        assert (await client.delete("sp612.att.jpg")).body == b"Ok."
        assert (await client.delete("d.pdf")).body == b"Ok."
        await client.store("sp6123.att.jpg", plain_picture(BLUE))
        assert files_below(base) == ["originals/sp6123.att.jpg"]
        assert shows(await client.thumbnail("sp6123.att.jpg", 50), BLUE)

    @pytest_twisted.ensureDeferred
    async def test_thumbnails_larger_than_ours_go_with_their_original(
        self, run_daemon: RunDaemon, tmp_path: Path
    ) -> None:
        base = tmp_path / "museum"
        put(base / "originals" / "a.jpg", plain_picture(RED), age=10)
        for scale in (4096, 4097, 12_345):
            put(base / "thumbnails" / f"a_{scale}.jpg", plain_picture(RED), age=5)
        daemon = run_daemon(store_at(base))
        eventually(lambda: "[4097, 12345]" in daemon.log(), "for the thumbnails to be looked through")
        assert (await client_of(daemon).delete("a.jpg")).body == b"Ok."
        assert files_below(base) == []

    @pytest_twisted.ensureDeferred
    async def test_nothing_foreign_is_left_in_the_directory(self, run_daemon: RunDaemon, tmp_path: Path) -> None:
        base = tmp_path / "museum"
        daemon = run_daemon(store_at(base))
        client = client_of(daemon)
        await client.store("a.jpg", photograph())
        await client.thumbnail("a.jpg", 60)
        daemon.stop()
        assert files_below(base) == ["originals/a.jpg", "thumbnails/a_60.jpg"]
        assert sorted(path.name for path in base.iterdir() if not path.name.startswith(".")) == [
            "originals",
            "thumbnails",
        ]

    def test_unfinished_uploads_are_removed_at_start(self, run_daemon: RunDaemon, tmp_path: Path) -> None:
        base = tmp_path / "museum"
        put(base / "originals" / "a.jpg", b"a")
        for directory in (base, base / "originals", base / "thumbnails"):
            leave_stale(directory)
        run_daemon(store_at(base))
        eventually(lambda: files_below(base) == ["originals/a.jpg"], "for the unfinished uploads to go")

    def test_a_daemon_does_not_remove_the_unfinished_uploads_of_another(
        self, run_daemon: RunDaemon, tmp_path: Path
    ) -> None:
        base = tmp_path / "museum"
        first = client_of(run_daemon(store_at(base)))
        form = first.specify7_form("a.jpg")
        with first.connect() as connection:
            connection.send(form.head(2 << 20) + form.before + bytes(1 << 20))
            eventually(lambda: files_below(base), "for the staging file")
            second = run_daemon(store_at(base))
            left = leave_stale(base)
            second.restart()
            eventually(lambda: not left.exists(), "for the second to clean up")
            connection.send(bytes(1 << 20) + form.after)
            assert connection.answer().body == b"Ok."
        assert (base / "originals" / "a.jpg").read_bytes() == bytes(2 << 20)


class TestSharded:
    """Section 4: `layout = "sharded"`."""

    @pytest.fixture
    def client(self, sharded_daemon: Daemon) -> Client:
        return client_of(sharded_daemon)

    @pytest.mark.parametrize(
        ("name", "shards"), [("abcdef.jpg", "ab/cd"), ("käfer.jpg", "kä/fe"), ("a", None), ("b..b.jpg", None)]
    )
    @pytest_twisted.ensureDeferred
    async def test_two_levels_lie_above_the_files(
        self, sharded_daemon: Daemon, client: Client, name: str, shards: str | None
    ) -> None:
        await client.store(name, photograph())
        assert (await client.original(name)).body == photograph()
        assert (await client.thumbnail(name, 60)).image().size == (60, 40)
        assert (await client.thumbnail(name, 70)).image().size[0] == 70
        assert {path.count("/") for path in files_below(sharded_daemon.store)} == {3}
        if shards:
            root = Path(name).stem
            assert files_below(sharded_daemon.store) == [
                f"originals/{shards}/{name}",
                f"thumbnails/{shards}/{root}_60.jpg",
                f"thumbnails/{shards}/{root}_70.jpg",
            ]
        reference = (await client.reference(name)).text.removeprefix(client.base_url)
        assert (await client.get(reference)).body == photograph()
        assert (await client.delete(name)).body == b"Ok."
        assert files_below(sharded_daemon.store) == []

    @pytest_twisted.ensureDeferred
    async def test_a_file_copied_in_by_hand_is_an_asset(self, sharded_daemon: Daemon, client: Client) -> None:
        put(sharded_daemon.store / "originals" / "gh" / "ij" / "ghij.jpg", photograph())
        assert (await client.original("ghij.jpg")).body == photograph()
        assert (await client.thumbnail("ghij.jpg", 60)).image().size == (60, 40)
        assert (await client.delete("ghij.jpg")).body == b"Ok."


class TestCollections:
    """Section 4: `coll`."""

    @pytest.fixture
    def client(self, mapped_daemon: Daemon) -> Client:
        return client_of(mapped_daemon)

    @pytest_twisted.ensureDeferred
    async def test_each_collection_has_its_directory_and_store(self, mapped_daemon: Daemon, client: Client) -> None:
        places = {
            "KUFishvoucher": mapped_daemon.directory / "main" / "Ichthyology",
            "Käfer": mapped_daemon.directory / "main" / "Entomology" / "Coleoptera",
            "KUHerbarium": mapped_daemon.directory / "nas" / "Botany",
        }
        colours = dict(zip(places, (RED, BLUE, GREEN), strict=True))
        for coll, colour in colours.items():
            await client.store("a.jpg", plain_picture(colour), coll=coll)
        for coll, place in places.items():
            assert shows(await client.original("a.jpg", coll=coll), colours[coll])
            assert shows(await client.thumbnail("a.jpg", 60, coll=coll), colours[coll])
            assert files_below(place) == ["originals/a.jpg", "thumbnails/a_60.jpg"]
            assert (await client.metadata("a.jpg", coll=coll)).json == []
            for params in ({"type": "O"}, {"type": "T", "scale": 60}):
                reference = (await client.reference("a.jpg", coll=coll, **params)).text
                assert shows(await client.get(reference.removeprefix(client.base_url)), colours[coll])
        reference = (await client.reference("a.jpg", coll="KUFishvoucher")).text
        assert reference == f"{client.base_url}/static/Ichthyology/originals/a.jpg"
        assert (await client.delete("a.jpg", coll="KUFishvoucher")).body == b"Ok."
        assert files_below(places["KUFishvoucher"]) == []
        assert shows(await client.thumbnail("a.jpg", 60, coll="Käfer"), BLUE)
        assert shows(await client.thumbnail("a.jpg", 60, coll="KUHerbarium"), GREEN)
        for coll in ("Käfer", "KUHerbarium"):
            assert (await client.delete("a.jpg", coll=coll)).body == b"Ok."

    @pytest_twisted.ensureDeferred
    async def test_specify_6_names_collections_in_latin_1(self, mapped_daemon: Daemon, client: Client) -> None:
        name = new_name()
        assert (await client.upload_like_specify6(name, b"a", coll="Käfer")).body == b"Ok."
        directory = mapped_daemon.directory / "main" / "Entomology" / "Coleoptera"
        assert (directory / "originals" / name).read_bytes() == b"a"

    @pytest_twisted.ensureDeferred
    async def test_an_unknown_or_missing_collection_is_not_found(self, mapped_daemon: Daemon, client: Client) -> None:
        name = new_name()
        before = finished_below(mapped_daemon.directory / "main")
        for coll in (None, "", "Ichthyology", "kufishvoucher", "../main/Ichthyology", "KUFishvoucher/", "é"):
            answers: list[Answer] = [
                await client.upload_like_specify7(name, b"a", coll=coll),
                await client.original(name, coll=coll),
                await client.thumbnail(name, 60, coll=coll),
                await client.metadata(name, coll=coll),
                await client.reference(name, coll=coll),
                await client.delete(name, coll=coll),
            ]
            if coll is not None:
                answers.append(await client.upload_like_specify6(name, b"a", coll=coll))
            for answer in answers:
                check_refused(answer, 404, client.key)
        for path in ("originals", "KUFishvoucher/originals", "nas/originals", "Botany/originals"):
            check_refused(await client.get(f"/static/{path}/{name}"), 404, client.key)
        eventually(lambda: files_below(mapped_daemon.directory / "main") == before, "for the staging files to go")

    def test_an_unknown_collection_that_comes_first_is_answered_first(self, client: Client) -> None:
        form = client.specify6_form(new_name(), coll="unknown")
        with client.connect() as connection:
            connection.send(form.head(1 << 20) + form.before)
            answer = connection.answer()
        check_refused(answer, 404, client.key)
        check_allowed_everywhere(answer)

    @pytest_twisted.ensureDeferred
    async def test_the_stores_may_differ_for_a_file_that_comes_before_its_collection(
        self, mapped_daemon: Daemon, client: Client
    ) -> None:
        name = new_name()
        before = finished_below(mapped_daemon.directory / "main")
        await client.store(name, b"new" * 1000, coll="KUHerbarium")
        assert (mapped_daemon.directory / "nas" / "Botany" / "originals" / name).read_bytes() == b"new" * 1000
        eventually(lambda: files_below(mapped_daemon.directory / "main") == before, "for the staging files to go")

    @pytest_twisted.ensureDeferred
    async def test_with_auto_every_name_is_a_directory(self, run_daemon: RunDaemon, tmp_path: Path) -> None:
        base = tmp_path / "museum"
        client = client_of(run_daemon({"collections": {"mode": "auto"}, **store_at(base)}))
        for coll in ("KUFishvoucher", "two words", "Käfer"):
            check_refused(await client.original("a.jpg", coll=coll), 404, client.key)
            await client.store("a.jpg", photograph(), coll=coll)
            assert (await client.thumbnail("a.jpg", 60, coll=coll)).status == 200
            assert files_below(base / coll) == ["originals/a.jpg", "thumbnails/a_60.jpg"]
            reference = (await client.reference("a.jpg", coll=coll)).text.removeprefix(client.base_url)
            assert (await client.get(reference)).status == 200
            assert (await client.delete("a.jpg", coll=coll)).body == b"Ok."
        before = tree(base)
        for coll in (None, "", ".", "..", "a/b", "/etc", ".hidden", "a\\b", "a\0", "a" * 256):
            for answer in (
                await client.upload_like_specify7("a.jpg", b"a", coll=coll),
                await client.original("a.jpg", coll=coll),
                await client.delete("a.jpg", coll=coll),
            ):
                assert answer.status in (400, 404)
                check_refused(answer, answer.status, client.key)
        assert (await client.original("a.jpg", coll="new")).status == 404
        eventually(lambda: tree(base) == before, "for the directory to be as it was")

    @pytest_twisted.ensureDeferred
    async def test_thumbnails_may_lie_in_another_store(self, run_daemon: RunDaemon, tmp_path: Path) -> None:
        stores = {name: {"plugin": "filesystem", "path": tmp_path / name} for name in ("main", "cache")}
        client = client_of(run_daemon({"stores": stores, "thumbnails": {"store": "cache"}}))
        await client.store("a.jpg", plain_picture(RED))
        assert shows(await client.thumbnail("a.jpg", 60), RED)
        assert files_below(tmp_path / "main") == ["originals/a.jpg"]
        assert files_below(tmp_path / "cache") == ["thumbnails/a_60.jpg"]
        await client.store("a.jpg", plain_picture(BLUE))
        assert shows(await client.thumbnail("a.jpg", 60), BLUE)
        assert (await client.delete("a.jpg")).body == b"Ok."
        assert files_below(tmp_path / "main") == files_below(tmp_path / "cache") == []


class TestSettings:
    """What `[server]` and `[thumbnails]` change."""

    @pytest_twisted.ensureDeferred
    async def test_tokens_can_be_required_to_read(self, run_daemon: RunDaemon) -> None:
        client = client_of(run_daemon({"server": {"require_token_for_get": True, "static_access": False}}))
        await client.store("a.jpg", photograph())
        good, other = client.token("a.jpg"), client.token("b.jpg")
        for path, params in [
            ("/fileget", {}),
            ("/fileget", {"type": "T", "scale": 60}),
            ("/getmetadata", {}),
            ("/getmetadata", {"dt": "date"}),
        ]:
            for token in (None, "", other, "a:b:c"):
                answer = await client.get(path, filename="a.jpg", token=token, **params)
                check_refused(answer, 403, client.key)
                assert (await client.head(path, filename="a.jpg", token=token, **params)).status == 403
                if path == "/fileget":
                    check_allowed_everywhere(answer)
            assert (await client.get(path, filename="a.jpg", token=good, **params)).status == 200
            assert (await client.head(path, filename="a.jpg", token=good, **params)).status == 200
        check_refused(await client.original("missing.jpg"), 403, client.key)

    @pytest_twisted.ensureDeferred
    async def test_the_window_of_tokens_can_be_switched_off(self, run_daemon: RunDaemon) -> None:
        client = client_of(run_daemon({"server": {"token_window": 0}}))
        assert (await client.get("/testkey", random="a", token=client.token("a", 1))).body == b"Ok."
        assert (await client.get("/testkey", random="a", token=client.token("b", 1))).status == 403

    @pytest_twisted.ensureDeferred
    async def test_the_window_of_tokens_can_be_made_smaller(self, run_daemon: RunDaemon) -> None:
        client = client_of(run_daemon({"server": {"token_window": 50}}))
        for offset, status in ((-40, 200), (40, 200), (-60, 403), (60, 403)):
            token = client.token("a", int(time.time()) + offset)
            assert (await client.get("/testkey", random="a", token=token)).status == status

    @pytest_twisted.ensureDeferred
    async def test_static_access_can_be_off(self, run_daemon: RunDaemon) -> None:
        client = client_of(run_daemon({"server": {"static_access": False}}))
        await client.store("a.jpg", photograph())
        assert (await client.thumbnail("a.jpg", 60)).status == 200
        for answer in (
            await client.get("/static/originals/a.jpg"),
            await client.get("/static/thumbnails/a_60.jpg"),
            await client.reference("a.jpg"),
            await client.reference("a.jpg", type="T", scale=60),
            await client.reference(""),
        ):
            check_refused(answer, 404, client.key)
            check_allowed_everywhere(answer)

    @pytest_twisted.ensureDeferred
    async def test_replacing_can_be_forbidden(self, run_daemon: RunDaemon) -> None:
        daemon = run_daemon({"server": {"overwrite": False}})
        client = client_of(daemon)
        await client.store("a.jpg", plain_picture(RED))
        assert (await client.thumbnail("a.jpg", 60)).status == 200
        for upload in (client.upload_like_specify7, client.upload_like_specify6):
            answer = await upload("a.jpg", plain_picture(BLUE))
            check_refused(answer, 409, client.key)
            check_allowed_everywhere(answer)
        assert (await client.upload_like_specify6("a.jpg", b"x", kind="T")).status == 200
        assert (await client.original("a.jpg")).body == plain_picture(RED)
        assert shows(await client.get("/static/thumbnails/a_60.jpg"), RED)
        assert (await client.delete("a.jpg")).body == b"Ok."
        answers = await gather(*(client.upload_like_specify7("a.jpg", b"%d" % number) for number in range(8)))
        assert sorted(answer.status for answer in answers) == [200] + [409] * 7
        winner = next(number for number, answer in enumerate(answers) if answer.status == 200)
        assert (await client.original("a.jpg")).body == b"%d" % winner
        eventually(lambda: files_below(daemon.store) == ["originals/a.jpg"], "for the staging files to go")

    @pytest.mark.parametrize("public_url", ["https://assets.example.org/was", "https://assets.example.org/was/"])
    @pytest_twisted.ensureDeferred
    async def test_the_public_address_is_told(self, run_daemon: RunDaemon, public_url: str) -> None:
        client = client_of(run_daemon({"server": {"public_url": public_url, "trusted_proxies": ["127.0.0.1"]}}))
        answer = client.raw(get("/web_asset_store.xml", "X-Forwarded-Host: elsewhere"))
        urls = [url.text for url in ElementTree.fromstring(answer.body)]
        assert urls[0] == "https://assets.example.org/was/fileget"
        assert urls[4] == "https://assets.example.org/was/testkey"
        await client.store("a.jpg", b"a")
        reference = await client.reference("a.jpg")
        assert reference.text == "https://assets.example.org/was/static/originals/a.jpg"
        for told in (answer, reference):
            assert "Vary" not in told.headers
            assert "Cache-Control" not in told.headers

    @pytest.mark.parametrize("host", ["user@evil", "evil/path", "evil:port", "[::1", "été"])
    @pytest_twisted.ensureDeferred
    async def test_what_is_no_host_is_not_believed_of_a_proxy_either(self, run_daemon: RunDaemon, host: str) -> None:
        client = client_of(run_daemon({"server": {"trusted_proxies": ["127.0.0.1"]}}))
        answer = client.raw(get("/web_asset_store.xml", f"X-Forwarded-Host: {host}"))
        check_refused(answer, 400, client.key)

    def test_a_client_that_names_no_host_is_told_the_address_that_it_uses(self, run_daemon: RunDaemon) -> None:
        port = free_port()
        run_daemon({"server": {"listen": [f"tcp6:{port}:interface=\\:\\:1"]}})
        with socket.create_connection(("::1", port)) as connection:
            connection.sendall(b"GET /web_asset_store.xml HTTP/1.0\r\n\r\n")
            answer = connection.makefile("rb").read()
        assert f'<url type="read">http://[::1]:{port}/fileget</url>'.encode() in answer

    @pytest_twisted.ensureDeferred
    async def test_two_versions_of_one_time_are_told_apart_by_their_tags_only(self, run_daemon: RunDaemon) -> None:
        daemon = run_daemon()
        client = client_of(daemon)
        path = daemon.store / "originals" / "a.bin"
        # A second that is not over, for as long as the test takes.
        put(path, b"old" * 100, age=-3600)
        old, modified = (await client.original("a.bin")).headers, path.stat().st_mtime_ns
        put(path, b"new" * 200)
        os.utime(path, ns=(modified, modified))
        date = old["Last-Modified"]
        assert parsedate_to_datetime(date) <= parsedate_to_datetime(old["Date"])
        for conditions in (
            {"If-Modified-Since": date},
            {"If-None-Match": old["ETag"]},
            {"Range": "bytes=300-", "If-Range": date},
            {"Range": "bytes=300-", "If-Range": old["ETag"]},
        ):
            answer = await client.original("a.bin", headers=conditions)
            assert (answer.status, answer.body) == (200, b"new" * 200), conditions

    @pytest_twisted.ensureDeferred
    async def test_a_file_without_a_time_is_told_apart_by_its_tag_only(self, run_daemon: RunDaemon) -> None:
        daemon = run_daemon()
        client = client_of(daemon)
        path = daemon.store / "originals" / "a.bin"
        put(path, b"content")
        os.utime(path, (0, 0))
        answer = await client.original("a.bin", headers={"If-Modified-Since": formatdate(usegmt=True)})
        assert (answer.status, answer.body) == (200, b"content")
        assert "Last-Modified" not in answer.headers

    @pytest_twisted.ensureDeferred
    async def test_a_trusted_proxy_tells_the_address(self, run_daemon: RunDaemon) -> None:
        client = client_of(run_daemon({"server": {"trusted_proxies": ["10.0.0.0/8", "127.0.0.0/24"]}}))
        await client.store("a.jpg", b"a")
        for headers, base in [
            ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example.org"}, "https://a.example.org"),
            ({"X-Forwarded-Host": "a.example.org:8443"}, "http://a.example.org:8443"),
            ({"X-Forwarded-Proto": "https"}, client.base_url.replace("http", "https")),
            ({"X-Forwarded-Proto": "https, http", "X-Forwarded-Host": "a.org, b.org"}, "https://a.org"),
            ({}, client.base_url),
        ]:
            document = (await client.get("/web_asset_store.xml", headers=headers)).body
            urls = [url.text for url in ElementTree.fromstring(document)]
            assert urls[0] == f"{base}/fileget"
            reference = (await client.get("/getfileref", filename="a.jpg", headers=headers)).text
            assert reference == f"{base}/static/originals/a.jpg"
        nonsense = await client.get("/web_asset_store.xml", headers={"X-Forwarded-Proto": "javascript"})
        check_refused(nonsense, 400, client.key)

    @pytest.mark.parametrize(
        "said",
        slow_after(
            4,
            [
                *(
                    "HTTPS",
                    "wss, http",
                    '"https", "http"',
                    '"", https',
                    "Https",
                    "wss",
                    "WSS",
                    "on",
                    "On",
                    "ssl",
                    "SSL",
                ),
                *(" https ", '"https"', "https,https", ", https"),
            ],
        ),
    )
    @pytest_twisted.ensureDeferred
    async def test_a_proxy_says_in_many_ways_that_clients_use_https(self, run_daemon: RunDaemon, said: str) -> None:
        client = client_of(run_daemon({"server": {"trusted_proxies": ["127.0.0.1"]}}))
        answer = client.raw(get("/web_asset_store.xml", f"X-Forwarded-Proto: {said}", "X-Forwarded-Host: a.org"))
        assert ElementTree.fromstring(answer.body)[0].text == "https://a.org/fileget"

    @pytest_twisted.ensureDeferred
    async def test_of_the_lines_of_several_proxies_the_first_counts(self, run_daemon: RunDaemon) -> None:
        client = client_of(run_daemon({"server": {"trusted_proxies": ["127.0.0.1"]}}))
        lines = [f"X-Forwarded-{line}" for line in ("Proto: https", "Proto: http", "Host: a.org", "Host: inner")]
        answer = client.raw(get("/web_asset_store.xml", *lines))
        assert ElementTree.fromstring(answer.body)[0].text == "https://a.org/fileget"

    @pytest.mark.parametrize(
        "said", slow_after(3, ["HTTP", "", "http, https", "ws", "off", "OFF", '"http"', '""', ","])
    )
    @pytest_twisted.ensureDeferred
    async def test_and_that_they_do_not(self, run_daemon: RunDaemon, said: str) -> None:
        client = client_of(run_daemon({"server": {"trusted_proxies": ["127.0.0.1"]}}))
        answer = client.raw(get("/web_asset_store.xml", f"X-Forwarded-Proto: {said}", "X-Forwarded-Host: a.org"))
        assert ElementTree.fromstring(answer.body)[0].text == "http://a.org/fileget"

    @pytest.mark.parametrize(
        ("header", "value", "told"),
        [
            ("Proto", "1", 'X-Forwarded-Proto is "1", which is neither http nor https'),
            ("Proto", "true", 'X-Forwarded-Proto is "true", which is neither http nor https'),
            ("Proto", "nonsense, https", 'X-Forwarded-Proto is "nonsense", which is neither http nor https'),
            ("Proto", "s" * 99, 'X-Forwarded-Proto is "' + "s" * 40 + '", which is neither http nor https'),
            ("Proto", "ß", r'X-Forwarded-Proto is "\xdf", which is neither http nor https'),
            ("Host", "user@evil", 'X-Forwarded-Host is "user@evil", which is not a host'),
            ("Host", "a:port", 'X-Forwarded-Host is "a:port", which is not a host'),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_a_header_of_a_proxy_that_makes_no_sense_is_named(
        self, run_daemon: RunDaemon, header: str, value: str, told: str
    ) -> None:
        client = client_of(run_daemon({"server": {"trusted_proxies": ["127.0.0.1"]}}))
        answer = client.raw(get("/web_asset_store.xml", f"X-Forwarded-{header}: {value}"))
        check_refused(answer, 400, client.key)
        assert answer.text.strip() == told

    @pytest_twisted.ensureDeferred
    async def test_a_proxy_that_is_not_trusted_tells_nothing(self, run_daemon: RunDaemon) -> None:
        client = client_of(run_daemon({"server": {"trusted_proxies": ["10.0.0.0/8", "::1"]}}))
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example.org"}
        document = (await client.get("/web_asset_store.xml", headers=headers)).body
        assert ElementTree.fromstring(document)[0].text == f"{client.base_url}/fileget"

    @pytest_twisted.ensureDeferred
    async def test_the_largest_scale_can_be_set(self, run_daemon: RunDaemon) -> None:
        client = client_of(run_daemon({"thumbnails": {"max_scale": 100}}))
        await client.store("a.jpg", photograph())
        assert (await client.thumbnail("a.jpg", 100)).image().size[0] == 100
        check_refused(await client.thumbnail("a.jpg", 101), 400, client.key)

    @pytest_twisted.ensureDeferred
    async def test_a_full_queue_asks_to_come_back(self, run_daemon: RunDaemon) -> None:
        daemon = run_daemon({"thumbnails": {"workers": 1, "queue": 1}})
        client = client_of(daemon)
        for number in range(8):
            put(daemon.store / "originals" / f"{number}.jpg", plain_picture(RED, (3000, 2000)), age=10)
        answers = await gather(*(client.thumbnail(f"{number}.jpg", 60) for number in range(8)))
        statuses = [answer.status for answer in answers]
        assert set(statuses) == {200, 503}
        assert statuses.count(200) >= 2
        for answer in answers:
            if answer.status == 503:
                check_refused(answer, 503, client.key)
                check_allowed_everywhere(answer)
                assert int(answer.headers["Retry-After"]) > 0
        for number in range(8):
            assert shows(await client.thumbnail(f"{number}.jpg", 60), RED)

    def test_a_unix_socket_is_an_endpoint(self, run_daemon: RunDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
        daemon = run_daemon({"server": {"listen": ["unix:was.socket"]}})
        monkeypatch.chdir(daemon.directory)
        client = client_of(daemon)
        form = client.specify7_form("a.jpg")
        with Connection("was.socket") as connection:
            connection.send(form.head(1) + form.around(b"a"))
            assert connection.answer().body == b"Ok."
            connection.send(get("/fileget?filename=a.jpg", "X-Forwarded-For: 192.0.2.1"))
            assert connection.answer().body == b"a"
        with Connection("was.socket") as connection:
            connection.send(get("/web_asset_store.xml"))
            assert ElementTree.fromstring(connection.answer().body)[0].text == "http://was/fileget"

    @pytest_twisted.ensureDeferred
    async def test_several_endpoints_serve_the_same(self, run_daemon: RunDaemon) -> None:
        port = free_port()
        daemon = run_daemon({"server": {"listen": [f"tcp:{port}:interface=127.0.0.1"]}})
        await client_of(daemon).store("a.jpg", b"a")
        assert (await Client(f"http://127.0.0.1:{port}", KEY).original("a.jpg")).body == b"a"


class TestKey:
    """Section 2: where the key comes from."""

    @pytest_twisted.ensureDeferred
    async def test_the_key_may_be_in_a_file(self, run_daemon: RunDaemon, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("the key: ü\n", "utf-8")
        daemon = run_daemon({"server": {"key": None, "key_file": tmp_path / "key"}})
        await Client(daemon.url, "the key: ü").store("a.jpg", b"a")

    @pytest_twisted.ensureDeferred
    async def test_the_key_may_be_in_the_environment(self, run_daemon: RunDaemon) -> None:
        daemon = run_daemon({"server": {"key": None}}, {"ATTACHMENT_KEY": "of the environment"})
        await Client(daemon.url, "of the environment").store("a.jpg", b"a")
        assert "of the environment" not in daemon.log()

    @pytest_twisted.ensureDeferred
    async def test_the_configuration_counts_more_than_the_environment(self, run_daemon: RunDaemon) -> None:
        daemon = run_daemon({}, {"ATTACHMENT_KEY": "of the environment"})
        await client_of(daemon).store("a.jpg", b"a")
        answer = await Client(daemon.url, "of the environment").upload_like_specify7("a.jpg", b"b")
        assert answer.status == 403

    @pytest_twisted.ensureDeferred
    async def test_who_runs_without_a_key_says_so(self, run_daemon: RunDaemon) -> None:
        client = client_of(run_daemon({"server": {"key": None, "insecure_no_key": True}}))
        form = Form.of(file_part(), text_part("store", "a.jpg"))
        assert (await client.upload(form, b"a")).body == b"Ok."
        assert (await client.get("/testkey", random="a")).body == b"Ok."
        deletion = await client.post("/filedelete", b"filename=a.jpg", "application/x-www-form-urlencoded")
        assert deletion.body == b"Ok."

    @pytest_twisted.ensureDeferred
    async def test_the_server_name_of_the_official_image_is_understood(self, run_daemon: RunDaemon) -> None:
        client = client_of(run_daemon({}, {"SERVER_NAME": "assets.example.org", "SERVER_PORT": "8081"}))
        document = (await client.get("/web_asset_store.xml")).body
        assert ElementTree.fromstring(document)[0].text == "http://assets.example.org:8081/fileget"

    @pytest_twisted.ensureDeferred
    async def test_tokens_and_the_key_are_not_logged(self, filesystem_daemon: Daemon) -> None:
        client = client_of(filesystem_daemon)
        name = new_name()
        token = client.token(name)
        await client.get("/testkey", random=name, token=token)
        await client.delete(name, token=token)
        await client.original(name, token=token, scale=name)
        eventually(lambda: f"scale={name}" in filesystem_daemon.log(), "for the access log")
        assert token.partition(":")[0] not in filesystem_daemon.log()
        assert KEY not in filesystem_daemon.log()

    @pytest_twisted.ensureDeferred
    async def test_the_command_line_makes_tokens(self, filesystem_daemon: Daemon) -> None:
        arguments = ("token", "é.jpg", "--config", str(filesystem_daemon.config_file))
        made = await getProcessOutput(str(BIN / "was-daemon"), arguments, clean_environment())
        answer = await client_of(filesystem_daemon).get("/testkey", random="é.jpg", token=made.decode().strip())
        assert answer.body == b"Ok."


class TestStart:
    """Starting and stopping."""

    def twistd(self, directory: Path, *arguments: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
        """What `twistd` with these arguments comes to."""
        environment = clean_environment({"TMPDIR": str(directory), **variables})
        done = prepared.run([BIN / "twistd", *arguments], environment, directory)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout + done.stderr)

    def test_twistd_lists_the_daemon(self, tmp_path: Path) -> None:
        assert "was " in self.twistd(tmp_path, "--help").stdout

    @pytest.mark.parametrize(
        ("config", "mistakes"),
        [
            (
                '[server]\nkey = 5\ntoken_window = "x"\nlisten = ["tcp:x"]\ncolour = "red"\n'
                '[stores.nas]\nplugin = "filesystem"\npath = 1\nport = 2\n[stores.b]\nplugin = "unheard-of"\n'
                '[thumbnails]\nworkers = 0\nstore = "c"\n[collections]\nmode = "many"\n[nonsense]\n',
                [
                    "server.key: ",
                    'server.token_window: expected an integer, got "x"',
                    "server.colour: ",
                    "stores.nas.path: ",
                    "stores.nas.port: ",
                    "stores.b.plugin: ",
                    "thumbnails.workers: ",
                    "thumbnails.store: ",
                    "collections.mode: ",
                    "nonsense: ",
                ],
            ),
            ('[stores.a]\nplugin = "filesystem"\npath = "a"\n', ["server.key: "]),
            ('[server]\nkey = ""\n[stores.a]\nplugin = "filesystem"\npath = "a"\n', ["server.key: "]),
            ('[server]\nkey_file = "missing"\n[stores.a]\nplugin = "filesystem"\npath = "a"\n', ["server.key_file: "]),
            (
                '[server]\nkey = "a"\n[stores.a]\nplugin = "filesystem"\npath = "a"\n[collections]\nmode = "map"\n'
                'map.B = { directory = "../b" }\nmap.C = { directory = "c", store = "d" }\nmap.E = { store = "a" }\n',
                ["collections.map.B.directory: ", "collections.map.C.store: ", "collections.map.E.directory: "],
            ),
            ("this is no TOML", ["was.toml: "]),
            (None, ["was.toml: "]),
        ],
    )
    def test_all_mistakes_of_a_configuration_are_told(
        self, tmp_path: Path, config: str | None, mistakes: list[str]
    ) -> None:
        path = tmp_path / "was.toml"
        if config is not None:
            path.write_text(config)
        run = self.twistd(tmp_path, "-n", "--pidfile=", "was", "--config", path)
        assert run.returncode == 1
        assert "Traceback" not in run.stdout
        for mistake in mistakes:
            assert any(line.strip().startswith(mistake) or f"/{mistake}" in line for line in run.stdout.splitlines()), (
                mistake
            )
        assert files_below(tmp_path) == ([] if config is None else ["was.toml"])

    @pytest_twisted.ensureDeferred
    async def test_the_daemon_goes_to_the_background(self, tmp_path: Path) -> None:
        daemon = Daemon(tmp_path / "daemon")
        pidfile, log = tmp_path / "was.pid", tmp_path / "was.log"
        run = self.twistd(tmp_path, f"--pidfile={pidfile}", f"--logfile={log}", "was", "--config", daemon.config_file)
        assert run.returncode == 0, run.stdout
        eventually(pidfile.exists, "for the file with the process's number")
        pid = int(eventually(pidfile.read_text, "for the process's number"))
        try:
            eventually(lambda: _answers(daemon.url), "for the daemon to answer")
            client = client_of(daemon)
            await client.store("a.jpg", photograph())
            assert (await client.thumbnail("a.jpg", 60)).image().size == (60, 40)
            assert (await client.metadata("a.jpg", dt="date")).text == images.TAKEN
        finally:
            os.kill(pid, signal.SIGTERM)
        eventually(lambda: not pidfile.exists(), "for the daemon to end")
        assert files_below(daemon.store) == ["originals/a.jpg", "thumbnails/a_60.jpg"]

    @pytest_twisted.ensureDeferred
    async def test_everything_is_still_there_after_a_restart(self, run_daemon: RunDaemon) -> None:
        daemon = run_daemon()
        client = client_of(daemon)
        await client.store("a.jpg", photograph())
        original, thumbnail = await client.original("a.jpg"), await client.thumbnail("a.jpg", 60)
        daemon.restart()
        assert (await client.original("a.jpg", headers={"If-None-Match": original.headers["ETag"]})).status == 304
        assert (await client.thumbnail("a.jpg", 60, headers={"If-None-Match": thumbnail.headers["ETag"]})).status == 304

    @pytest_twisted.ensureDeferred
    async def test_workers_end_with_the_daemon_however_it_ends(self, run_daemon: RunDaemon) -> None:
        daemon = run_daemon()
        client = client_of(daemon)
        await client.store("a.jpg", photograph())
        for end in (daemon.stop, daemon.kill):
            assert (await client.metadata("a.jpg")).status == 200
            assert daemon.workers()
            end()
            daemon.start()

    @pytest_twisted.ensureDeferred
    async def test_a_worker_that_dies_is_replaced(self, run_daemon: RunDaemon) -> None:
        daemon = run_daemon({"thumbnails": {"workers": 1}})
        client = client_of(daemon)
        await client.store("a.jpg", photograph())
        for scale in (60, 70, 80):
            assert (await client.thumbnail("a.jpg", scale)).status == 200
            (worker,) = daemon.workers()
            os.kill(worker, signal.SIGKILL)
            eventually(lambda worker=worker: worker not in daemon.workers(), "for the worker to end")
        assert (await client.metadata("a.jpg")).status == 200


def _answers(url: str) -> bool:
    try:
        with urlopen(url):
            return True
    except OSError:
        return False
