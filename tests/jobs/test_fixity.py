"""Fixity: originals are read again in the background, and nobody is accused who is not at fault."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import attrs
import pytest
import pytest_twisted
from sqlalchemy import URL, Connection, select, update
from twisted.internet.defer import Deferred

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.fixity import Fault, FixityRecords, Progress
from was_daemon.catalogue.journal import Journal
from was_daemon.catalogue.schema import assets, history
from was_daemon.jobs.fixity import checker, state
from was_daemon.jobs.fixity.checker import Checker
from was_daemon.jobs.fixity.newcomers import Newcomers
from was_daemon.jobs.fixity.state import FaultyOriginals, FixityState, Plan
from was_daemon.library.collections import Collections, Place
from was_daemon.model.digests import Digest, Hasher
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.origins import Origin
from was_daemon.stores.memory_reader import MemoryReader
from was_daemon.telemetry.metrics import Metrics
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked

async_test = pytest_twisted.ensureDeferred

PLAN = Plan(every=90 * 86_400, rate=20 << 20)
LONG_AGO = 1_000_000.0


def key(name: str) -> AssetKey:
    return AssetKey("", Kind.ORIGINAL, name)


def digest(content: bytes) -> Digest:
    hasher = Hasher()
    hasher.update(content)
    return hasher.digest


class FallibleStore(MemoryStore):
    """A store that can be down, and fail to read single assets."""

    def __init__(self) -> None:
        super().__init__()
        self.is_down = False
        self.bad: set[AssetKey] = set()
        self.opened: list[str] = []
        self.when_opened: Callable[[], object] = lambda: None

    async def open(self, key: AssetKey) -> MemoryReader:
        self.opened.append(key.name)
        if self.is_down or key in self.bad:
            raise StoreUnavailable("the store cannot be used: input/output error")
        found = await super().open(key)
        self.when_opened()
        return found

    async def check(self) -> None:
        if self.is_down:
            raise StoreUnavailable("down")


@attrs.frozen
class Museum:
    """A store, and a catalogue in which all of its originals have been for long."""

    store: FallibleStore
    database: CatalogueDatabase
    catalogue: Catalogue
    metrics: Metrics = attrs.field(factory=Metrics)

    async def keep(self, name: str, content: bytes, at: float = LONG_AGO) -> None:
        await self.put(name, content)
        await self.record(Event.new(EventKind.STORED, "main", key(name), digest(content), at=at))

    async def put(self, name: str, content: bytes) -> None:
        """Store an original behind the daemon's back."""
        await self.store.write(key(name), chunked(content))

    async def record(self, event: Event) -> None:
        await self.catalogue.journal.add(event)
        await self.catalogue.move_all()

    @property
    def state(self) -> FixityState:
        return FixityState(self.catalogue.fixity, ["main"], PLAN, self.metrics)

    def checker(self, found: FixityState | None = None) -> Checker:
        async def pace(size: int) -> None:
            pass

        return Checker(self.catalogue, {"main": self.store}, found or self.state, PLAN, self.metrics, pace)

    async def faults(self) -> dict[str, str]:
        return {each.key.name: str(each.fault) async for each in self.catalogue.fixity.faulty(["main"])}

    async def make_due(self) -> None:
        """Have the day come at which everything is due again."""

        def forget(connection: Connection) -> None:
            connection.execute(update(assets).values(tried=None, checked=LONG_AGO))

        await self.database.run(forget)

    async def told(self) -> list[tuple[str, str]]:
        """The history: names and kinds of events."""

        def rows(connection: Connection) -> list[tuple[str, str]]:
            query = select(history.c.name, history.c.kind).order_by(history.c.id)
            return [(name, kind) for name, kind in connection.execute(query)]

        return await self.database.read(rows)

    def checked(self, outcome: str) -> float:
        return float(self.metrics.registry.get_sample_value("was_fixity_checks_total", {"outcome": outcome}) or 0)


@pytest_twisted.async_yield_fixture
async def museum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Museum]:
    monkeypatch.setattr(checker, "_CONFIRM_SECONDS", 0.0)
    database = CatalogueDatabase(URL.create("sqlite", database=str(tmp_path / "catalogue.sqlite")))
    catalogue = Catalogue(database, Journal(tmp_path / "journal.sqlite"))
    yield Museum(FallibleStore(), database, catalogue)
    await catalogue.close()


Logged = Callable[[], str]


@async_test
async def test_what_is_as_recorded_is_read_once_and_then_not_due(museum: Museum) -> None:
    await museum.keep("a.jpg", b"a")
    checks = museum.checker()
    assert await checks.check_some() == 0
    assert await checks.check_some() > 0
    assert (museum.store.opened, museum.checked("ok")) == (["a.jpg"], 1)
    assert await museum.faults() == {}
    await museum.state.check()


@async_test
async def test_changed_missing_and_unreadable_originals_are_told_apart(museum: Museum, logged: Logged) -> None:
    for name in ("good.jpg", "rotten.jpg", "gone.jpg", "stuck.jpg"):
        await museum.keep(name, b"as it came")
    await museum.put("rotten.jpg", b"as it cane")
    await museum.store.delete(key("gone.jpg"))
    museum.store.bad.add(key("stuck.jpg"))
    await museum.checker().check_some()
    assert await museum.faults() == {"rotten.jpg": "changed", "gone.jpg": "missing", "stuck.jpg": "unreadable"}
    assert "originals/rotten.jpg in the store main is changed: SHA-256 " in logged()
    assert "originals/gone.jpg in the store main is missing" in logged()
    with pytest.raises(FaultyOriginals, match=r"^3 originals not as recorded \(1 changed, 1 missing, 1 unreadable\)"):
        await museum.state.check()
    assert museum.metrics.registry.get_sample_value("was_fixity_faults", {"fault": "missing"}) == 1


@async_test
async def test_a_fault_is_told_once_and_ends_when_the_file_is_right_again(museum: Museum, logged: Logged) -> None:
    await museum.keep("a.jpg", b"as it came")
    await museum.put("a.jpg", b"damaged")
    for _ in range(2):
        await museum.checker().check_some()
        await museum.make_due()
    assert logged().count("is changed") == 1
    await museum.put("a.jpg", b"as it came")
    await museum.checker().check_some()
    assert "originals/a.jpg is as recorded again" in logged()
    assert await museum.faults() == {}
    await museum.state.check()


@async_test
async def test_who_changed_a_file_is_told_by_its_time(museum: Museum, logged: Logged) -> None:
    await museum.keep("a.jpg", b"as it came")
    await museum.put("a.jpg", b"as it cane")
    await museum.checker().check_some()
    assert ", not by the daemon" in logged()
    await museum.keep("b.jpg", b"b", at=4_000_000_000)
    await museum.put("b.jpg", b"c")
    await museum.make_due()
    await museum.checker().check_some()
    assert "damaged, as its time is still" in logged()


@async_test
async def test_what_the_daemon_replaces_or_deletes_meanwhile_is_no_fault(museum: Museum) -> None:
    await museum.keep("replaced.jpg", b"old")
    await museum.keep("deleted.jpg", b"old")
    checks = museum.checker()
    taken = await museum.catalogue.fixity.take(["main"], 1e12, 1e12, 1 << 30)
    await museum.keep("replaced.jpg", b"new", at=LONG_AGO + 1)
    await museum.store.delete(key("deleted.jpg"))
    await museum.record(Event.new(EventKind.DELETED, "main", key("deleted.jpg")))
    assert len(await checks._look_at(taken)) == 0
    assert await museum.faults() == {}


@async_test
async def test_while_the_journal_has_not_caught_up_nobody_is_accused(museum: Museum) -> None:
    await museum.keep("a.jpg", b"old")
    await museum.put("a.jpg", b"new")
    await museum.catalogue.journal.add(Event.new(EventKind.REPLACED, "main", key("a.jpg"), digest(b"new")))
    await museum.checker().check_some()
    assert await museum.faults() == {}


@async_test
async def test_a_change_of_another_daemon_that_is_on_its_way_to_the_catalogue_is_no_fault(museum: Museum) -> None:
    await museum.keep("a.jpg", b"old")
    await museum.put("a.jpg", b"new")
    checks = museum.checker()
    suspects = await checks._look_at(await museum.catalogue.fixity.take(["main"], 1e12, 1e12, 1 << 30))
    assert len(suspects) == 1
    await museum.record(Event.new(EventKind.REPLACED, "main", key("a.jpg"), digest(b"new")))
    await checks._confirm(suspects)
    assert await museum.faults() == {}


@async_test
async def test_a_store_that_is_down_has_lost_nothing_and_is_left_alone(museum: Museum, logged: Logged) -> None:
    for number in range(20):
        await museum.keep(f"{number}.jpg", b"a")
    museum.store.is_down = True
    await museum.checker().check_some()
    assert (await museum.faults(), museum.store.opened) == ({}, ["0.jpg"])
    assert logged().count("is left out for now: down") == 1
    museum.store.is_down = False
    await museum.make_due()
    await museum.checker().check_some()
    assert museum.checked("ok") == 20


@async_test
async def test_a_collection_without_any_original_is_a_disk_that_is_not_mounted(museum: Museum, logged: Logged) -> None:
    for name in ("a.jpg", "b.jpg"):
        await museum.keep(name, b"a")
        await museum.store.delete(key(name))
    seen = museum.state
    await museum.checker(seen).check_some()
    assert await museum.faults() == {}
    assert logged().count("is a disk not mounted?") == 1
    with pytest.raises(FaultyOriginals, match="is a disk not mounted"):
        await seen.check()
    await museum.put("a.jpg", b"a")
    await museum.checker(seen).check_some()
    await seen.check()


@async_test
async def test_many_losses_do_not_fill_the_log(museum: Museum, logged: Logged) -> None:
    await museum.keep("there.jpg", b"a")
    for number in range(30):
        await museum.keep(f"{number}.jpg", b"a")
        await museum.store.delete(key(f"{number}.jpg"))
    await museum.checker().check_some()
    assert logged().count("is missing") == 10
    assert "20 more are not as recorded" in logged()
    assert len(await museum.faults()) == 30


@async_test
async def test_what_nobody_has_read_is_recorded_as_it_is_and_that_is_told(museum: Museum, logged: Logged) -> None:
    await museum.put("a.jpg", b"a")
    unread = Event.new(EventKind.STORED, "main", key("a.jpg"), None, Origin("Käfer.jpg", notes="a note"), LONG_AGO)
    await museum.record(unread)
    await museum.checker().check_some()
    await museum.catalogue.move_all()
    assert await museum.catalogue.find("main", key("a.jpg")) == digest(b"a")
    found = await museum.catalogue.fixity.find("main", key("a.jpg"))
    assert found and found.origin == Origin("Käfer.jpg", notes="a note")
    assert "1 original had no record" in logged()


@async_test
async def test_files_that_were_copied_into_the_store_are_recorded_and_that_is_told(
    museum: Museum, logged: Logged
) -> None:
    await museum.keep("known.jpg", b"a")
    await museum.put("copied.jpg", b"b")
    await museum.put("unreadable.jpg", b"c")
    museum.store.bad.add(key("unreadable.jpg"))
    paced: list[int] = []

    async def pace(size: int) -> None:
        paced.append(size)

    collections = Collections(Place("", museum.store, museum.store, "main"))
    newcomers = Newcomers(museum.catalogue, {"main": museum.store}, collections, museum.metrics, pace)
    assert await newcomers.record(PLAN.every) == 86_400
    await museum.catalogue.move_all()
    assert await museum.told() == [("known.jpg", "stored"), ("copied.jpg", "found")]
    assert (museum.checked("recorded"), paced) == (1, [1])
    found = await museum.catalogue.find("main", key("copied.jpg"))
    assert found and found.md5 == "92eb5ffee6ae2fec3ad71c777531578f"
    assert "1 original had no record" in logged()
    assert "1 original without a record cannot be read" in logged()


def test_what_was_read_in_time_is_not_said_to_be_as_recorded() -> None:
    read = Progress(originals=2, size=20, due=0, due_size=0, oldest=100.0)
    assert PLAN.describe(read) == "all of 2 originals, 20 bytes, have been read in time: every 90 days"


@async_test
async def test_a_rate_at_which_not_all_can_be_read_in_time_is_warned_of(museum: Museum, logged: Logged) -> None:
    await museum.keep("a.jpg", b"a" * 1000)
    seen = FixityState(museum.catalogue.fixity, ["main"], Plan(every=480, rate=1), museum.metrics)
    await seen.refresh()
    (warning,) = seen.warnings()
    assert warning in logged()
    assert "takes 16 minutes, longer than every = 8 minutes" in warning
    assert museum.metrics.registry.get_sample_value("was_fixity_end_seconds") == 1000
    await museum.state.refresh()
    assert museum.state.warnings() == []


@async_test
async def test_a_database_that_hangs_is_no_fault_of_originals(museum: Museum, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_PATIENCE_SECONDS", 0.01)

    async def counts(_self: FixityRecords, _stores: object) -> dict[Fault, int]:
        return await Deferred[dict[Fault, int]]()

    monkeypatch.setattr(FixityRecords, "counts", counts)
    await museum.state.check()


@async_test
async def test_while_the_database_is_down_what_was_wrong_is_wrong_still(museum: Museum) -> None:
    await museum.keep("a.jpg", b"a")
    await museum.put("a.jpg", b"b")
    await museum.checker().check_some()
    seen = museum.state
    with pytest.raises(FaultyOriginals):
        await seen.check()
    await museum.database.close()
    museum.database._threads._hung = True
    with pytest.raises(FaultyOriginals):
        await seen.check()
