"""What the catalogue records of originals, in every kind of database."""

import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
import pytest_twisted
from sqlalchemy import URL, Connection, select
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.journal import Journal
from was_daemon.catalogue.schema import assets, history
from was_daemon.model.digests import Digest
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.origins import Origin
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked

async_test = pytest_twisted.ensureDeferred

KEY = AssetKey("Fish", Kind.ORIGINAL, "a.jpg")
OLD, NEW = Digest(1, "1" * 64, "1" * 32), Digest(2, "2" * 64, "2" * 32)
ORIGIN = Origin("Käfer \U0001f600.jpg", "192.0.2.7")


class Fixture:
    """A catalogue, and a look into its database."""

    def __init__(self, url: URL, journal: Path) -> None:
        self.database = CatalogueDatabase(url)
        self.catalogue = Catalogue(self.database, Journal(journal))

    async def record(self, *events: Event) -> None:
        for event in events:
            await self.catalogue.journal.add(event)
        await self.catalogue.move_all()

    async def rows(self, *columns: Any) -> list[tuple[Any, ...]]:
        def rows(connection: Connection) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in connection.execute(select(*columns).order_by(columns[0].table.c.id))]

        return await self.database.read(rows)


@pytest_twisted.async_yield_fixture
async def kept(url: URL, tmp_path: Path) -> AsyncIterator[Fixture]:
    fixture = Fixture(url, tmp_path / "journal.sqlite")
    yield fixture
    await fixture.catalogue.close()


def event(kind: EventKind, at: float, digest: Digest | None = None, key: AssetKey = KEY) -> Event:
    return Event.new(kind, "main", key, digest, ORIGIN, at)


@async_test
async def test_a_command_waits_for_what_the_daemon_is_about_to_record(kept: Fixture, url: URL, tmp_path: Path) -> None:
    stored = event(EventKind.STORED, 1, OLD)
    number = await kept.catalogue.journal.begin(stored)
    command = Fixture(url, tmp_path / "journal.sqlite")
    caught_up = Deferred.fromCoroutine(command.catalogue.catch_up())
    kept.catalogue.complete(number, stored)
    await caught_up
    assert await command.rows(assets.c.name) == [(KEY.name,)]
    await command.catalogue.close()


@async_test
async def test_the_last_event_is_what_there_is_and_all_are_history(kept: Fixture) -> None:
    await kept.record(event(EventKind.STORED, 1.25, OLD), event(EventKind.REPLACED, 2, NEW))
    facts = (NEW.size, NEW.sha256, NEW.md5, ORIGIN.file_name, ORIGIN.address, 2.0)
    columns = assets.c.size, assets.c.sha256, assets.c.md5, assets.c.file_name, assets.c.address, assets.c.changed
    assert await kept.rows(*columns) == [facts]
    assert await kept.rows(history.c.kind, history.c.sha256) == [("stored", OLD.sha256), ("replaced", NEW.sha256)]
    assert await kept.catalogue.find("main", KEY) == NEW
    await kept.record(event(EventKind.DELETED, 3))
    assert await kept.rows(assets.c.name) == []
    assert [row[0] for row in await kept.rows(history.c.kind)] == ["stored", "replaced", "deleted"]


@async_test
async def test_events_that_come_late_change_history_only(kept: Fixture) -> None:
    await kept.record(event(EventKind.REPLACED, 2, NEW))
    await kept.record(event(EventKind.STORED, 1, OLD))
    assert await kept.catalogue.find("main", KEY) == NEW
    await kept.record(event(EventKind.DELETED, 4))
    await kept.record(event(EventKind.FOUND, 3, NEW))
    assert await kept.catalogue.find("main", KEY) is None
    assert len(await kept.rows(history.c.id)) == 4


@async_test
async def test_an_event_that_comes_twice_is_recorded_once(kept: Fixture) -> None:
    twice = event(EventKind.STORED, 1, OLD)
    await kept.record(twice, twice)
    await kept.record(twice)
    assert len(await kept.rows(history.c.id)) == 1


@async_test
async def test_all_originals_of_a_collection_are_found_in_order(kept: Fixture) -> None:
    keys = [AssetKey("Fish", Kind.ORIGINAL, f"{number:04}.jpg") for number in range(1203)]
    await kept.record(*(event(EventKind.STORED, 1, OLD, key) for key in reversed(keys)))
    await kept.record(event(EventKind.STORED, 1, OLD, AssetKey("Birds", Kind.ORIGINAL, "b.jpg")))
    assert [key async for key, _ in kept.catalogue.each("main", "Fish")] == keys


@async_test
async def test_what_happens_while_the_database_is_down_waits_in_the_journal(url: URL, tmp_path: Path) -> None:
    down = Fixture(URL.create("postgresql+psycopg", "nobody", "x", "127.0.0.1", 1, "none"), tmp_path / "journal.sqlite")
    stored = event(EventKind.STORED, 1, OLD)
    down.catalogue.complete(await down.catalogue.journal.begin(stored), stored)
    with pytest.raises(StoreUnavailable):
        await down.catalogue.move_all()
    await down.catalogue.close()
    up = Fixture(url, tmp_path / "journal.sqlite")
    await up.catalogue.move_all()
    assert await up.catalogue.find("main", KEY) == OLD
    assert await up.catalogue.journal.count() == 0
    await up.catalogue.close()


@async_test
async def test_what_became_of_a_killed_daemons_changes_is_seen_in_the_store(url: URL, tmp_path: Path) -> None:
    killed = Fixture(url, tmp_path / "journal.sqlite")
    names = ("gone.jpg", "lost.jpg", "new.jpg", "other.jpg", "never.jpg")
    gone, lost, new, other, never = (AssetKey("Fish", Kind.ORIGINAL, name) for name in names)
    for key in (gone, lost):
        await killed.record(event(EventKind.STORED, 1, OLD, key))
    await killed.catalogue.journal.begin(event(EventKind.DELETED, 2, None, gone))
    digest = Digest(3, hashlib.sha256(b"new").hexdigest(), hashlib.md5(b"new").hexdigest())
    for key in (lost, new, other, never):
        await killed.catalogue.journal.begin(event(EventKind.REPLACED, 3, digest, key))
    await killed.catalogue.close()
    store = MemoryStore()
    await store.write(new, chunked(b"new"))
    await store.write(other, chunked(b"another daemon's"))
    next_one = Fixture(url, tmp_path / "journal.sqlite")
    # A file of checksums that cannot be read keeps nobody from it.
    damaged = tmp_path / "checksums.sqlite"
    damaged.write_bytes(b"no database" * 100)
    next_one.catalogue.start({"main": store}, damaged)
    await next_one.catalogue.settled()
    # Only of what the store has, byte for byte, is known who has sent it.
    assert await next_one.rows(assets.c.name, assets.c.size, assets.c.file_name, assets.c.changed > 3) == [
        ("new.jpg", 3, ORIGIN.file_name, False),
        ("other.jpg", 16, None, True),
    ]
    assert await next_one.rows(history.c.name, history.c.kind, history.c.address) == [
        *((name, "stored", ORIGIN.address) for name in ("gone.jpg", "lost.jpg")),
        ("gone.jpg", "deleted", ORIGIN.address),
        ("lost.jpg", "deleted", None),
        ("new.jpg", "replaced", ORIGIN.address),
        ("other.jpg", "found", None),
    ]
    assert await next_one.catalogue.journal.interrupted() == []
    await next_one.catalogue.close()


@async_test
async def test_what_a_killed_command_has_left_is_settled_while_the_daemon_runs(
    kept: Fixture, url: URL, tmp_path: Path
) -> None:
    store, clock = MemoryStore(), Clock()
    kept.catalogue._clock = cast(Any, clock)
    kept.catalogue.start({"main": store}, None)
    await kept.catalogue.settled()
    command = Fixture(url, tmp_path / "journal.sqlite")
    await store.write(KEY, chunked(b"back"))
    await command.catalogue.journal.begin(event(EventKind.RESTORED, 1, digest_of(b"back")))
    await command.catalogue.close()
    clock.advance(60)
    await kept.catalogue.settled()
    assert await kept.rows(assets.c.name, assets.c.size) == [(KEY.name, 4)]
    assert await kept.catalogue.journal.interrupted() == []
    # It looks again and again, until it ends.
    assert len(clock.getDelayedCalls()) == 1
    await kept.catalogue.close()
    assert not clock.getDelayedCalls()


def digest_of(content: bytes) -> Digest:
    return Digest(len(content), hashlib.sha256(content).hexdigest(), hashlib.md5(content).hexdigest())


async def settled(url: URL, journal: Path, store: MemoryStore) -> list[tuple[Any, ...]]:
    """Start a daemon's catalogue after a kill; its history by kind and time, and the client's name of the file."""
    next_one = Fixture(url, journal)
    next_one.catalogue.start({"main": store}, None)
    await next_one.catalogue.settled()
    assert await next_one.catalogue.journal.interrupted() == []
    rows = await next_one.rows(history.c.kind, history.c.at < 10)
    names = await next_one.rows(assets.c.file_name)
    await next_one.catalogue.close()
    return rows + names


@async_test
async def test_changes_that_were_followed_by_others_before_a_kill_are_all_recorded(url: URL, tmp_path: Path) -> None:
    killed = Fixture(url, tmp_path / "journal.sqlite")
    for change in (
        event(EventKind.STORED, 1, digest_of(b"first")),
        event(EventKind.DELETED, 2),
        event(EventKind.STORED, 3, digest_of(b"second")),
        event(EventKind.REPLACED, 4, digest_of(b"third")),
    ):
        await killed.catalogue.journal.begin(change)
    await killed.catalogue.close()
    store = MemoryStore()
    await store.write(KEY, chunked(b"third"))
    expected = [(kind, True) for kind in ("stored", "deleted", "stored", "replaced")]
    assert await settled(url, tmp_path / "journal.sqlite", store) == [*expected, (ORIGIN.file_name,)]


@async_test
async def test_an_upload_that_was_deleted_before_a_kill_is_in_the_history(url: URL, tmp_path: Path) -> None:
    killed = Fixture(url, tmp_path / "journal.sqlite")
    await killed.catalogue.journal.begin(event(EventKind.STORED, 1, NEW))
    await killed.catalogue.journal.begin(event(EventKind.DELETED, 2))
    await killed.catalogue.close()
    assert await settled(url, tmp_path / "journal.sqlite", MemoryStore()) == [("stored", True), ("deleted", True)]


@async_test
async def test_a_deletion_before_a_kill_is_recorded_though_the_upload_was_on_its_way(url: URL, tmp_path: Path) -> None:
    killed = Fixture(url, tmp_path / "journal.sqlite")
    await killed.catalogue.journal.add(event(EventKind.STORED, 1, NEW))
    await killed.catalogue.journal.begin(event(EventKind.DELETED, 2))
    await killed.catalogue.close()
    assert await settled(url, tmp_path / "journal.sqlite", MemoryStore()) == [("stored", True), ("deleted", True)]


@async_test
async def test_a_change_that_another_daemon_has_followed_is_recorded_after_a_kill(url: URL, tmp_path: Path) -> None:
    killed = Fixture(url, tmp_path / "journal.sqlite")
    await killed.catalogue.journal.begin(event(EventKind.STORED, 1, NEW))
    await killed.record(event(EventKind.REPLACED, 2, digest_of(b"theirs")))
    await killed.catalogue.close()
    store = MemoryStore()
    await store.write(KEY, chunked(b"theirs"))
    expected = [("replaced", True), ("stored", True), (ORIGIN.file_name,)]
    assert await settled(url, tmp_path / "journal.sqlite", store) == expected


@async_test
@pytest.mark.parametrize("kind", [EventKind.REPLACED, EventKind.DELETED])
async def test_a_change_that_a_kill_prevented_leaves_the_record(url: URL, tmp_path: Path, kind: EventKind) -> None:
    killed = Fixture(url, tmp_path / "journal.sqlite")
    await killed.record(event(EventKind.STORED, 1, digest_of(b"old")))
    await killed.catalogue.journal.begin(event(kind, 2, NEW if kind.has_content else None))
    await killed.catalogue.close()
    store = MemoryStore()
    await store.write(KEY, chunked(b"old"))
    assert await settled(url, tmp_path / "journal.sqlite", store) == [("stored", True), (ORIGIN.file_name,)]


@async_test
async def test_a_change_that_failed_is_not_taken_for_done_because_another_followed(url: URL, tmp_path: Path) -> None:
    killed = Fixture(url, tmp_path / "journal.sqlite")
    number = await killed.catalogue.journal.begin(event(EventKind.STORED, 1, NEW))
    await killed.catalogue.journal.fail(number)
    await killed.catalogue.journal.begin(event(EventKind.STORED, 2, digest_of(b"again")))
    await killed.catalogue.close()
    store = MemoryStore()
    await store.write(KEY, chunked(b"again"))
    expected = [("stored", True), (ORIGIN.file_name,)]
    assert await settled(url, tmp_path / "journal.sqlite", store) == expected


@async_test
async def test_a_change_that_is_followed_while_its_outcome_is_looked_for_is_recorded(url: URL, tmp_path: Path) -> None:
    killed = Fixture(url, tmp_path / "journal.sqlite")
    await killed.catalogue.journal.begin(event(EventKind.STORED, 1, NEW))
    await killed.catalogue.close()
    next_one = Fixture(url, tmp_path / "journal.sqlite")
    (change,) = await next_one.catalogue.journal.interrupted()
    later = event(EventKind.REPLACED, 2, digest_of(b"later"))
    number = await next_one.catalogue.journal.begin(later)
    store = MemoryStore()
    await store.write(KEY, chunked(b"later"))
    next_one.catalogue.settle(attrs.evolve(change, has_failed=False), store)
    await next_one.catalogue.settled()
    next_one.catalogue.complete(number, later)
    await next_one.catalogue.settled()
    assert await next_one.rows(history.c.kind, history.c.sha256) == [
        ("stored", NEW.sha256),
        ("replaced", digest_of(b"later").sha256),
    ]
    await next_one.catalogue.close()


@async_test
async def test_what_two_processes_find_out_after_a_kill_is_recorded_once(url: URL, tmp_path: Path) -> None:
    killed = Fixture(url, tmp_path / "journal.sqlite")
    await killed.catalogue.journal.begin(event(EventKind.STORED, 1, NEW))
    await killed.catalogue.close()
    store = MemoryStore()
    await store.write(KEY, chunked(b"theirs"))
    both = [Fixture(url, tmp_path / "journal.sqlite") for _ in range(2)]
    for one in both:
        one.catalogue.start({"main": store}, None)
    for one in both:
        await one.catalogue.settled()
    assert await both[0].rows(history.c.kind) == [("found",)]
    for one in both:
        await one.catalogue.close()


@async_test
async def test_what_neither_the_database_nor_the_journal_takes_is_recorded_when_one_does(
    kept: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(kept.database, "run", full)
    monkeypatch.setattr(kept.catalogue.journal, "complete", full)
    kept.catalogue.complete(None, event(EventKind.STORED, 1, NEW))
    with pytest.raises(StoreUnavailable):
        await kept.catalogue.move_all() or await kept.database.run()
    monkeypatch.undo()
    await kept.catalogue.settled()
    assert await kept.catalogue.find("main", KEY) == NEW


@async_test
async def test_what_is_neither_recorded_nor_on_its_way_is_told(kept: Fixture) -> None:
    keys = [AssetKey("Fish", Kind.ORIGINAL, f"{number}.jpg") for number in range(4)]
    await kept.record(event(EventKind.STORED, 1, OLD, keys[0]), event(EventKind.STORED, 1, None, keys[1]))
    await kept.catalogue.journal.begin(event(EventKind.STORED, 1, OLD, keys[2]))
    assert await kept.catalogue.unrecorded("main", keys) == [keys[1], keys[3]]
    assert await kept.catalogue.unrecorded("main", []) == []


@async_test
async def test_the_checksums_of_earlier_versions_are_read_once(kept: Fixture, tmp_path: Path) -> None:
    path = tmp_path / "checksums.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.execute(
            "CREATE TABLE checksums (store TEXT, collection TEXT, name TEXT, size INTEGER NOT NULL, "
            "sha256 TEXT NOT NULL, recorded REAL NOT NULL, PRIMARY KEY (store, collection, name)) WITHOUT ROWID"
        )
        rows = [("main", "Fish", f"{number:04}.jpg", 1, "1" * 64, 1.5) for number in range(1203)]
        old.executemany("INSERT INTO checksums VALUES (?, ?, ?, ?, ?, ?)", rows)
        old.commit()
    for _ in range(2):
        kept.catalogue.start({}, path)
        await kept.catalogue.settled()
    assert [key.name async for key, _ in kept.catalogue.each("main", "Fish")] == [row[2] for row in rows]
    assert len(await kept.rows(history.c.id)) == 1203
    assert not path.exists()
    assert path.with_name("checksums.sqlite.in-catalogue").exists()


@async_test
async def test_events_that_two_processes_move_at_once_are_recorded_once(url: URL, tmp_path: Path) -> None:
    keys = [AssetKey("Fish", Kind.ORIGINAL, f"{number}.jpg") for number in range(60)]
    journals = [Journal(tmp_path / "journal.sqlite") for _ in range(3)]
    catalogues = [Catalogue(CatalogueDatabase(url), journal) for journal in journals]
    for key in keys:
        await journals[0].add(event(EventKind.STORED, 1, OLD, key))
    await gatherResults([Deferred.fromCoroutine(catalogue.move_all()) for catalogue in catalogues])
    found = [key async for key, _ in catalogues[0].each("main", "Fish")]
    assert found == sorted(keys, key=lambda key: key.name)
    for catalogue in catalogues:
        await catalogue.close()
