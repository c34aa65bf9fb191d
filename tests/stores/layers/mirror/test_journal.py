"""The journal of a mirror, which several processes use, state by state."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest
import pytest_twisted

from was_daemon.model.keys import AssetKey
from was_daemon.model.mirror import Action, CopiedVersion
from was_daemon.stores.layers.mirror import statements
from was_daemon.stores.layers.mirror.changes import Begun, Ended, Outcome, Step
from was_daemon.stores.layers.mirror.journal import MirrorJournal
from was_daemon.testing.contract import original

KEY = original("a.jpg")
VERSION = CopiedVersion(5, 1.0, "etag", "copied")


class Journals:
    """Two processes with one journal of a mirror with one copy."""

    def __init__(self, path: Path) -> None:
        self.one, self.other = MirrorJournal(path, ["nas"]), MirrorJournal(path, ["nas"])

    async def begin(self, action: Action, journal: MirrorJournal | None = None) -> Begun:
        return await (journal or self.one).begin([Step(KEY, action)])

    async def change(self, action: Action, journal: MirrorJournal | None = None) -> None:
        """Have the primary make a change, and note its end."""
        await self.end(await self.begin(action, journal), journal)

    async def end(self, begun: Begun, journal: MirrorJournal | None = None) -> None:
        await (journal or self.one).end([Ended(begun, Outcome.MADE, 5)])

    async def follow(self, version: CopiedVersion | None) -> None:
        """Have the copy do what waits, and have `version` from then on."""
        waiting = await self.one.next("nas", [])
        assert waiting
        await self.one.settle(waiting, version)

    async def waiting(self) -> tuple[Action, bool] | None:
        found = await self.one.next("nas", [])
        return (found.action, found.is_done) if found else None


@pytest_twisted.async_yield_fixture
async def journals(tmp_path: Path) -> AsyncIterator[Journals]:
    found = Journals(tmp_path / "main.sqlite")
    yield found
    await found.one.close()
    await found.other.close()


@pytest_twisted.ensureDeferred
async def test_an_upload_that_was_killed_does_not_take_the_place_of_a_deletion(journals: Journals) -> None:
    await journals.change(Action.WRITE)
    await journals.follow(VERSION)
    await journals.change(Action.DELETE)
    await journals.begin(Action.WRITE, journals.other)
    # Also what a comparison is told: it would take the asset in the copy for one that the primary has lost.
    assert (await journals.one.look("nas", KEY)).waits is Action.DELETE
    assert (await journals.one.find(KEY)).is_deleted
    await journals.other.close()
    assert await journals.one.recover() == 1
    assert (await journals.one.look("nas", KEY)).waits is Action.DELETE
    assert (await journals.one.find(KEY)).is_deleted
    assert await journals.waiting() == (Action.DELETE, True)


@pytest.mark.parametrize("ends", ["noted", "recovered"])
@pytest_twisted.ensureDeferred
async def test_a_change_that_another_process_moves_on_is_not_overlooked(
    journals: Journals, ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journals.change(Action.WRITE)
    await journals.follow(VERSION)
    await journals.change(Action.WRITE)
    begun = await journals.begin(Action.DELETE, journals.other)
    recovering = MirrorJournal(journals.one.path, ["nas"])
    if ends == "recovered":
        await journals.other.close()

    def move_on() -> None:
        """What another process does in between."""
        with closing(sqlite3.connect(journals.one.path)) as connection, connection:
            if ends == "recovered":
                recovering._recover(connection)
            else:
                journals.other._end(connection, [Ended(begun, Outcome.MADE)])

    _before(monkeypatch, "actions_begun", move_on)
    found = await journals.one.find(KEY)
    # Neither read from the copy nor lost: it was deleted.
    assert (found.is_deleted, found.current, found.is_stale) == (True, (), False)
    assert (await journals.one.find(KEY)).is_deleted
    await recovering.close()


def _before(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], None]) -> None:
    """Have `act` called once before a statement."""
    statement, todo = getattr(statements, name), [act]

    def call(connection: sqlite3.Connection, *arguments: object) -> object:
        if todo:
            todo.pop()()
        return statement(connection, *arguments)

    monkeypatch.setattr(statements, name, call)


@pytest_twisted.ensureDeferred
async def test_an_end_that_is_noted_late_does_not_take_the_place_of_a_later_change(journals: Journals) -> None:
    upload = await journals.begin(Action.WRITE)
    await journals.change(Action.DELETE, journals.other)
    await journals.end(upload)
    assert await journals.waiting() == (Action.DELETE, True)
    deletion = await journals.begin(Action.DELETE)
    await journals.change(Action.WRITE, journals.other)
    await journals.end(deletion)
    assert await journals.waiting() == (Action.WRITE, True)


@pytest_twisted.ensureDeferred
async def test_an_upload_whose_end_is_noted_after_its_deletion_is_done_is_not_taken_for_made(
    journals: Journals,
) -> None:
    upload = await journals.begin(Action.WRITE)
    await journals.change(Action.DELETE, journals.other)
    await journals.follow(None)
    await journals.end(upload)
    # It is looked at again, and is not lost if it is not there.
    assert await journals.waiting() == (Action.WRITE, False)


@pytest_twisted.ensureDeferred
async def test_changes_of_other_assets_overtake_nothing(journals: Journals) -> None:
    upload = await journals.begin(Action.WRITE)
    other = await journals.one.begin([Step(AssetKey("", KEY.kind, "b.jpg"), Action.DELETE)])
    await journals.one.end([Ended(other, Outcome.MADE)])
    await journals.end(upload)
    found = [await journals.one.next("nas", [AssetKey("", KEY.kind, "b.jpg")])]
    assert [(each.action, each.is_done) for each in found if each] == [(Action.WRITE, True)]


@pytest_twisted.ensureDeferred
async def test_a_journal_of_an_earlier_version_is_used_on(tmp_path: Path) -> None:
    path = tmp_path / "main.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE changes (number INTEGER PRIMARY KEY AUTOINCREMENT, process TEXT NOT NULL, at REAL NOT NULL, "
            "collection TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, action TEXT NOT NULL, source TEXT)"
        )
        connection.execute("INSERT INTO changes VALUES (7, 'ended', 1.0, '', 'originals', 'a.jpg', 'delete', NULL)")
    journal = MirrorJournal(path, ["nas"])
    assert await journal.recover() == 1
    found = await journal.next("nas", [])
    assert found
    assert found.action is Action.DELETE
    await journal.close()


@pytest_twisted.ensureDeferred
async def test_processes_know_of_others_with_other_settings_while_they_live(tmp_path: Path) -> None:
    path = tmp_path / "main.sqlite"
    ours, same, stranger = (MirrorJournal(path, ["nas"], settings=each) for each in ("ours", "ours", "theirs"))
    for each in (ours, same, stranger):
        await each.announce()
    assert await ours.other_settings() == ["theirs"]
    assert await stranger.other_settings() == ["ours"]
    await stranger.close()
    assert await ours.other_settings() == []
    # Nothing is kept of those that have ended.
    await ours.recover()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT settings FROM users").fetchall() == [("ours",)] * 2
    await same.close()
    await ours.close()
