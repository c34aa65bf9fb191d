"""`was-daemon trash`, beside a daemon that runs."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.support.cli import Ran, run, write_config
from tests.support.client import Client
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.gated import CLOSED, Gate
from tests.support.images import jpeg
from tests.support.ports import free_port
from tests.support.remotes import KINDS, make_far_end
from tests.support.s3servers import ACCESS_KEY, BUCKET, SECRET_KEY, make_bucket, moto
from tests.support.slow import slow_after

RunDaemon = Callable[..., Daemon]
async_test = pytest_twisted.ensureDeferred
KEEP = {"trash": {"keep": "30 days", "replaced": True}}


@attrs.frozen
class Museum:
    """A daemon with a trash, its client, and the command beside it."""

    daemon: Daemon
    client: Client

    def trash(self, *arguments: str) -> Ran:
        return run("trash", *arguments, "--config", self.daemon.config_file)

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        ran = self.trash("list", "--json", *arguments)
        assert ran.code == 0, ran.err
        versions: list[dict[str, Any]] = ran.report["versions"]
        return versions

    async def is_gone(self, name: str, **fields: str) -> bool:
        """Whether nothing of an asset is served in any way."""
        asked = [
            await self.client.original(name, **fields),
            await self.client.thumbnail(name, 100, **fields),
            await self.client.metadata(name, **fields),
            await self.client.get(f"/static/originals/{name}"),
            await self.client.get(f"/iiif/3/{name}/info.json"),
        ]
        return {answer.status for answer in asked} == {404}


@pytest.fixture
def museum(run_daemon: RunDaemon) -> Museum:
    daemon = run_daemon(KEEP)
    return Museum(daemon, Client(daemon.url, KEY))


@async_test
async def test_a_deleted_original_is_listed_and_comes_back(museum: Museum) -> None:
    picture = jpeg()
    await museum.client.store("a.jpg", picture)
    before = (museum.daemon.store / "originals/a.jpg").stat().st_mtime_ns
    assert (await museum.client.thumbnail("a.jpg", 100)).status == 200
    assert (await museum.client.delete("a.jpg")).text == "Ok."
    assert await museum.is_gone("a.jpg")
    [version] = museum.listed()
    assert (version["name"], version["reason"], version["size"], version["by"]) == (
        "a.jpg",
        "deleted",
        len(picture),
        "127.0.0.1",
    )
    assert museum.listed("b.jpg") == []
    assert museum.listed("A*") == []
    assert museum.listed("a.*") == museum.listed("a.jpg", "--since", "1 h") == [version]
    assert museum.listed("--since", "2999-01-01") == []
    assert "a.jpg" in museum.trash("list").out

    ran = museum.trash("restore", "a.jpg")
    assert (ran.code, ran.err) == (0, "")
    assert (await museum.client.original("a.jpg")).body == picture
    assert (await museum.client.thumbnail("a.jpg", 100)).status == 200
    assert (museum.daemon.store / "originals/a.jpg").stat().st_mtime_ns == before
    assert museum.listed() == []
    assert museum.trash("list").out == "The trash is empty.\n"


@async_test
async def test_no_client_can_name_what_is_in_the_trash(museum: Museum) -> None:
    await museum.client.store("a.jpg", jpeg())
    await museum.client.delete("a.jpg")
    for path in (museum.daemon.store / ".trash").iterdir():
        for address in (f"/static/.trash/{path.name}", f"/static/originals/..%2f.trash%2f{path.name}"):
            assert (await museum.client.get(address)).status in (400, 404)
        for name in (path.name, f".trash/{path.name}", f"../.trash/{path.name}"):
            assert (await museum.client.original(name)).status in (400, 404)
        assert (await museum.client.original(path.name, coll=".trash")).status in (400, 404)


@async_test
async def test_versions_are_restored_by_their_ids_and_new_originals_stay(museum: Museum) -> None:
    for content in (b"1", b"22", b"333"):
        await museum.client.store("a.bin", content)
    first, second = museum.listed()
    assert [first["reason"], second["reason"]] == ["replaced", "replaced"]
    refused = museum.trash("restore", first["id"])
    assert (refused.code, "--replace" in refused.out) == (1, True)
    assert museum.trash("restore", first["id"], "--replace").code == 0
    assert (await museum.client.original("a.bin")).body == b"1"
    assert [each["size"] for each in museum.listed()] == [2, 3]
    assert museum.trash("restore", "none.bin").code == 1


@async_test
@pytest.mark.slow
async def test_the_trash_is_emptied_when_asked(museum: Museum) -> None:
    for name in ("a.bin", "b.bin"):
        await museum.client.store(name, b"bytes")
        await museum.client.delete(name)
    assert museum.trash("empty", "--yes").code == 0
    assert museum.trash("empty", "--older-than", "1 h", "--yes").code == 0
    assert len(museum.listed()) == 2
    dry = museum.trash("empty", "--all", "--dry-run")
    assert (dry.code, "originals/a.bin" in dry.out) == (0, True)
    asked = museum.trash("empty", "--all")
    assert (asked.code, "2 files" in asked.err) == (1, True)
    assert len(museum.listed()) == 2
    assert museum.trash("empty", "--all", "--yes").code == 0
    assert museum.listed() == []
    assert [path.name for path in (museum.daemon.store / ".trash").iterdir()] in ([], [".staging"])
    assert museum.trash("empty", "--all", "--older-than", "1 h").code == 2
    assert museum.trash("empty", "--older-than", "soon").code == 2


@async_test
async def test_the_daemon_empties_the_trash_and_tells_of_it(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"trash": {"keep": "1 s"}})
    client = Client(daemon.url, KEY)
    await client.store("a.bin", b"bytes")
    await client.delete("a.bin")
    (daemon.store / ".trash/holiday.jpg").write_bytes(b"not ours")
    eventually(lambda: "1 files in the trash were removed for good" in daemon.log(), "for the trash to be emptied")
    assert {path.name for path in (daemon.store / ".trash").iterdir()} - {".staging"} == {"holiday.jpg"}


@async_test
async def test_without_a_trash_deleted_files_are_gone(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({})
    client = Client(daemon.url, KEY)
    await client.store("a.bin", b"bytes")
    await client.delete("a.bin")
    assert not (daemon.store / ".trash").exists()
    assert Museum(daemon, client).trash("empty").code == 2


@async_test
async def test_collections_have_a_trash_each_also_on_other_disks(run_daemon: RunDaemon, tmp_path: Path) -> None:
    daemon = run_daemon(
        {**KEEP, "collections": {"mode": "map", "map": {"Fish": {"directory": "F"}, "Birds": {"directory": "B"}}}}
    )
    client, museum = Client(daemon.url, KEY), Museum(daemon, Client(daemon.url, KEY))
    for coll in ("Fish", "Birds"):
        await client.store("a.bin", coll.encode(), coll=coll)
        assert (await client.delete("a.bin", coll=coll)).status == 200
    assert [each["collection"] for each in museum.listed("--collection", "Fish")] == ["F"]
    both = museum.trash("restore", "a.bin")
    assert (both.code, "several collections" in both.out) == (1, True)
    assert museum.trash("restore", "a.bin", "--collection", "Birds").code == 0
    assert (await client.original("a.bin", coll="Birds")).body == b"Birds"
    assert (await client.original("a.bin", coll="Fish")).status == 404


@async_test
async def test_a_store_that_is_down_does_not_hide_the_trash_of_others(run_daemon: RunDaemon, tmp_path: Path) -> None:
    stores = {
        "disk": {"plugin": "filesystem", "path": tmp_path / "disk"},
        "cloud": {"plugin": "filesystem", "path": tmp_path / "cloud"},
    }
    places = {"Fish": {"directory": "F", "store": "disk"}, "Birds": {"directory": "B", "store": "cloud"}}
    collections = {"mode": "map", "store": "disk", "map": places}
    daemon = run_daemon({**KEEP, "stores": stores, "collections": collections})
    client = Client(daemon.url, KEY)
    for coll in places:
        await client.store("a.bin", coll.encode(), coll=coll)
        assert (await client.delete("a.bin", coll=coll)).status == 200
    down = {"plugin": "webdav", "url": f"http://127.0.0.1:{free_port()}/"}
    for cloud in (down, {"plugin": "filesystem", "path": tmp_path / "not mounted"}):
        (tmp_path / "later").mkdir(exist_ok=True)
        config = write_config(tmp_path / "later", stores | {"cloud": cloud}, collections=collections, **KEEP)

        def trash(*arguments: str, config: Path = config) -> Ran:
            return run("trash", *arguments, "--config", config)

        listed = trash("list", "--json")
        assert (listed.code, [each["collection"] for each in listed.report["versions"]]) == (1, ["F"])
        assert list(listed.report["failed"]) == ["cloud"]
        assert "store cloud cannot be listed" in listed.err
        assert trash("list", "--collection", "Fish").code == 0
        assert "The trash is empty" not in trash("list", "--collection", "Birds").out
        emptied = trash("empty", "--all", "--dry-run")
        assert (emptied.code, "a.bin" in emptied.out, "the store cloud" in emptied.out) == (1, True, True)
        # The other collection may have one of that name, too.
        refused = trash("restore", "a.bin")
        assert (refused.code, "the store cloud" in refused.out) == (1, True)
    assert trash("restore", listed.report["versions"][0]["id"]).code == 0
    assert (await client.original("a.bin", coll="Fish")).body == b"Fish"


@pytest.mark.slow
@async_test
async def test_the_catalogue_knows_what_came_back(run_daemon: RunDaemon, tmp_path: Path) -> None:
    catalogue = tmp_path / "state/catalogue.sqlite"
    daemon = run_daemon({**KEEP, "catalogue": {"path": catalogue}})
    museum = Museum(daemon, Client(daemon.url, KEY))
    await museum.client.store("a.bin", b"bytes")
    rows = "SELECT kind, size, file_name FROM history ORDER BY id"

    def history() -> list[tuple[str, int | None, str | None]]:
        with suppress(sqlite3.OperationalError), sqlite3.connect(catalogue) as connection:
            return connection.execute(rows).fetchall()
        return []

    eventually(lambda: len(history()) == 1, "for the catalogue to know the upload")
    eventually(lambda: not _waiting(catalogue), "for the journal to be empty")
    await museum.client.delete("a.bin")
    [version] = museum.listed()
    assert version["sha256"] == "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9"
    assert museum.trash("restore", "a.bin").code == 0
    assert [row[0] for row in history()] == ["stored", "deleted", "restored"]
    assert history()[2][1:] == history()[0][1:]
    assert run("verify", "--store", "main", "--config", daemon.config_file, "--json").report["ok"] == 1


def _waiting(catalogue: Path) -> int:
    with sqlite3.connect(catalogue.with_suffix(".journal.sqlite")) as journal:
        return int(journal.execute("SELECT COUNT(*) FROM events").fetchone()[0])


@pytest.mark.parametrize(("step", "is_deleted"), [("moving", False), ("after moving", True)])
@async_test
async def test_a_deletion_whose_daemon_is_killed_loses_nothing(
    run_daemon: RunDaemon, tmp_path: Path, step: str, is_deleted: bool
) -> None:
    gate = Gate(tmp_path, step)
    daemon = run_daemon({**KEEP, **gate.config(tmp_path / "store")})
    museum = Museum(daemon, Client(daemon.url, KEY))
    await museum.client.store("a.bin", b"bytes")
    deletion = Deferred.fromCoroutine(museum.client.delete("a.bin"))
    deletion.addErrback(lambda _: None)
    await deferToThread(eventually, lambda: CLOSED in daemon.log(), "for the deletion to come to the gate")
    await deferToThread(daemon.kill)
    await deletion
    daemon.write_config({**KEEP, "stores": {"main": {"plugin": "filesystem", "path": tmp_path / "store"}}})
    await deferToThread(daemon.start)
    assert (await museum.client.original("a.bin")).status == (404 if is_deleted else 200)
    assert len(museum.listed()) == is_deleted
    if is_deleted:
        assert museum.trash("restore", "a.bin").code == 0
    assert (await museum.client.original("a.bin")).body == b"bytes"


@pytest_twisted.async_yield_fixture(params=slow_after(1, ["plugin", *KINDS, "s3"]))
async def elsewhere(request: pytest.FixtureRequest, run_daemon: RunDaemon, tmp_path: Path) -> AsyncIterator[Museum]:
    with ExitStack() as stack:
        config: dict[str, Any] = {**KEEP}
        if request.param == "s3":
            server = moto().start()
            stack.callback(server.remove)
            await make_bucket(server.url)
            login = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
            config["stores"] = {"main": {"plugin": "s3", "bucket": BUCKET, "endpoint": server.url, **login}}
        elif request.param == "plugin":
            config["stores"] = {"main": {"plugin": "files", "path": tmp_path / "plain"}}
            config["plugins"] = {"path": [_plain_plugin(tmp_path)]}
        else:
            far_end = make_far_end(request.param, tmp_path / "far")
            stack.callback(far_end.remove)
            far_end.start()
            config["stores"] = {"main": far_end.table()}
        daemon = run_daemon(config)
        yield Museum(daemon, Client(daemon.url, KEY))
        daemon.stop()


def _plain_plugin(directory: Path) -> Path:
    """The directory of a plugin whose store has no optional interface."""
    module = directory / "plugins/storage_plugins/files.py"
    module.parent.mkdir(parents=True)
    module.write_text(_PLAIN)
    return directory / "plugins"


_PLAIN = """
from pathlib import Path

import attrs
from zope.interface import implementer_only

from storage_plugins.filesystem import FilesystemStore
from was_daemon.plugins import IAssetStore, Layout, StorePlugin


@attrs.frozen
class Options:
    path: Path


@implementer_only(IAssetStore)
class Plain(FilesystemStore):
    pass


def create(options):
    return Plain(options.path, Layout.FLAT)


files = StorePlugin("files", Options, create)
"""


@async_test
async def test_other_stores_have_a_trash_too(elsewhere: Museum) -> None:
    await elsewhere.client.store("Käfer 1.bin", b"old")
    await elsewhere.client.store("Käfer 1.bin", b"newer")
    assert (await elsewhere.client.delete("Käfer 1.bin")).status == 200
    assert (await elsewhere.client.original("Käfer 1.bin")).status == 404
    assert [each["size"] for each in elsewhere.listed()] == [3, 5]
    assert elsewhere.trash("restore", "Käfer 1.bin").code == 0
    assert (await elsewhere.client.original("Käfer 1.bin")).body == b"newer"
    assert elsewhere.trash("empty", "--all", "--yes").code == 0
    assert elsewhere.listed() == []
