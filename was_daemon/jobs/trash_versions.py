"""Versions in the trash, as commands look for them."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from fnmatch import fnmatchcase
from heapq import heappush, heappushpop

import attrs

from was_daemon.jobs.report import JobReport
from was_daemon.jobs.traverse import for_each
from was_daemon.library.collections import Collections
from was_daemon.library.trash.contents import can_be_restored, read_record, records
from was_daemon.library.trash.removal import TrashRemoval
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Layout
from was_daemon.model.trash import TrashedVersion, TrashId, prefix_of

_AT_ONCE = 8
"""Versions that are looked at, or removed, at the same time."""

_WILDCARDS = frozenset("*?[")


@attrs.frozen
class TrashVersions:
    """The versions in the trash of the collections in `directories`."""

    collections: Collections
    directories: Sequence[str]

    async def each(self, pattern: str | None, since: float | None, found: Callable[[TrashedVersion], object]) -> None:
        """Call `found` with the versions that can be restored, in any order.

        `pattern` is a name of originals, which may have wildcards, `since` the Unix time from which on they came there.
        """
        prefix = prefix_of(pattern) if pattern and not _WILDCARDS & set(pattern) else ""

        async def look(record: AssetKey) -> None:
            known, store = TrashId.of_record(record), self._store(record)
            if known is None or (since is not None and known.at < since):
                return
            version = await read_record(store, record)
            if version and _matches(version, pattern) and await can_be_restored(store, version):
                found(version)

        await for_each(self._records(prefix), _AT_ONCE, look)

    async def find(self, name: str) -> list[TrashedVersion]:
        """Fire with the versions of the originals called `name`, or with the version that has that identifier."""
        known, found = TrashId.parse(name), []
        async with aclosing(self._records(known.text if known else prefix_of(name))) as keys:
            async for record in keys:
                store = self._store(record)
                version = await read_record(store, record)
                is_meant = version is not None and (known is not None or version.key.name == name)
                if version and is_meant and await can_be_restored(store, version):
                    found.append(version)
        return found

    async def latest(
        self, name: str | None, before: TrashId | None, limit: int
    ) -> tuple[list[TrashedVersion], TrashId | None]:
        """Fire with the latest versions, at most `limit`, and with the `before` of the older ones, None at the end.

        `name` is that of their originals; what came later than the version `before` is left out. There may be fewer
        although more follow: only records are counted, of which some may be of what cannot be restored.
        """
        listed: list[tuple[tuple[float, str], str, AssetKey]] = []
        async with aclosing(self._records(prefix_of(name) if name else "")) as keys:
            async for record in keys:
                known = TrashId.of_record(record)
                if known and (before is None or _order(known) < _order(before)):
                    # Of a large trash no more is kept in memory than is asked for.
                    keep = heappush if len(listed) <= limit else heappushpop
                    keep(listed, (_order(known), record.collection, record))
        chosen = [record for *_, record in sorted(listed, reverse=True)[:limit]]
        found: dict[AssetKey, TrashedVersion] = {}

        async def look(record: AssetKey) -> None:
            store = self._store(record)
            version = await read_record(store, record)
            if version and _matches(version, name) and await can_be_restored(store, version):
                found[record] = version

        await for_each(_items(chosen), _AT_ONCE, look)
        following = TrashId.of_record(chosen[-1]) if len(listed) > limit else None
        return [found[record] for record in chosen if record in found], following

    async def due(self, before: float) -> list[AssetKey]:
        """Fire with the records of the versions that came there before a Unix time.

        All are listed before any is removed: some servers list badly meanwhile.
        """
        due = []
        async with aclosing(self._records()) as keys:
            async for record in keys:
                known = TrashId.of_record(record)
                if known and known.at < before:
                    due.append(record)
        return due

    async def remove(
        self,
        due: Sequence[AssetKey],
        removal: TrashRemoval | None,
        report: JobReport,
        tell: Callable[[TrashedVersion], str],
    ) -> None:
        """Remove the versions with these records, and count them; without `removal`, list them instead.

        `tell` returns what is said of a version beside its path.
        """

        async def step(record: AssetKey) -> None:
            store = self._store(record)
            try:
                version = await read_record(store, record)
                if version and removal:
                    await removal.remove(store, version)
            except AssetError as error:
                report.describe("failed", Layout.FLAT.path(record), str(error))
                return
            if version and removal:
                report.count("removed")
            elif version:
                report.describe("removed", Layout.FLAT.path(version.key), tell(version))

        await for_each(_items(due), _AT_ONCE, step)

    async def _records(self, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        for directory in self.directories:
            store = self.collections.place_in(directory).store
            async with aclosing(records(store, directory, prefix)) as keys:
                async for record in keys:
                    yield record

    def _store(self, key: AssetKey) -> IAssetStore:
        return self.collections.place(key).store


def _order(version: TrashId) -> tuple[float, str]:
    return version.at, version.text


def _matches(version: TrashedVersion, pattern: str | None) -> bool:
    name = version.key.name
    return pattern is None or name == pattern or fnmatchcase(name, pattern)


async def _items(keys: Sequence[AssetKey]) -> AsyncGenerator[AssetKey, None]:
    for key in keys:
        yield key
