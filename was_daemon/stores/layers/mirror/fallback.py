"""Reads of what the primary does not give, from the copies of a mirror."""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from was_daemon.model.errors import AssetError, AssetNotFound, StoreFailed, StoreTimeout, StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore
from was_daemon.model.keys import AssetKey, Layout
from was_daemon.model.mirror import CopiedVersion, ICopyReader
from was_daemon.stores.layers.mirror.changes import Found
from was_daemon.stores.layers.mirror.journal import MirrorJournal
from was_daemon.stores.layers.patience import Patience

T = TypeVar("T", AssetStat, IAssetReader)

FALLS_BACK = (AssetNotFound, StoreUnavailable, StoreFailed, StoreTimeout)
"""Errors of the primary after which the copies are asked."""

_NAMED = 1000
"""Lost assets that are remembered, so that each is named once in the log."""

_RECENT_SECONDS = 3600.0

_QUIET_SECONDS = 60.0
"""Seconds between two lines in the log about a primary that does not work at all."""


@implementer(ICopyReader)
class CopyReader:
    """Reader of a version in a copy, which tells `stat` of it."""

    def __init__(self, reader: IAssetReader, stat: AssetStat) -> None:
        self.stat = stat
        self._reader = reader
        self.close = reader.close

    def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See `IAssetReader`."""
        return self._reader.read(start, stop)


class Fallback:
    """Reads from the copies, in order; only of versions that are the last ones that were stored.

    `reads` counts them. `name` is that of the mirror.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        primary: IAssetStore,
        copies: Mapping[str, IAssetStore],
        journal: MirrorJournal,
        clock: IReactorTime,
    ) -> None:
        self._name = name
        self._primary = primary
        self._copies = copies
        self._journal = journal
        self._clock = clock
        self._patience = Patience(clock)
        self._named: OrderedDict[AssetKey, float] = OrderedDict()
        self._quiet_until = 0.0
        self.reads = 0

    @property
    def lost(self) -> int:
        """The number of assets, up to `_NAMED`, that the primary had lost when they were read in the last hour."""
        since = self._clock.seconds() - _RECENT_SECONDS
        return sum(seen >= since for seen in self._named.values())

    async def stat(self, key: AssetKey, error: AssetError) -> AssetStat:
        """Do as `IAssetStore.stat`; `error` is what the primary has raised, and is raised again if no copy helps."""
        return await self._first(key, error, lambda copy: copy.stat(key), lambda stat: stat, lambda _, stat: stat)

    async def open(self, key: AssetKey, error: AssetError) -> IAssetReader:
        """Do as `IAssetStore.open`; see `stat` for `error`."""
        return await self._first(key, error, lambda copy: copy.open(key), lambda reader: reader.stat, CopyReader)

    async def holds(self, key: AssetKey, apart_from: Sequence[int] = ()) -> bool:
        """Fire with whether the last version that was stored is in a copy; see `MirrorJournal.find`."""
        found = await self._journal.find(key, apart_from)
        for name, known in found.current:
            try:
                await self._ask(name, known, lambda copy: copy.stat(key))
            except AssetNotFound:
                continue
            except AssetError:
                if known is None:
                    continue
            return True
        return False

    async def _first(
        self,
        key: AssetKey,
        error: AssetError,
        ask: Callable[[IAssetStore], Awaitable[T]],
        stat_of: Callable[[T], AssetStat],
        with_stat: Callable[[T, AssetStat], T],
    ) -> T:
        is_missing = isinstance(error, AssetNotFound)
        try:
            found = await self._journal.find(key)
        except StoreUnavailable:
            raise error from None
        if is_missing and (found.is_stale or any(version for _, version in found.current)):
            # It may have been uploaded since the primary was asked: before it is called lost, it is looked for again.
            with suppress(AssetError):
                return await ask(self._primary)
        trouble: AssetError | None = None
        for name, known in found.current:
            if known is None and not is_missing:
                # The primary most likely has another version, or none.
                continue
            try:
                answer = await self._ask(name, known, ask)
            except AssetNotFound:
                continue
            except AssetError as problem:
                trouble = problem if known else trouble
                continue
            stat = stat_of(answer)
            if known and stat.size != known.size:
                self._log.warn("{path} in {copy} is not what was copied there", path=Layout.FLAT.path(key), copy=name)
                await _close(answer)
                continue
            self._tell(key, name, error)
            return with_stat(answer, known.stat if known and known.etag and known.copy_etag == stat.etag else stat)
        raise self._error(error, found, trouble)

    async def _ask(self, name: str, known: CopiedVersion | None, look: Callable[[IAssetStore], Awaitable[T]]) -> T:
        """Fire with what a copy answers, which is not waited for long if it is not known to have the asset."""
        copy = self._copies[name]
        return await (look(copy) if known else self._patience.ask(name, copy, look))

    def _error(self, error: AssetError, found: Found, trouble: AssetError | None) -> AssetError:
        if not isinstance(error, AssetNotFound):
            return error
        # No 404: a client may take that for the end of the asset.
        if found.is_stale:
            return StoreUnavailable("the store has lost this version, and its copy is an earlier one")
        if trouble:
            return StoreUnavailable(f"the store has lost this asset, and its copy cannot be read: {trouble}")
        return error

    def _tell(self, key: AssetKey, copy: str, error: AssetError) -> None:
        self.reads += 1
        if not isinstance(error, AssetNotFound):
            if self._clock.seconds() >= self._quiet_until:
                self._quiet_until = self._clock.seconds() + _QUIET_SECONDS
                self._log.warn("Store {name}: read from {copy}, as {error}", name=self._name, copy=copy, error=error)
            return
        if key not in self._named:
            path = Layout.FLAT.path(key)
            self._log.error(
                "Store {name}: the primary has lost {path}: read from {copy}", name=self._name, path=path, copy=copy
            )
        self._named[key] = self._clock.seconds()
        while len(self._named) > _NAMED:
            self._named.popitem(last=False)


async def _close(answer: AssetStat | IAssetReader) -> None:
    if not isinstance(answer, AssetStat):
        await answer.close()
