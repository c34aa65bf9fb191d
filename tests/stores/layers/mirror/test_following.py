"""How the copies of a mirror follow: after a week, after kills, by one of several processes."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted

from tests.support.mirrors import DOWN, Mirrored, mirrored
from was_daemon.model.errors import StoreFailed, StoreTimeout
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.mirror import Action
from was_daemon.stores.layers.mirror.changes import Step
from was_daemon.stores.layers.mirror.follower import LONGEST_PAUSE
from was_daemon.stores.layers.mirror.journal import MirrorJournal
from was_daemon.stores.layers.mirror.store import MirrorStore
from was_daemon.testing.contract import original
from was_daemon.testing.streams import chunked, read_asset

HOUR, WEEK = 3600.0, 7 * 86400.0


@pytest_twisted.async_yield_fixture
async def museum(tmp_path: Path) -> AsyncIterator[Mirrored]:
    async with mirrored(tmp_path) as found:
        yield found


@pytest_twisted.ensureDeferred
async def test_a_copy_that_was_down_for_a_week_catches_up_as_soon_as_it_answers(museum: Mirrored) -> None:
    old = await museum.put("old.jpg", b"old")
    await museum.settle(5)
    museum.copy.trouble = StoreTimeout("no answer")
    museum.copy.calls.clear()
    keys = [await museum.put(f"{number}.jpg", b"bytes %d" % number) for number in range(100)]
    await museum.store.delete(old)
    # Half-hours: what is asked of the far end in between is known from the shorter test below.
    for _ in range(4):
        museum.clock.advance(WEEK / 4)
        await museum.settle(2)
    state = (await museum.store.states())["copy1"]
    assert (state.files, state.problem) == (101, "no answer")
    assert WEEK <= state.lag < WEEK + 60
    museum.copy.trouble = None
    await museum.settle(LONGEST_PAUSE + 5)
    assert (await museum.store.states())["copy1"].files == 0
    for number, key in enumerate(keys):
        assert await read_asset(museum.copy, key) == b"bytes %d" % number
    assert "old.jpg" not in (await museum.names())[0]


@pytest_twisted.ensureDeferred
async def test_a_copy_that_is_down_is_left_in_peace(museum: Mirrored) -> None:
    museum.copy.trouble = DOWN
    for number in range(20):
        await museum.put(f"{number}.jpg", b"bytes")
    await museum.settle(600)
    # Doubled from one second up to a minute, by chance down to the half of that.
    assert 600 / LONGEST_PAUSE <= museum.copy.calls.count("write") <= 2 * 600 / LONGEST_PAUSE + 4 + 7


@pytest_twisted.ensureDeferred
async def test_a_file_that_a_copy_refuses_holds_up_no_other(museum: Mirrored) -> None:
    write = museum.copy._store.write

    async def refuse(key: AssetKey, *arguments: object) -> object:
        if key.name == "bad.jpg":
            raise StoreFailed("the store answered with an error")
        return await write(key, *arguments)

    museum.copy._store.write = refuse
    await museum.put("bad.jpg", b"bytes")
    for number in range(20):
        await museum.put(f"{number}.jpg", b"bytes")
    await museum.settle(60)
    state = (await museum.store.states())["copy1"]
    assert (state.files, state.failing, state.problem) == (1, 1, "the store answered with an error")
    assert len((await museum.names())[0]) == 20
    museum.copy._store.write = write
    await museum.settle(2 * HOUR)
    assert (await museum.store.states())["copy1"].files == 0


@pytest_twisted.ensureDeferred
async def test_a_copy_that_tells_another_size_has_not_got_the_file(museum: Mirrored) -> None:
    write = museum.copy._store.write

    async def cut(key: AssetKey, chunks: object, size: int) -> object:
        return await write(key, chunked(b"byt"), size)

    museum.copy._store.write = cut
    await museum.put("a.jpg", b"bytes")
    await museum.settle(10)
    assert "does not have the size" in (await museum.store.states())["copy1"].problem
    museum.copy._store.write = write
    await museum.settle(HOUR)
    assert await read_asset(museum.copy, original("a.jpg")) == b"bytes"


@pytest_twisted.ensureDeferred
async def test_a_file_that_is_replaced_while_it_is_copied_is_copied_again(museum: Mirrored) -> None:
    key = original("a.jpg")
    versions = [b"second", b"third"]
    write = museum.copy._store.write

    async def slow(*arguments: object) -> object:
        if versions:
            # Somebody on another machine, whose journal is another one.
            await museum.primary.write(key, chunked(versions.pop(0)))
        return await write(*arguments)

    museum.copy._store.write = slow
    await museum.put("a.jpg", b"first")
    await museum.settle(5)
    assert await read_asset(museum.copy, key) == b"third"


@pytest_twisted.ensureDeferred
async def test_a_move_to_the_trash_sends_no_bytes_to_a_copy_that_can_copy(tmp_path: Path) -> None:
    async with mirrored(tmp_path, start=False) as museum:
        from storage_plugins.filesystem import FilesystemStore
        from tests.support.mirrors import FaultyStore
        from was_daemon.model.keys import Layout

        nas = FaultyStore.over(FilesystemStore(tmp_path / "nas", Layout.FLAT))
        journal = MirrorJournal(tmp_path / "nas.sqlite", ["nas"], museum.clock.seconds)
        store = MirrorStore("main", museum.primary, {"nas": nas}, journal, clock=museum.clock)
        other = Mirrored(store, museum.primary, {"nas": nas}, museum.clock, museum.root)
        store.start()
        key, trashed = await other.put("a.jpg", b"bytes"), AssetKey("", Kind.TRASH, "0123.file")
        await other.settle(5)
        nas.calls.clear()
        await store.move(key, trashed)
        await other.settle(5)
        assert (await other.names(), await other.names(Kind.TRASH)) == ([[]], [["0123.file"]])
        assert "write" not in nas.calls
        assert nas.calls.index("copy") < nas.calls.index("delete")
        await store.close()
        await nas.close()


# -- several processes, and killed ones --------------------------------------------------------------------------------


def _beside(museum: Mirrored) -> MirrorStore:
    """Another process with the same journal."""
    journal = MirrorJournal(museum.store.journal.path, list(museum.copies), museum.clock.seconds)
    return MirrorStore("main", museum.primary, museum.copies, journal, clock=museum.clock)


@pytest_twisted.ensureDeferred
async def test_one_of_several_processes_has_the_copies_follow_and_another_when_it_ends(museum: Mirrored) -> None:
    await museum.settle(1)
    other = _beside(museum)
    other.start()
    await other.write(original("a.jpg"), chunked(b"bytes"))
    await museum.settle(10)
    assert await museum.names() == [["a.jpg"]]
    assert (museum.store.copied, other.copied) == ({"copy1": 1}, {"copy1": 0})
    # They know of each other's deletions.
    museum.copy.trouble = DOWN
    await other.delete(original("a.jpg"))
    await museum.settle(1)
    with pytest.raises(Exception, match="no such asset"):
        await museum.store.stat(original("a.jpg"))
    await museum.store.close()
    museum.copy.trouble = None
    ended, museum.store = museum.store, other
    await museum.settle(90)
    assert await museum.names() == [[]]
    assert other.copied == {"copy1": 1}
    museum.store = ended
    await other.close()


@pytest_twisted.ensureDeferred
async def test_changes_of_a_killed_process_follow_whether_or_not_they_were_made(museum: Mirrored) -> None:
    kept, deleted = await museum.put("kept.jpg", b"bytes"), await museum.put("deleted.jpg", b"bytes")
    await museum.settle(5)
    killed = _beside(museum)
    steps = [
        Step(original("made.jpg"), Action.WRITE),
        Step(original("unmade.jpg"), Action.WRITE),
        Step(kept, Action.DELETE),
        Step(deleted, Action.DELETE),
    ]
    for step in steps:
        await killed.journal.begin([step])
    await museum.primary.write(original("made.jpg"), chunked(b"made"))
    await museum.primary.delete(deleted)
    await museum.settle(30)
    # It lives: what it does is not known yet.
    assert await museum.names() == [["deleted.jpg", "kept.jpg"]]
    with pytest.raises(Exception, match="no such asset"):
        await museum.store.stat(deleted)
    await killed.journal.close()
    await museum.settle(30)
    assert await museum.names() == [["kept.jpg", "made.jpg"]]
    state = (await museum.store.states())["copy1"]
    assert (state.files, state.lost) == (0, 0)


@pytest_twisted.ensureDeferred
async def test_a_journal_that_cannot_be_read_is_tried_again(museum: Mirrored) -> None:
    await museum.put("a.jpg", b"bytes")
    await museum.settle(5)
    path = museum.store.journal.path
    path.rename(path.with_name("away"))
    path.mkdir()
    await museum.settle(200)
    path.rmdir()
    path.with_name("away").rename(path)
    await museum.put("b.jpg", b"bytes")
    await museum.settle(100)
    assert await museum.names() == [["a.jpg", "b.jpg"]]


@pytest_twisted.ensureDeferred
async def test_closing_stops_in_the_middle_and_the_next_goes_on(museum: Mirrored) -> None:
    random.seed(1)
    museum.copy.trouble = DOWN
    for number in range(10):
        await museum.put(f"{number}.jpg", b"bytes")
    await museum.store.close()
    museum.copy.trouble = None
    museum.store = _beside(museum)
    museum.store.start()
    await museum.settle(30)
    assert len((await museum.names())[0]) == 10


@pytest_twisted.ensureDeferred
async def test_copies_wait_for_a_pause_between_uploads_but_not_for_long(museum: Mirrored) -> None:
    for number in range(20):
        await museum.put(f"{number}.jpg", b"bytes")
        await museum.settle(0.2)
    assert await museum.names() == [[]]
    await museum.settle(1)
    assert len((await museum.names())[0]) == 20
    for number in range(20, 80):
        await museum.put(f"{number}.jpg", b"bytes")
        await museum.settle(0.2)
    assert len((await museum.names())[0]) > 60


@pytest_twisted.ensureDeferred
async def test_what_another_process_is_deleting_is_not_called_lost(museum: Mirrored) -> None:
    museum.copy.trouble = DOWN
    key = await museum.put("a.jpg", b"bytes")
    await museum.settle(1)
    # The process of the deletion has not noted its end, or was killed.
    killed = _beside(museum)
    await killed.journal.begin([Step(key, Action.DELETE)])
    await museum.primary.delete(key)
    museum.copy.trouble = None
    await museum.settle(LONGEST_PAUSE + 5)
    state = (await museum.store.states())["copy1"]
    assert (state.files, state.lost) == (1, 0)
    await killed.journal.close()
    await museum.settle(30)
    state = (await museum.store.states())["copy1"]
    assert (state.files, state.lost) == (0, 0)
