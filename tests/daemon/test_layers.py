"""A daemon whose originals lie in layers: a new server before an old one, masters on a drive, a disk over a cloud."""

import os
import random
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.support.blocking import BlockingClient, finished
from tests.support.cli import run
from tests.support.client import Client
from tests.support.daemon import KEY, eventually
from tests.support.images import photograph

async_test = pytest_twisted.ensureDeferred

PHOTOGRAPH = photograph()


def layers(directory: Path, promote: bool = True, **below: dict[str, Any]) -> dict[str, Any]:
    """The stores of a daemon: `all` is made of `new` and those `below`, which are directories of their names."""
    files = {name: {"plugin": "filesystem", "path": directory / name, **more} for name, more in below.items()}
    return {
        "all": {"plugin": "layered", "layers": ["new", *below], "promote": promote, "promote_after": 0},
        "new": {"plugin": "filesystem", "path": directory / "new"},
        **files,
    }


def files_in(directory: Path) -> list[str]:
    """The names of the originals in a store."""
    originals = directory / "originals"
    return sorted(path.name for path in originals.iterdir() if path.is_file()) if originals.exists() else []


def tree(directory: Path) -> list[Path]:
    """All that is in a directory."""
    return sorted(directory.rglob("*"))


def move(directory: Path, target: Path) -> None:
    """Take a directory away, or bring it back."""
    directory.rename(target)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The directory of the server that has been in use until now."""
    originals = tmp_path / "old/originals"
    originals.mkdir(parents=True)
    for number in range(4):
        (originals / f"{number}.jpg").write_bytes(PHOTOGRAPH)
    return tmp_path / "old"


@async_test
async def test_a_server_is_replaced_without_copying_beforehand(run_daemon: RunDaemon, old: Path) -> None:
    here = old.parent
    daemon = run_daemon({"stores": layers(here, old={})})
    client = Client(daemon.url, KEY)
    # What is looked at moves, and its thumbnail stays the one that was made.
    before = await client.thumbnail("0.jpg", 100)
    eventually(lambda: files_in(here / "new") == ["0.jpg"], "for the promotion")
    thumbnail = here / "new/thumbnails/0_100.jpg"
    made = thumbnail.stat().st_ino if thumbnail.exists() else None
    after = await client.thumbnail("0.jpg", 100)
    assert after.body == before.body
    assert made is None or thumbnail.stat().st_ino == made
    assert not (old / "thumbnails").exists()
    # What is uploaded is in the new server only, what is deleted in neither.
    await client.store("5.jpg", b"new")
    assert (await client.delete("1.jpg")).status == (await client.delete("0.jpg")).status == 200
    assert (files_in(here / "new"), files_in(old)) == (["5.jpg"], ["2.jpg", "3.jpg"])
    for name in ("0.jpg", "1.jpg"):
        assert (await client.original(name)).status == 404
    # The rest is copied, and the old server switched off.
    copied = run("copy", "--from", "old", "--to", "all", "--config", daemon.config_file)
    assert copied.code == 0, copied
    assert "2 copied" in copied.out
    move(old, here / "gone")
    daemon.write_config({"stores": {"new": {"plugin": "filesystem", "path": here / "new"}}})
    daemon.restart()
    for name in ("2.jpg", "3.jpg"):
        assert (await client.original(name)).body == PHOTOGRAPH
    assert (await client.original("5.jpg")).body == b"new"


@pytest.mark.slow
@async_test
async def test_a_download_goes_on_and_is_taken_up_again_while_it_is_promoted(run_daemon: RunDaemon, old: Path) -> None:
    content = random.Random(1).randbytes(3_000_000)
    film = old / "originals/film.mp4"
    film.write_bytes(content)
    # The date of a file that was changed just now validates nothing.
    os.utime(film, (1_700_000_000, 1_700_000_000))
    client = Client(run_daemon({"stores": layers(old.parent, old={})}).url, KEY)
    first = await client.original("film.mp4", headers={"Range": "bytes=0-999999"})
    eventually(lambda: files_in(old.parent / "new") == ["film.mp4"], "for the promotion")
    rest = await client.original("film.mp4", headers={"Range": "bytes=1000000-"})
    assert (first.status, rest.status) == (206, 206)
    assert first.body + rest.body == content
    assert first.headers["Last-Modified"] == rest.headers["Last-Modified"]
    # Who asks for the rest of the version before gets all of it: the bytes are the same, but nobody has to trust that.
    whole = await client.original("film.mp4", headers={"Range": "bytes=1000000-", "If-Range": first.headers["ETag"]})
    assert (whole.status, whole.body) == (200, content)
    unchanged = await client.original("film.mp4", headers={"If-Modified-Since": first.headers["Last-Modified"]})
    assert unchanged.status == 304


@async_test
async def test_a_drive_of_masters_is_left_as_it_is(run_daemon: RunDaemon, old: Path) -> None:
    here, before = old.parent, tree(old)
    stores = layers(here, promote=False, old={"read_only": True})
    client, other = (Client(run_daemon({"stores": stores}).url, KEY) for _ in range(2))
    assert (await client.thumbnail("0.jpg", 100)).status == 200
    await client.store("1.jpg", b"retouched")
    assert (await client.original("1.jpg")).body == b"retouched"
    for name in ("0.jpg", "1.jpg"):
        assert (await client.delete(name)).status == 200
        for each in (client, other):
            assert (await each.original(name)).status == 404
            assert (await each.thumbnail(name, 100)).status == 404
            assert (await each.delete(name)).status == 404
    # A name that was used once can be used again, and the master does not come back.
    await other.store("0.jpg", b"again")
    assert (await client.original("0.jpg")).body == b"again"
    assert (await client.delete("0.jpg")).status == 200
    assert (await other.original("0.jpg")).status == 404
    assert (await other.original("2.jpg")).body == PHOTOGRAPH
    assert tree(old) == before


@pytest.mark.slow
@async_test
async def test_a_drive_that_is_not_connected_is_no_reason_for_404(run_daemon: RunDaemon, old: Path) -> None:
    here = old.parent
    move(old, here / "elsewhere")
    client = Client(run_daemon({"stores": layers(here, promote=False, old={"read_only": True})}).url, KEY)
    assert (await client.original("0.jpg")).status == 503
    # New files can be uploaded all the same, and deleted if nothing else can have them.
    for content in (b"first", b"second"):
        await client.store("new.jpg", content)
        assert (await client.original("new.jpg")).body == content
    assert (await client.delete("new.jpg")).status == 200
    assert not tree(old)
    move(here / "elsewhere", old)
    assert (await client.original("0.jpg")).body == PHOTOGRAPH
    assert (await client.original("none.jpg")).status == 404


@pytest.mark.slow
@async_test
async def test_recent_files_lie_on_a_fast_disk_and_all_in_the_cloud(run_daemon: RunDaemon, old: Path) -> None:
    here = old.parent
    daemon = run_daemon({"stores": layers(here, old={})})
    client = Client(daemon.url, KEY)
    await client.store("recent.jpg", PHOTOGRAPH)
    # Every night: a copy to the cloud, and room on the disk.
    nightly = run("copy", "--from", "new", "--to", "old", "--config", daemon.config_file)
    assert nightly.code == 0, nightly
    (here / "new/originals/recent.jpg").unlink()
    assert (await client.thumbnail("recent.jpg", 50)).status == 200
    eventually(lambda: files_in(here / "new") == ["recent.jpg"], "for the promotion")
    assert (await client.delete("recent.jpg")).status == 200
    assert (files_in(here / "new"), "recent.jpg" in files_in(old)) == ([], False)


@pytest.mark.slow
@async_test
async def test_what_is_deleted_goes_to_the_trash_from_every_layer(run_daemon: RunDaemon, old: Path) -> None:
    here = old.parent
    stores = layers(here, promote=False, old={"read_only": True})
    daemon = run_daemon({"stores": stores, "trash": {"keep": "30 days"}})
    client = Client(daemon.url, KEY)
    assert (await client.delete("0.jpg")).status == 200
    assert (await client.original("0.jpg")).status == 404
    restored = run("trash", "restore", "0.jpg", "--config", daemon.config_file)
    assert restored.code == 0, restored
    assert (await client.original("0.jpg")).body == PHOTOGRAPH
    assert files_in(here / "new") == ["0.jpg"]


@pytest.mark.slow
def test_check_store_finds_that_all_promises_are_kept(run_daemon: RunDaemon, old: Path) -> None:
    daemon = run_daemon({"stores": layers(old.parent, old={}), "server": {"key": KEY}})
    for name in ("all", "new"):
        checked = run("check-store", name, "--config", daemon.config_file)
        assert checked.code == 0, checked
    assert files_in(old) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    before = tree(old)
    daemon.write_config({"stores": layers(old.parent, old={"read_only": True})})
    checked = run("check-store", "old", "--config", daemon.config_file)
    assert checked.code == 0, checked
    assert "the store is reachable and readable" in checked.out
    assert tree(old) == before


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_and_nothing_comes_back_when_the_daemon_is_killed(
    run_daemon: RunDaemon, old: Path, seed: int
) -> None:
    chance = random.Random(seed)
    here = old.parent
    masters = here / "masters/originals"
    masters.mkdir(parents=True)
    contents = {f"{number}.bin": chance.randbytes(chance.choice((0, 100, 300_000, 4_000_000))) for number in range(40)}
    for name, content in contents.items():
        (chance.choice((old / "originals", masters)) / name).write_bytes(content)
    daemon = run_daemon({"stores": layers(here, old={}, masters={"read_only": True})})
    client = BlockingClient(daemon.url, KEY)
    known: dict[str, bytes | None] = dict(contents)
    for _ in range(10):
        for name in chance.sample(sorted(known), 12):
            _change_or_look(client, chance, name, known)
        daemon.kill()
        daemon.start()
        for name, content in known.items():
            answer = finished(client.original(name))
            assert (answer.status, answer.body) == ((200, content) if content is not None else (404, answer.body)), name
    for name in known:
        finished(client.delete(name))
    daemon.restart()
    assert all(finished(client.original(name)).status == 404 for name in known)
    assert not list((here / "new/.layers").glob("*.copy"))


def _change_or_look(client: BlockingClient, chance: random.Random, name: str, known: dict[str, bytes | None]) -> None:
    what = chance.choice(("look", "look", "look", "upload", "delete"))
    if what == "upload":
        content = chance.randbytes(1000)
        assert finished(client.upload(client.specify7_form(name), content)).status == 200
        known[name] = content
    elif what == "delete":
        assert finished(client.delete(name)).status == (404 if known[name] is None else 200)
        known[name] = None
    else:
        assert finished(client.original(name)).status == (404 if known[name] is None else 200)
