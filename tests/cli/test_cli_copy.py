"""`was-daemon copy`, between real stores, and killed half-way."""

import os
import resource
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import end, run, started, write_config
from tests.support.daemon import eventually
from tests.support.images import jpeg
from tests.support.remotes import KINDS, FarEnd, make_far_end
from tests.support.slow import slow_after
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.marks import mark_of
from was_daemon.testing.streams import payload

LARGE = 300_000
NAMES = [f"{number:03}.bin" for number in range(40)]


@pytest.fixture(params=slow_after(1, KINDS))
def far_end(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FarEnd]:
    """A real server of each kind."""
    server = make_far_end(request.param, tmp_path / request.param)
    server.start()
    yield server
    server.remove()


def local(path: Path, **options: str) -> dict[str, Any]:
    return {"plugin": "filesystem", "path": path, **options}


def fill(store: Path, contents: Mapping[str, bytes], kind: str = "originals") -> Path:
    """Put files into a store; returns where they are."""
    directory = store / kind
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    return directory


def content(directory: Path) -> dict[str, bytes]:
    """All files that a collection has of one kind."""
    return {path.name: path.read_bytes() for path in directory.glob("*") if path.is_file()}


def inodes(directory: Path) -> dict[str, int]:
    """What tells a file that was left alone from one that was written again."""
    return {path.name: path.stat().st_ino for path in directory.glob("*") if path.is_file()}


def version(path: Path) -> AssetStat:
    """What a filesystem store says of a file."""
    status = path.stat()
    etag = f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"
    return AssetStat(status.st_size, status.st_mtime_ns / 1e9, etag)


@pytest.fixture
def disks(tmp_path: Path) -> Path:
    """The configuration of two stores on this disk, `a` and `b`."""
    return write_config(tmp_path, {"a": local(tmp_path / "a"), "b": local(tmp_path / "b")})


def copy(config: Path, *options: str | Path) -> Any:
    return run("copy", "--from", "a", "--to", "b", "--config", config, "--json", *options)


def counts(report: Mapping[str, Any]) -> dict[str, int]:
    """The states that some files are in."""
    return {state: number for state, number in report.items() if state not in ("files", "bytes") and number}


def test_a_collection_moves_to_a_remote_store_and_back(tmp_path: Path, far_end: FarEnd) -> None:
    files = {name: payload(LARGE + seed, seed) for seed, name in enumerate(NAMES[:8])} | {"Käfer.txt": b"", "x": b"x"}
    fill(tmp_path / "a", files)
    config = write_config(
        tmp_path, {"a": local(tmp_path / "a"), "far": far_end.table(), "back": local(tmp_path / "back")}
    )
    there = run("copy", "--from", "a", "--to", "far", "--config", config, "--json")
    assert (there.code, counts(there.report)) == (0, {"copied": 10}), there
    assert there.report["bytes"] == sum(map(len, files.values()))
    assert content(far_end.originals()) == files
    back = run("copy", "--from", "far", "--to", "back", "--config", config, "--json")
    assert (back.code, counts(back.report)) == (0, {"copied": 10}), back
    assert content(tmp_path / "back/originals") == files


def test_a_journal_that_cannot_be_used_is_told_in_a_line_and_nothing_is_copied(disks: Path, tmp_path: Path) -> None:
    fill(tmp_path / "a", {"a.bin": b"a"})
    (tmp_path / "journal").write_bytes(b"no database" * 100)
    ran = copy(disks, "--state", tmp_path / "journal")
    assert (ran.code, counts(ran.report)) == (1, {})
    assert ran.err == "Error: the journal of copies cannot be used: file is not a database\n"
    assert not (tmp_path / "b").exists()


def test_a_copy_that_is_killed_and_started_again_copies_only_the_rest(tmp_path: Path, far_end: FarEnd) -> None:
    files = {name: payload(LARGE, seed) for seed, name in enumerate(NAMES)}
    fill(tmp_path / "a", files)
    config = write_config(tmp_path, {"a": local(tmp_path / "a"), "b": far_end.table()})
    options = ("--from", "a", "--to", "b", "--parallel", "4", "--config", config, "--json")
    with far_end.relay.holding(len(files) * LARGE // 2) as is_held, started("copy", *options) as process:
        eventually(is_held, "for half of it to be sent")
        process.kill()
        assert end(process).code == -signal.SIGKILL
    before = content(far_end.originals())
    assert 0 < len(before) < len(files)
    assert all(files[name] == stored for name, stored in before.items())
    kept = inodes(far_end.originals())
    again = copy(config)
    assert (again.code, again.report["failed"]) == (0, 0), again
    # What was on its way when it was killed may have arrived after all.
    assert again.report["there"] >= len(before)
    assert again.report["copied"] + again.report["there"] == len(files)
    assert content(far_end.originals()) == files
    assert kept.items() <= inodes(far_end.originals()).items()


def test_what_a_killed_copy_left_half_written_is_removed_by_the_next(tmp_path: Path) -> None:
    far_end = make_far_end("sftp", tmp_path / "far")
    far_end.start()
    try:
        os.truncate(far_end.put("large.bin", b""), 200 << 20)
        config = write_config(tmp_path, {"a": far_end.table(), "b": local(tmp_path / "b")})
        staging = tmp_path / "b/originals/.staging"
        # Enough to log in and to ask for a part of the file.
        options = ("--from", "a", "--to", "b", "--config", config, "--json")
        with far_end.relay.holding(20_000) as is_held, started("copy", *options) as process:
            eventually(is_held, "for the middle of the file")
            process.kill()
            end(process)
        assert len(list(staging.iterdir())) == 1
        assert content(tmp_path / "b/originals") == {}
        assert counts(copy(config).report) == {"copied": 1}
        assert list(staging.iterdir()) == []
    finally:
        far_end.remove()


@pytest.mark.slow
def test_what_a_killed_copy_left_half_written_on_a_server_is_removed_by_the_next(tmp_path: Path) -> None:
    far_end = make_far_end("sftp", tmp_path / "far")
    far_end.start()
    try:
        fill(tmp_path / "a", {"large.bin": payload(40 << 20)})
        config = write_config(tmp_path, {"a": local(tmp_path / "a"), "b": far_end.table()})
        options = ("--from", "a", "--to", "b", "--config", config, "--json")
        with far_end.relay.holding(10 << 20) as is_held, started("copy", *options) as process:
            eventually(is_held, "for the middle of the file")
            process.kill()
            end(process)
        assert len(far_end.unfinished()) == 1
        assert counts(copy(config).report) == {"copied": 1}
        assert far_end.unfinished() == []
    finally:
        far_end.remove()


def test_an_interrupted_copy_tells_how_far_it_came_and_leaves_nothing_half_written(
    tmp_path: Path, far_end: FarEnd
) -> None:
    files = {name: payload(LARGE, seed) for seed, name in enumerate(NAMES)}
    fill(tmp_path / "a", files)
    config = write_config(tmp_path, {"a": local(tmp_path / "a"), "b": far_end.table()})
    with started("copy", "--from", "a", "--to", "b", "--config", config, "--json") as process:
        with far_end.relay.holding(len(files) * LARGE // 2) as is_held:
            eventually(is_held, "for half of it to be sent")
            process.send_signal(signal.SIGINT)
        ended = end(process)
    assert ended.code == 1
    assert "Interrupted. Start it again to go on." in ended.err
    assert "Traceback" not in ended.err
    stored = content(far_end.originals())
    assert 0 < ended.report["copied"] <= len(stored) < len(files)
    assert all(files[name] == found for name, found in stored.items())


def test_what_was_verified_is_not_read_again(tmp_path: Path, far_end: FarEnd) -> None:
    fill(tmp_path / "a", {name: payload(LARGE, 1) for name in NAMES[:5]})
    config = write_config(tmp_path, {"a": local(tmp_path / "a"), "b": far_end.table()})
    assert copy(config).code == 0
    # Servers may name a version anew when it is older than their clock's resolution.
    assert counts(copy(config).report) == {"there": 5}
    far_end.relay.count_anew()
    assert counts(copy(config).report) == {"there": 5}
    assert far_end.relay.sent + far_end.relay.received < LARGE


def test_what_is_at_the_target_already_is_compared_by_its_content(tmp_path: Path, disks: Path) -> None:
    fill(tmp_path / "a", {"same": b"1234", "changed": b"1234", "longer": b"1234", "new": b"1234"})
    target = fill(tmp_path / "b", {"same": b"1234", "changed": b"1243", "longer": b"12345"})
    kept = inodes(target)
    ran = copy(disks)
    assert (ran.code, counts(ran.report)) == (1, {"there": 1, "differs": 2, "copied": 1})
    assert {each["file"] for each in ran.report["files"]} == {"originals/changed", "originals/longer"}
    assert content(target) == {"same": b"1234", "changed": b"1243", "longer": b"12345", "new": b"1234"}
    assert kept.items() <= inodes(target).items()


def test_a_file_that_changed_since_it_was_verified_is_compared_again(tmp_path: Path, disks: Path) -> None:
    fill(tmp_path / "a", {"a.bin": b"1234"})
    assert copy(disks).code == 0
    (tmp_path / "b/originals/a.bin").write_bytes(b"4321")
    assert counts(copy(disks).report) == {"differs": 1}


def test_only_overwrite_replaces_what_differs(tmp_path: Path, disks: Path) -> None:
    fill(tmp_path / "a", {"a.bin": b"1234"})
    target = fill(tmp_path / "b", {"a.bin": b"4321", "other": b"x"})
    assert counts(copy(disks, "--overwrite", "--dry-run").report) == {"replaced": 1}
    ran = copy(disks, "--overwrite")
    assert (ran.code, counts(ran.report)) == (0, {"replaced": 1})
    assert ran.report["files"] == [{"state": "replaced", "file": "originals/a.bin", "reason": ""}]
    assert content(target) == {"a.bin": b"1234", "other": b"x"}


def test_a_store_whose_directory_does_not_exist_is_not_copied_from(tmp_path: Path, disks: Path) -> None:
    ran = copy(disks)
    assert ran.code == 1
    assert f"files in {tmp_path}/a: there is no such directory" in ran.err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name in "ab") == []


def test_a_dry_run_writes_nothing(tmp_path: Path, disks: Path) -> None:
    fill(tmp_path / "a", {"there": b"1", "new": b"2", "differs": b"3"})
    target = fill(tmp_path / "b", {"there": b"1", "differs": b"4"})
    ran = copy(disks, "--dry-run", "--thumbnails")
    assert (ran.code, counts(ran.report)) == (1, {"there": 1, "copied": 1, "differs": 1})
    assert content(target) == {"there": b"1", "differs": b"4"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "was.toml"]


def test_one_file_that_fails_does_not_stop_the_others(tmp_path: Path, disks: Path) -> None:
    fill(tmp_path / "a", dict.fromkeys(NAMES[:5], b"x"))
    (tmp_path / "b/originals" / NAMES[2]).mkdir(parents=True)
    ran = copy(disks)
    assert (ran.code, counts(ran.report)) == (1, {"copied": 4, "failed": 1})
    assert [each["file"] for each in ran.report["files"]] == [f"originals/{NAMES[2]}"]


def disk_and_lossy_store(tmp_path: Path) -> Path:
    """The configuration of two stores on this disk, `a`, and `b` which changes some of what is written to it."""
    plugin = tmp_path / "plugins/storage_plugins/lossy.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(
        "from storage_plugins.filesystem import FilesystemOptions, FilesystemStore\n"
        "from was_daemon.plugins import StorePlugin\n"
        "class Lossy(FilesystemStore):\n"
        "    async def write(self, key, chunks, size=None):\n"
        "        async def damaged():\n"
        "            async for chunk in chunks:\n"
        "                yield chunk.replace(b'good', b'evil')\n"
        "        return await super().write(key, damaged(), size)\n"
        "lossy = StorePlugin('lossy', FilesystemOptions, lambda options: Lossy(options.path, options.layout))\n"
    )
    stores = {"a": local(tmp_path / "a"), "b": {"plugin": "lossy", "path": tmp_path / "b"}}
    return write_config(tmp_path, stores, plugins={"path": [tmp_path / "plugins"]})


def test_a_target_that_loses_bytes_is_found_out_and_nothing_is_deleted(tmp_path: Path) -> None:
    config = disk_and_lossy_store(tmp_path)
    fill(tmp_path / "a", {"a.bin": b"a good file", "b.bin": b"another"})
    ran = copy(config)
    assert (ran.code, counts(ran.report)) == (1, {"copied": 1, "failed": 1})
    assert content(tmp_path / "b/originals") == {"a.bin": b"a evil file", "b.bin": b"another"}
    # Somebody looks after it.
    (tmp_path / "b/originals/a.bin").write_bytes(b"a good file")
    assert counts(copy(config).report) == {"there": 2}


def test_a_target_that_loses_bytes_loses_no_more_than_one_old_version(tmp_path: Path) -> None:
    config = disk_and_lossy_store(tmp_path)
    fill(tmp_path / "a", dict.fromkeys(NAMES, b"a good file"))
    fill(tmp_path / "b", dict.fromkeys(NAMES, b"an old file"))
    ran = copy(config, "--overwrite", "--parallel", "1")
    assert (ran.code, counts(ran.report)) == (1, {"failed": len(NAMES)})
    left = list(content(tmp_path / "b/originals").values())
    assert sorted(left) == [b"a evil file", *[b"an old file"] * (len(NAMES) - 1)]


def test_a_target_that_cannot_be_used_is_told_in_a_line(tmp_path: Path) -> None:
    fill(tmp_path / "a", {"a.bin": b"x"})
    (tmp_path / "b").write_text("no directory")
    ran = run(
        *("copy", "--from", "a", "--to", "b"),
        *("--config", write_config(tmp_path, {"a": local(tmp_path / "a"), "b": local(tmp_path / "b")})),
    )
    assert ran.code == 1
    assert "Error: the store" in ran.err
    assert "Traceback" not in ran.err


def test_collections_are_copied_by_name_and_between_layouts(tmp_path: Path) -> None:
    fill(tmp_path / "a/Fishes", {"fish.jpg": b"1"})
    fill(tmp_path / "a/Botany", {"moss.jpg": b"2"})
    config = write_config(
        tmp_path,
        {"a": local(tmp_path / "a"), "b": local(tmp_path / "b", layout="sharded")},
        collections={"mode": "map", "map": {"KUFish": {"directory": "Fishes"}, "KUHerb": {"directory": "Botany"}}},
    )
    assert counts(copy(config, "--collection", "KUHerb").report) == {"copied": 1}
    assert (tmp_path / "b/Botany/originals/mo/ss/moss.jpg").read_bytes() == b"2"
    assert not (tmp_path / "b/Fishes").exists()
    assert counts(copy(config).report) == {"copied": 1, "there": 1}
    assert copy(config, "--collection", "Fishes").code == 2


def test_thumbnails_are_copied_when_they_show_what_was_copied(tmp_path: Path, disks: Path) -> None:
    originals = fill(tmp_path / "a", {"a.jpg": jpeg(), "old.jpg": jpeg(), "differs.jpg": jpeg()})
    names = ("a_100.jpg", "old_100.jpg", "differs_100.jpg", "orphan_100.jpg")
    thumbnails = fill(tmp_path / "a", {name: jpeg() for name in names}, "thumbnails")
    fill(tmp_path / "b", {"differs.jpg": b"something else"})
    os.utime(thumbnails / "old_100.jpg", (1, 1))
    os.utime(originals / "a.jpg", (2, 2))
    ran = copy(disks, "--thumbnails")
    assert counts(ran.report) == {"copied": 3, "differs": 1, "skipped": 3}
    assert list(content(tmp_path / "b/thumbnails")) == ["a_100.jpg"]
    copied = (tmp_path / "b/thumbnails/a_100.jpg").stat()
    assert copied.st_mtime_ns >= (tmp_path / "b/originals/a.jpg").stat().st_mtime_ns
    assert counts(copy(disks, "--thumbnails").report) == {"there": 3, "differs": 1, "skipped": 3}


def test_a_copied_thumbnail_is_marked_as_one_of_the_copied_original(tmp_path: Path, disks: Path) -> None:
    originals = fill(tmp_path / "a", {"a.jpg": jpeg(), "b.jpg": jpeg()})
    marks = {name: mark_of(version(originals / name)) for name in ("a.jpg", "b.jpg")}
    fill(tmp_path / "a", {"a_9.jpg": jpeg() + marks["a.jpg"], "b_9.jpg": jpeg() + marks["a.jpg"]}, "thumbnails")
    assert counts(copy(disks, "--thumbnails").report) == {"copied": 3, "skipped": 1}
    mark = mark_of(version(tmp_path / "b/originals/a.jpg"))
    assert content(tmp_path / "b/thumbnails") == {"a_9.jpg": jpeg() + mark}
    (tmp_path / "spool/copies.sqlite").unlink()
    assert counts(copy(disks, "--thumbnails").report) == {"there": 3, "skipped": 1}


@pytest.mark.slow
def test_memory_stays_flat_whatever_the_size_of_a_file(tmp_path: Path, disks: Path) -> None:
    with (fill(tmp_path / "a", {}) / "large.bin").open("wb") as file:
        file.truncate(400 << 20)
    with started("copy", "--from", "a", "--to", "b", "--config", disks, "--json") as process:
        # What the process used at the most includes what this one did, so it is limited instead of measured.
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (350 << 20, 350 << 20))
        assert end(process).code == 0
    assert (tmp_path / "b/originals/large.bin").stat().st_size == 400 << 20


def test_wrong_usage_is_told_from_a_failure(tmp_path: Path, disks: Path) -> None:
    for arguments in (["--from", "a", "--to", "a"], ["--from", "a", "--to", "c"], ["--from", "a"]):
        assert run("copy", *arguments, "--config", disks).code == 2


def test_people_get_lines_and_a_sentence(tmp_path: Path, disks: Path) -> None:
    fill(tmp_path / "a", {"new": b"1", "differs": b"2"})
    fill(tmp_path / "b", {"differs": b"3"})
    ran = run("copy", "--from", "a", "--to", "b", "--config", disks)
    assert ran.out.splitlines()[0].split() == ["differs", "originals/differs"]
    assert ran.out.splitlines()[1].startswith("1 copied, 0 replaced, 0 there already, 1 differ, 0 failed")
    assert ran.err == ""
