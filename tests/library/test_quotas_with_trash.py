"""Quotas of collections with a trash, which counts or does not."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from was_daemon.library.changes import Change, participating
from was_daemon.library.collections import Place
from was_daemon.library.quotas.quota import Quota
from was_daemon.library.quotas.quotas import Quotas
from was_daemon.library.spool import Spool
from was_daemon.library.store_steps import store_staged
from was_daemon.library.trash.contents import read_record, records
from was_daemon.library.trash.removal import TrashRemoval
from was_daemon.library.trash.trash import Trash, TrashRules
from was_daemon.model.errors import QuotaExceeded
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.trash import TrashedVersion
from was_daemon.telemetry.metrics import Metrics
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import collect

async_test = pytest_twisted.ensureDeferred
QUOTA = 100


@attrs.frozen
class Collection:
    """A collection with a quota of 100 bytes, and a trash."""

    store: MemoryStore
    spool: Spool
    trash: Trash
    counts: bool
    quotas: Quotas = attrs.field(factory=lambda: Quotas(Metrics()))

    async def count(self) -> int:
        """Have everything counted, and fire with what is used."""
        self.quotas.configure({}, 1, self.spool)
        self.quotas.configure({"Fish": Quota(self.store, "Fish", QUOTA)}, 3600, self.spool, self.counts)
        while (await self.quotas.usages())["Fish"].used is None:
            await deferLater(reactor, 0.01)
        return await self.used()

    async def used(self) -> int:
        """What is used, as the record has it."""
        used = (await self.quotas.usages())["Fish"].used
        assert used is not None
        return used

    async def upload(self, name: str, size: int) -> None:
        """Store an original."""
        staged = await self.spool.stage()
        await staged.write([b"x" * size])
        key = AssetKey("Fish", Kind.ORIGINAL, name)
        reservation = await self.quotas.reserve(self.store, key, size, self.trash.rules.keeps_replaced)
        change = self._change(key, staged=staged)
        async with participating(
            change, [lambda change: self.quotas.changing(change, reservation), self.trash.changing]
        ):
            await store_staged(self.store, key, staged)

    async def delete(self, name: str) -> None:
        """Delete an original."""
        change = self._change(AssetKey("Fish", Kind.ORIGINAL, name))
        async with participating(change, [self.quotas.changing, self.trash.changing]):
            await self.trash.discard(change)

    async def restore(self) -> None:
        """Restore the only version in the trash."""
        [version] = await self.versions()
        change = self._change(version.key, restored=version)
        async with participating(change, [self.quotas.changing, self.trash.changing]):
            await self.trash.restore(change, replace=True)

    async def versions(self) -> list[TrashedVersion]:
        """What is in the trash."""
        found = [await read_record(self.store, key) async for key in records(self.store, "Fish")]
        return [each for each in found if each]

    async def empty(self) -> None:
        """Empty the trash."""
        for key in await collect(records(self.store, "Fish")):
            await TrashRemoval(self.quotas).remove_if_before(self.store, key, float("inf"))

    def _change(self, key: AssetKey, **what: object) -> Change:
        change = Change(Place("Fish", self.store, self.store), key, **what)  # type: ignore[arg-type]
        change.keeps_previous = self.trash.rules.keep(change)
        return change


MakeCollection = Callable[[bool], Collection]


@pytest_twisted.async_yield_fixture
async def make(tmp_path: Path) -> AsyncIterator[MakeCollection]:
    spool, made = Spool(tmp_path, 1), []

    def of(counts: bool) -> Collection:
        trash = Trash(TrashRules(True, True, counts))
        made.append(Collection(MemoryStore(), spool, trash, counts))
        return made[-1]

    yield of
    for each in made:
        await each.quotas.close()
    await spool.close()


@async_test
async def test_what_is_in_the_trash_counts_if_that_is_set(make: MakeCollection) -> None:
    fish = make(True)
    await fish.count()
    await fish.upload("a", 40)
    await fish.delete("a")
    assert await fish.used() == 40
    with pytest.raises(QuotaExceeded):
        await fish.upload("b", 61)
    await fish.upload("b", 30)
    await fish.upload("b", 20)
    assert await fish.used() == 90
    with pytest.raises(QuotaExceeded):
        await fish.upload("b", 11)
    assert await fish.count() == 90
    await fish.empty()
    assert await fish.used() == 20
    await fish.empty()
    assert await fish.used() == await fish.count() == 20


@async_test
async def test_what_is_in_the_trash_does_not_count_otherwise(make: MakeCollection) -> None:
    fish = make(False)
    await fish.count()
    await fish.upload("a", 60)
    await fish.delete("a")
    assert await fish.used() == 0
    await fish.upload("b", 60)
    with pytest.raises(QuotaExceeded):
        await fish.restore()
    assert await fish.used() == await fish.count() == 60
    await fish.empty()
    assert await fish.used() == 60


@pytest.mark.parametrize("counts", [True, False])
@async_test
async def test_a_restored_version_counts_once(make: MakeCollection, counts: bool) -> None:
    fish = make(counts)
    await fish.count()
    await fish.upload("a", 60)
    await fish.delete("a")
    await fish.upload("a", 40)
    await fish.restore()
    assert await fish.used() == (100 if counts else 60)
    assert await fish.count() == (100 if counts else 60)
