"""Comparison and repair of the copies of a mirror."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import pytest_twisted

from tests.support.mirrors import DOWN, Mirrored, mirrored
from was_daemon.jobs.mirror.comparison import Comparison
from was_daemon.jobs.mirror.once import Once
from was_daemon.jobs.mirror.repair import Repair, Side
from was_daemon.jobs.report import JobReport
from was_daemon.jobs.traverse import for_each
from was_daemon.library.spool import Spool
from was_daemon.model.errors import AssetNotFound
from was_daemon.model.keys import AssetKey
from was_daemon.testing.contract import original
from was_daemon.testing.streams import chunked, read_asset


@attrs.define
class Told(JobReport):
    """What a job reports."""

    counts: Counter[str] = attrs.field(factory=Counter)
    lines: list[tuple[str, str, str]] = attrs.field(factory=list)

    def count(self, state: str, number: int = 1) -> None:
        self.counts[state] += number

    def describe(self, state: str, path: str, reason: str) -> None:
        self.count(state)
        self.lines.append((state, path, reason))


@pytest_twisted.async_yield_fixture
async def museum(tmp_path: Path) -> AsyncIterator[Mirrored]:
    async with mirrored(tmp_path, compared=False) as found:
        yield found


async def compare(museum: Mirrored, deep: bool = False, repair: Repair | None = None, ends: bool = True) -> Told:
    told = Told()
    once = Once()
    for copy in museum.copies:
        comparison = Comparison(museum.store, copy, [""], told, once, deep, repair)
        await comparison.begin()
        await for_each(comparison.in_primary(), 2, comparison.compare)
        await for_each(comparison.in_copy(), 2, comparison.look_for)
        if ends:
            await comparison.end(is_whole=True)
    await once.close()
    return told


async def repair(museum: Mirrored, prefer: Side | None = None, dry_run: bool = False) -> Told:
    spool = Spool(museum.root.parent / "spool", 0)
    try:
        return await compare(museum, True, Repair(museum.store, spool, prefer, dry_run))
    finally:
        await spool.close()


async def by_hand(museum: Mirrored, key: AssetKey, content: bytes, *stores: str) -> None:
    """Write a file behind the mirror's back."""
    for name in stores:
        await getattr(museum, name).write(key, chunked(content))


@pytest_twisted.ensureDeferred
async def test_a_directory_that_was_there_before_gets_its_copy(museum: Mirrored) -> None:
    for number in range(5):
        await by_hand(museum, original(f"{number}.jpg"), b"bytes", "primary")
    assert (await compare(museum)).counts == {"uncopied": 5}
    assert (await repair(museum, dry_run=True)).counts == {"copied": 5}
    assert await museum.names() == [[]]
    assert (await repair(museum)).counts == {"copied": 5}
    await museum.settle(5)
    assert len((await museum.names())[0]) == 5
    assert (await compare(museum)).counts == {"same": 5}


@pytest_twisted.ensureDeferred
async def test_a_disk_that_was_replaced_is_filled_from_the_copy(museum: Mirrored) -> None:
    keys = [await museum.put(f"{number}.jpg", b"bytes %d" % number) for number in range(5)]
    gone = await museum.put("gone.jpg", b"gone")
    await museum.settle(5)
    museum.copy.trouble, museum.copy.only = DOWN, {"delete"}
    await museum.store.delete(gone)
    for key in keys:
        museum.lose(key.name)
    told = await repair(museum)
    assert told.counts == {"restored": 5, "waiting": 1}
    for number, key in enumerate(keys):
        assert await read_asset(museum.primary, key) == b"bytes %d" % number
    # What was deleted stays so.
    with pytest.raises(AssetNotFound):
        await museum.store.stat(gone)
    assert (await repair(museum)).counts == {"same": 5, "waiting": 1}


@pytest_twisted.ensureDeferred
async def test_a_lost_journal_is_made_up_for_by_a_comparison(museum: Mirrored) -> None:
    await by_hand(museum, original("a.jpg"), b"bytes", "copy")
    assert (await compare(museum)).counts == {"lost": 1}
    assert await read_asset(museum.store, original("a.jpg")) == b"bytes"
    assert (await repair(museum)).counts == {"restored": 1}
    # From the first comparison on, nothing can be in the copy that the mirror does not know.
    await by_hand(museum, original("b.jpg"), b"bytes", "copy")
    told = await repair(museum)
    assert told.lines == [("extra", "originals/b.jpg", "nobody has copied it there")]
    with pytest.raises(AssetNotFound):
        await museum.store.stat(original("b.jpg"))


@pytest_twisted.ensureDeferred
async def test_only_a_deep_comparison_finds_other_bytes_and_says_which_side_has_changed(museum: Mirrored) -> None:
    keys = [await museum.put(name, b"bytes") for name in ("a.jpg", "b.jpg", "c.jpg")]
    await museum.settle(5)
    await by_hand(museum, keys[0], b"BYTES", "copy")
    await by_hand(museum, keys[1], b"BYTES", "primary")
    assert (await compare(museum)).counts == {"same": 3}
    told = await compare(museum, deep=True)
    assert sorted(told.lines) == [
        ("differs", "originals/a.jpg", "the copy has changed"),
        ("differs", "originals/b.jpg", "the primary has changed"),
    ]
    assert (await repair(museum)).counts == {"differs": 2, "same": 1}
    assert (await repair(museum, Side.PRIMARY)).counts == {"copied": 2, "same": 1}
    await museum.settle(5)
    assert [await read_asset(museum.copy, key) for key in keys] == [b"bytes", b"BYTES", b"bytes"]


@pytest_twisted.ensureDeferred
async def test_the_copy_counts_where_that_is_wanted(museum: Mirrored) -> None:
    key = await museum.put("a.jpg", b"bytes")
    await museum.settle(5)
    await by_hand(museum, key, b"other, longer bytes", "primary")
    told = await compare(museum)
    assert told.lines == [("differs", "originals/a.jpg", "19 bytes, in the copy 5")]
    assert (await repair(museum, Side.COPY)).counts == {"restored": 1}
    assert await read_asset(museum.primary, key) == b"bytes"
    assert (await compare(museum, deep=True)).counts == {"same": 1}


@pytest_twisted.ensureDeferred
async def test_a_damaged_copy_is_not_restored(museum: Mirrored) -> None:
    key = await museum.put("a.jpg", b"bytes")
    await museum.settle(5)
    await by_hand(museum, key, b"BYTES", "copy")
    museum.lose("a.jpg")
    told = await repair(museum)
    assert told.lines == [("failed", "originals/a.jpg", "the copy does not have the bytes that were copied there")]


@pytest_twisted.ensureDeferred
async def test_an_interrupted_comparison_goes_on(museum: Mirrored) -> None:
    for number in range(5):
        await museum.put(f"{number}.jpg", b"bytes")
    await museum.settle(5)
    await compare(museum, deep=True, ends=False)
    museum.copy.calls.clear()
    assert (await compare(museum, deep=True)).counts == {"same": 5}
    assert "open" not in museum.copy.calls
    # The next one begins anew.
    await compare(museum, deep=True)
    assert museum.copy.calls.count("open") == 5


@pytest_twisted.ensureDeferred
async def test_what_changes_meanwhile_is_left_to_the_journal(museum: Mirrored) -> None:
    key = await museum.put("a.jpg", b"bytes")
    await museum.settle(5)
    museum.copy.trouble, museum.copy.only = DOWN, {"write"}
    await museum.put("a.jpg", b"longer bytes")
    await museum.settle(1)
    assert (await repair(museum)).counts == {"waiting": 1}
    museum.lose("a.jpg")
    told = await repair(museum)
    # Better than nothing, and said.
    assert told.lines == [("restored", "originals/a.jpg", "an earlier version: the last one is lost")]
    assert await read_asset(museum.store, key) == b"bytes"


@pytest_twisted.ensureDeferred
async def test_an_upload_that_comes_before_a_repair_stays(museum: Mirrored) -> None:
    key = await museum.put("a.jpg", b"bytes")
    await museum.settle(5)
    museum.lose("a.jpg")

    def upload(operation: str) -> None:
        if operation == "open":
            (museum.root / "originals" / "a.jpg").write_bytes(b"newer")

    museum.copy.before = upload
    assert (await repair(museum)).lines == [("failed", "originals/a.jpg", "an asset of this name exists")]
    assert await read_asset(museum.primary, key) == b"newer"


@pytest_twisted.ensureDeferred
async def test_a_file_that_the_primary_has_lost_counts_once_however_many_copies_have_it(tmp_path: Path) -> None:
    async with mirrored(tmp_path, copies=3) as museum:
        for name in ("a.jpg", "b.jpg"):
            await museum.put(name, b"bytes")
        await museum.settle(5)
        museum.lose("a.jpg")
        assert (await compare(museum)).counts == {"same": 3, "lost": 1}
        tried = Repair(museum.store, Spool(tmp_path / "spool", 0), dry_run=True)
        told = await compare(museum, repair=tried)
        assert (told.counts, tried.bytes) == ({"same": 3, "restored": 1}, 5)
        assert (await repair(museum)).counts["restored"] == 1


@pytest_twisted.ensureDeferred
async def test_a_lost_file_comes_back_from_the_copy_that_has_its_last_version(tmp_path: Path) -> None:
    async with mirrored(tmp_path, copies=2) as museum:
        key = await museum.put("a.jpg", b"earlier")
        await museum.settle(5)
        museum.copy.trouble, museum.copy.only = DOWN, {"write"}
        await museum.put("a.jpg", b"the last")
        await museum.settle(5)
        museum.lose("a.jpg")
        told = await repair(museum)
        assert told.counts == {"waiting": 1, "restored": 1}
        assert await read_asset(museum.primary, key) == b"the last"
        museum.copy.trouble = None
        await museum.settle(120)
        assert await read_asset(museum.copy, key) == b"the last"
