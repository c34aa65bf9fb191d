"""`was-daemon thumbnails warm` and `prune`."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.support.cli import Ran, end, run, started, write_config
from tests.support.client import Client
from tests.support.daemon import KEY, eventually
from tests.support.images import jpeg, pdf, photograph
from tests.support.remotes import make_far_end
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.marks import mark_of


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a store on this disk."""
    return write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path / "store"}})


def fill(store: Path, kind: str, contents: Mapping[str, bytes]) -> Path:
    """Put files into a store; returns where they are."""
    directory = store / kind
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    return directory


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.glob("*") if path.is_file()}


def counts(ran: Ran) -> dict[str, int]:
    """The states that some files are in."""
    return {state: number for state, number in ran.report.items() if state != "files" and number}


def thumbnails(command: str, config: Path, *options: str) -> Ran:
    return run("thumbnails", command, "--config", config, "--json", *options)


# -- warm --------------------------------------------------------------------------------------------------------------


def test_missing_thumbnails_are_made_and_the_others_left_alone(tmp_path: Path, config: Path) -> None:
    store = tmp_path / "store"
    fill(store, "originals", {"a.jpg": photograph(), "b.pdf": pdf()})
    first = thumbnails("warm", config, "--scale", "100")
    assert (first.code, counts(first)) == (0, {"made": 2})
    kept = {path.name: path.stat().st_ino for path in (store / "thumbnails").glob("*.*")}
    second = thumbnails("warm", config, "--scale", "100", "--scale", "50")
    assert (second.code, counts(second)) == (0, {"made": 2, "there": 2})
    assert names(store / "thumbnails") == {"a_100.jpg", "a_50.jpg", "b_100.png", "b_50.png"}
    assert all((store / "thumbnails" / name).stat().st_ino == inode for name, inode in kept.items())


def test_files_of_which_no_thumbnail_can_be_made_are_counted(tmp_path: Path, config: Path) -> None:
    fill(tmp_path / "store", "originals", {"a.jpg": b"no picture", "b.txt": b"text", "c.jpg": jpeg()})
    ran = thumbnails("warm", config, "--scale", "100")
    assert (ran.code, counts(ran)) == (0, {"made": 1, "refused": 2})
    # A damaged picture is named, what is no picture at all is not.
    assert [(each["state"], each["file"]) for each in ran.report["files"]] == [("refused", "originals/a.jpg")]


@pytest.mark.parametrize("command", [("warm", "--scale", "100"), ("prune",)])
def test_a_store_whose_directory_does_not_exist_is_a_failure(
    tmp_path: Path, config: Path, command: tuple[str, ...]
) -> None:
    ran = thumbnails(command[0], config, *command[1:])
    assert ran.code == 1
    assert "there is no such directory" in ran.err
    assert not (tmp_path / "store").exists()


def test_a_thumbnail_that_is_older_than_its_original_is_made_anew(tmp_path: Path, config: Path) -> None:
    fill(tmp_path / "store", "originals", {"a.jpg": jpeg()})
    old = fill(tmp_path / "store", "thumbnails", {"a_100.jpg": b"old"}) / "a_100.jpg"
    os.utime(old, (1, 1))
    assert counts(thumbnails("warm", config, "--scale", "100")) == {"made": 1}
    assert old.read_bytes() != b"old"


@pytest_twisted.ensureDeferred
async def test_the_daemon_serves_what_was_made_beside_it(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    client = Client(daemon.url, KEY)
    await client.store("a.jpg", photograph())
    assert counts(thumbnails("warm", daemon.config_file, "--scale", "77")) == {"made": 1}
    made = (daemon.store / "thumbnails/a_77.jpg").read_bytes()
    assert (await client.thumbnail("a.jpg", 77)).body == made
    assert not daemon.workers()


@pytest.mark.slow
def test_an_interrupted_command_is_started_again_and_makes_the_rest(tmp_path: Path, config: Path) -> None:
    store = tmp_path / "store"
    fill(store, "originals", {f"{number:02}.jpg": jpeg() for number in range(10)})
    # So slow that it cannot come to its end.
    slowly = ("thumbnails", "warm", "--scale", "100", "--throttle", "0.01", "--config", config, "--json")
    with started(*slowly) as process:
        eventually(lambda: names(store / "thumbnails"), "for the first thumbnail")
        process.send_signal(signal.SIGINT)
        ended = end(process)
    assert ended.code == 1
    assert "Traceback" not in ended.err
    done = len(names(store / "thumbnails"))
    assert 0 < done <= 3
    assert counts(thumbnails("warm", config, "--scale", "100")) == {"made": 10 - done, "there": done}


@pytest.mark.slow
def test_remote_originals_are_fetched_and_their_thumbnails_stored(tmp_path: Path) -> None:
    far_end = make_far_end("sftp", tmp_path / "far")
    far_end.start()
    try:
        far_end.put("a.jpg", photograph())
        config = write_config(tmp_path, {"main": far_end.table()})
        assert counts(thumbnails("warm", config, "--scale", "100")) == {"made": 1}
        assert names(far_end.root / "thumbnails") == {"a_100.jpg"}
        assert counts(thumbnails("warm", config, "--scale", "100")) == {"there": 1}
    finally:
        far_end.remove()


def test_a_scale_that_the_daemon_does_not_serve_is_wrong_usage(config: Path) -> None:
    assert thumbnails("warm", config, "--scale", "5000").code == 2
    assert thumbnails("warm", config).code == 2


# -- prune -------------------------------------------------------------------------------------------------------------

ORIGINALS: dict[str, bytes] = {"a.jpg": b"", "b.tif": b"", "sp6123.att.jpg": b"", "no-extension": b""}
KEPT = {"a_100.jpg": b"", "b_100.png": b"", "sp6123.att_100.jpg": b"", "no-extension_100.png": b""}
OFFICIAL_ORPHANS = {"gone_100.jpg": b"", "gone_100.png": b"", "sp61234.att_100.jpg": b"", "a_100.jpeg": b""}
OTHERS = {"a_50.jpg": b"", "b_2000.png": b""}
MARKED = mark_of(AssetStat(1, 1.0, "any"))
UNKNOWN = {"README.txt": b"", "a.jpg": b"", "notes_1.txt": b""}


def fill_store(store: Path) -> Path:
    fill(store, "originals", ORIGINALS)
    return fill(store, "thumbnails", KEPT | OFFICIAL_ORPHANS | OTHERS | UNKNOWN)


def test_thumbnails_without_an_original_go_and_no_others(tmp_path: Path, config: Path) -> None:
    directory = fill_store(tmp_path / "store")
    ours = {"lost_100.jpg": MARKED, f"{'x' * 200}~0123456789abcdef_100.jpg": MARKED}
    fill(tmp_path / "store", "thumbnails", ours)
    ran = thumbnails("prune", config)
    assert ran.code == 0
    assert names(directory) == KEPT.keys() | OTHERS.keys() | UNKNOWN.keys() | OFFICIAL_ORPHANS.keys()
    listed = {each["file"].removeprefix("thumbnails/"): each["state"] for each in ran.report["files"]}
    assert listed.items() >= (dict.fromkeys(ours, "orphan") | dict.fromkeys(OFFICIAL_ORPHANS, "unmarked")).items()


def test_what_others_left_goes_when_that_is_asked_for(tmp_path: Path, config: Path) -> None:
    directory = fill_store(tmp_path / "store")
    owned = KEPT.keys() - {"no-extension_100.png"}
    assert thumbnails("prune", config, "--unmarked").code == 0
    assert names(directory) >= owned | OTHERS.keys() | {"README.txt", "a.jpg"}
    assert not names(directory) & OFFICIAL_ORPHANS.keys()


@pytest_twisted.ensureDeferred
async def test_the_thumbnails_of_a_long_name_stay_as_long_as_their_original(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    client = Client(daemon.url, KEY)
    name = "x" * 251 + ".jpg"
    await client.store(name, photograph())
    assert (await client.thumbnail(name, 100)).status == 200
    assert counts(thumbnails("prune", daemon.config_file)) == {"kept": 1}
    (daemon.store / "originals" / name).rename(daemon.store / "originals" / "other.jpg")
    assert counts(thumbnails("prune", daemon.config_file)) == {"orphan": 1}


def test_other_scales_go_when_some_are_kept(tmp_path: Path, config: Path) -> None:
    directory = fill_store(tmp_path / "store")
    thumbnails("prune", config, "--keep-scale", "100", "--keep-scale", "2000")
    assert names(directory) >= {"a_100.jpg", "b_100.png", "b_2000.png"}
    assert "a_50.jpg" not in names(directory)


def test_a_dry_run_only_lists(tmp_path: Path, config: Path) -> None:
    directory = fill_store(tmp_path / "store")
    before = names(directory)
    ran = thumbnails("prune", config, "--keep-scale", "100", "--dry-run")
    assert names(directory) == before
    listed = {each["file"].removeprefix("thumbnails/"): each["state"] for each in ran.report["files"]}
    assert listed.items() >= dict.fromkeys(OFFICIAL_ORPHANS, "unmarked").items()
    assert listed.items() >= dict.fromkeys(OTHERS, "scale").items()


@pytest_twisted.ensureDeferred
async def test_a_png_belongs_to_the_original_that_it_names(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    client = Client(daemon.url, KEY)
    for name, content in (("plan.pdf", pdf()), ("text.docx", b"x")):
        await client.store(name, content)
    assert (await client.thumbnail("plan.pdf", 100)).status == 200
    assert counts(thumbnails("prune", daemon.config_file)) == {"kept": 1}
    # Another original whose thumbnails are called the same does not make up for it.
    (daemon.store / "originals/plan.pdf").rename(daemon.store / "originals/plan.tif")
    ran = thumbnails("prune", daemon.config_file)
    assert counts(ran) == {"orphan": 1}
    assert [(each["state"], each["file"]) for each in ran.report["files"]] == [("orphan", "thumbnails/plan_100.png")]
    assert not names(daemon.store / "thumbnails")


def test_a_collection_whose_disk_is_not_mounted_keeps_its_thumbnails(tmp_path: Path) -> None:
    stores: dict[str, Any] = {
        name: {"plugin": "filesystem", "path": tmp_path / name} for name in ("originals-on-nas", "local")
    }
    config = write_config(tmp_path, stores, thumbnails={"store": "local"})
    directory = fill(tmp_path / "local", "thumbnails", {"a_100.jpg": b""})
    ran = thumbnails("prune", config)
    assert (ran.code, counts(ran)) == (1, {"failed": 1})
    assert names(directory) == {"a_100.jpg"}
