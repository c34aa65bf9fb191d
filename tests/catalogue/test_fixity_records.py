"""When originals are due to be compared with the catalogue, and what is noted of them, in every kind of database."""

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest_twisted
from sqlalchemy import URL
from twisted.internet.defer import Deferred, gatherResults

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.fixity import Fault, Outcome, Progress, Record
from was_daemon.catalogue.journal import Journal
from was_daemon.model.digests import Digest
from was_daemon.model.keys import AssetKey, Kind

async_test = pytest_twisted.ensureDeferred

DIGEST = Digest(10, "1" * 64, "1" * 32)
OTHER = Digest(11, "2" * 64, "2" * 32)
NOW = 2_000_000.0
HOUR = 3600.0
EVER = 1 << 40


def key(name: str) -> AssetKey:
    return AssetKey("Fish", Kind.ORIGINAL, name)


def stored(name: str, at: float, digest: Digest | None = DIGEST) -> Event:
    return Event.new(EventKind.STORED, "main", key(name), digest, at=at)


async def record(catalogue: Catalogue, *events: Event) -> None:
    for event in events:
        await catalogue.journal.add(event)
    await catalogue.move_all()


async def take(catalogue: Catalogue, now: float = NOW, size: int = EVER, before: float = NOW - HOUR) -> list[Record]:
    return await catalogue.fixity.take(["main"], before, now, size)


def names(records: list[Record]) -> list[str]:
    return [each.key.name for each in records]


@pytest_twisted.async_yield_fixture
async def catalogue(url: URL, tmp_path: Path) -> AsyncIterator[Catalogue]:
    catalogue = Catalogue(CatalogueDatabase(url), Journal(tmp_path / "journal.sqlite"))
    yield catalogue
    await catalogue.close()


@async_test
async def test_those_that_waited_longest_are_taken_first_and_by_nobody_else_within_the_hour(
    catalogue: Catalogue,
) -> None:
    await record(catalogue, stored("c", 300), stored("a", 100), stored("b", 200), stored("new", NOW))
    assert names(await take(catalogue, size=15)) == ["a"]
    assert names(await take(catalogue, NOW + 1)) == ["b", "c"]
    assert names(await take(catalogue, NOW + 2)) == []
    assert names(await take(catalogue, NOW + HOUR + 2)) == ["a", "b", "c"]


@async_test
async def test_two_daemons_take_different_ones(catalogue: Catalogue, url: URL, tmp_path: Path) -> None:
    await record(catalogue, *(stored(f"{number:03}", number) for number in range(200)))
    other = Catalogue(CatalogueDatabase(url), Journal(tmp_path / "other.sqlite"))
    both = [Deferred.fromCoroutine(take(each, size=500)) for each in (catalogue, other) * 2]
    taken = [name for some in await gatherResults(both) for name in names(some)]
    assert len(taken) == len(set(taken)) >= 50
    await other.close()


@async_test
async def test_what_is_as_recorded_is_due_again_only_later(catalogue: Catalogue) -> None:
    await record(catalogue, stored("a", 100))
    (found,) = await take(catalogue)
    await catalogue.fixity.note([Outcome(found, NOW)])
    assert await take(catalogue, NOW + 2 * HOUR) == []
    (again,) = await take(catalogue, NOW + 2 * HOUR, before=NOW + HOUR)
    assert (again.checked, again.digest) == (NOW, DIGEST)


@async_test
async def test_a_fault_is_kept_and_tried_each_hour_until_it_is_gone(catalogue: Catalogue) -> None:
    await record(catalogue, stored("a", NOW), stored("b", NOW))
    a = await catalogue.fixity.find("main", key("a"))
    assert a
    await catalogue.fixity.note([Outcome(a, NOW, Fault.CHANGED, "Käfer")])
    assert await catalogue.fixity.counts(["main"]) == {Fault.CHANGED: 1}
    (found,) = await take(catalogue)
    assert (found.key, found.fault, found.detail, found.checked) == (key("a"), Fault.CHANGED, "Käfer", NOW)
    assert await take(catalogue, NOW + 1) == []
    assert names(await take(catalogue, NOW + HOUR + 1)) == ["a"]
    assert [each.key.name async for each in catalogue.fixity.faulty(["main"])] == ["a"]
    assert [each async for each in catalogue.fixity.faulty(["main"], ["b"])] == []
    await catalogue.fixity.note([Outcome(found, NOW + 2)])
    assert await catalogue.fixity.counts(["main"]) == {}


@async_test
async def test_a_new_content_has_no_fault_and_an_old_finding_does_not_reach_it(catalogue: Catalogue) -> None:
    await record(catalogue, stored("a", 100))
    (found,) = await take(catalogue)
    await record(catalogue, stored("a", NOW, OTHER))
    await catalogue.fixity.note([Outcome(found, NOW, Fault.MISSING)])
    assert await catalogue.fixity.counts(["main"]) == {}


@async_test
async def test_what_nobody_has_read_is_due_at_once(catalogue: Catalogue) -> None:
    await record(catalogue, stored("unread", NOW, None), stored("read", NOW))
    (found,) = await take(catalogue)
    assert (found.key.name, found.digest) == ("unread", None)
    await catalogue.fixity.note([Outcome(found, NOW, Fault.UNREADABLE, "broken")])
    assert await catalogue.fixity.counts(["main"]) == {Fault.UNREADABLE: 1}


@async_test
async def test_while_an_original_changes_nothing_is_said_of_it(catalogue: Catalogue) -> None:
    await record(catalogue, stored("a", 100))
    number = await catalogue.journal.begin(stored("a", NOW))
    assert await catalogue.fixity.find("main", key("a")) is None
    await catalogue.journal.end([number])
    assert await catalogue.fixity.find("main", key("a"))


@async_test
async def test_progress_counts_what_is_due(catalogue: Catalogue) -> None:
    assert await catalogue.fixity.progress(["main"], NOW) == Progress(0, 0, 0, 0, None)
    await record(catalogue, stored("a", 100), stored("b", NOW), stored("unread", NOW, None))
    assert await catalogue.fixity.progress(["main"], NOW - 1) == Progress(3, 20, 2, 10, 100.0)
    a = await catalogue.fixity.find("main", key("a"))
    assert a
    await catalogue.fixity.note([Outcome(a, NOW, Fault.MISSING)])
    assert await catalogue.fixity.progress(["main"], NOW - 1) == Progress(3, 20, 1, 0, NOW)
    assert await catalogue.fixity.progress(["other"], NOW - 1) == Progress(0, 0, 0, 0, None)
    assert await catalogue.fixity.collections("main") == ["Fish"]


@async_test
async def test_another_original_of_the_same_content_is_known_if_it_is_not_at_fault(catalogue: Catalogue) -> None:
    await record(catalogue, stored("a", 100), stored("other", 100, OTHER))
    a = await catalogue.fixity.find("main", key("a"))
    assert a
    assert await catalogue.fixity.same_content(a) is None
    await record(catalogue, stored("twin", 100))
    assert await catalogue.fixity.same_content(a) == key("twin")
    twin = attrs.evolve(a, key=key("twin"))
    await catalogue.fixity.note([Outcome(twin, NOW, Fault.CHANGED)])
    assert await catalogue.fixity.same_content(a) is None
