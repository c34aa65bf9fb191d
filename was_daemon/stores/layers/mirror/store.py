"""The mirror store."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import alsoProvides, implementer

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.model.composition import IBackgroundWork, IComposedStore, IReplaces
from was_daemon.model.durations import counted
from was_daemon.model.errors import (
    AssetError,
    AssetExists,
    AssetNotFound,
    CannotMove,
    NoSpace,
    UploadWithdrawn,
)
from was_daemon.model.interfaces import (
    AssetStat,
    IAssetReader,
    IAssetStore,
    ICreates,
    IImageProxy,
    IImageService,
    ILocalFiles,
    IMoves,
    IRedirects,
    IRooted,
    ISizes,
    IStages,
    IStagingFile,
    IThumbnails,
    IUnlisted,
)
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.lookup import find_replaced
from was_daemon.model.mirror import Action, CopyState, IMirror
from was_daemon.stores.layers.forwarding import ForwardingStore
from was_daemon.stores.layers.mirror.changes import Begun, Ended, Outcome, Step
from was_daemon.stores.layers.mirror.ends import Ends
from was_daemon.stores.layers.mirror.fallback import FALLS_BACK, Fallback
from was_daemon.stores.layers.mirror.following import Following
from was_daemon.stores.layers.mirror.journal import MirrorJournal

T = TypeVar("T")

_COPIED = (Kind.ORIGINAL, Kind.TRASH)
"""Kinds of assets that are copied; derivatives can be made again."""

_FORWARDED = (ILocalFiles, IRooted, ISizes, IUnlisted, IRedirects, IThumbnails, IImageService, IImageProxy)
"""Interfaces of the primary, besides those about writing, that hold for the mirror: the primary has all assets.

The presence of daemons and their unfinished uploads are the business of the primary, which is a store of its own.
"""

_NOTHING_CHANGED = (AssetNotFound, AssetExists, NoSpace, UploadWithdrawn, CannotMove)
"""Errors of the primary after which there is nothing for the copies to do."""


@implementer(IAssetStore, IComposedStore, IReplaces, IBackgroundWork, IMirror)
class MirrorStore(ForwardingStore):
    """The assets of `primary`, which `copies` follow by way of `journal`.

    A change is acknowledged when the primary has made it. Without `reads_copies`, what the primary has lost is not
    there. `parallel` is the number of assets that are copied to each copy at a time. `name` is that of the mirror.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        primary: IAssetStore,
        copies: Mapping[str, IAssetStore],
        journal: MirrorJournal,
        reads_copies: bool = True,
        parallel: int = 4,
        clock: IReactorTime | None = None,
    ) -> None:
        from twisted.internet import reactor

        super().__init__(primary)
        self.copies = copies
        self.journal = journal
        self.kinds = _COPIED
        self.parts = [primary, *copies.values()]
        self._name = name
        self._reads_copies = reads_copies
        self._clock = clock or IReactorTime(reactor)
        self._fallback = Fallback(name, primary, copies, journal, self._clock)
        self._following = Following(name, primary, copies, journal, parallel, self._clock)
        self._ends = Ends(name, journal, self._following.wake, self._clock)
        self._syncs = BackgroundTasks()
        alsoProvides(self, *(each for each in _FORWARDED if each.providedBy(primary)))

    def __str__(self) -> str:
        return f"{self.primary}, with copies in {' and '.join(self.copies)}"

    def __getattr__(self, name: str) -> Any:
        # Methods of the interfaces that are forwarded as they are.
        if name == "primary":
            raise AttributeError(name)
        return getattr(self.primary, name)

    def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        """See `IAssetStore`. What the primary has lost is not listed."""
        return self.primary.list(collection, kind, prefix)

    # -- reading -------------------------------------------------------------------------------------------------------

    async def stat(self, key: AssetKey) -> AssetStat:
        """See `IAssetStore`."""
        try:
            return await self.primary.stat(key)
        except FALLS_BACK as error:
            if not self._falls_back(key):
                raise
            return await self._fallback.stat(key, error)

    async def open(self, key: AssetKey) -> IAssetReader:
        """See `IAssetStore`."""
        try:
            return await self.primary.open(key)
        except FALLS_BACK as error:
            if not self._falls_back(key):
                raise
            return await self._fallback.open(key, error)

    def _falls_back(self, key: AssetKey) -> bool:
        return self._reads_copies and key.kind in self.kinds

    # -- writing -------------------------------------------------------------------------------------------------------

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        """See `IAssetStore`."""
        return await self._written(key, lambda: self.primary.write(key, chunks, size))

    async def adopt(self, staged: IStagingFile, key: AssetKey) -> AssetStat:
        """See `IStages`."""
        return await self._written(key, lambda: IStages(self.primary).adopt(staged, key))

    async def find_replaced(self, key: AssetKey) -> AssetStat | None:
        """See `IReplaces`. What the primary has lost is stored anew."""
        return await find_replaced(self.primary, key)

    async def create(self, staged: IStagingFile, key: AssetKey) -> AssetStat:
        """See `ICreates`."""
        if self._falls_back(key) and await self._fallback.holds(key):
            raise AssetExists("an asset of this name exists")
        return await self._written(key, lambda: ICreates(self.primary).create(staged, key))

    async def _written(self, key: AssetKey, operation: Callable[[], Awaitable[AssetStat]]) -> AssetStat:
        if key.kind not in self.kinds:
            return await operation()
        return await self._change([Step(key, Action.WRITE)], lambda _: operation())

    async def delete(self, key: AssetKey) -> None:
        """See `IAssetStore`."""
        if key.kind not in self.kinds:
            await self.primary.delete(key)
            return

        async def step(begun: Begun) -> None:
            try:
                await self.primary.delete(key)
            except AssetNotFound:
                if not await self._is_lost(key, begun):
                    raise

        await self._change([Step(key, Action.DELETE)], step)

    async def move(self, source: AssetKey, target: AssetKey, replace: bool = False) -> None:
        """See `IMoves`."""
        await self._relocate(
            [Step(target, Action.WRITE, source), Step(source, Action.DELETE)],
            lambda: IMoves(self.primary).move(source, target, replace),
        )

    async def copy(self, source: AssetKey, target: AssetKey) -> None:
        """See `IMoves`."""
        await self._relocate([Step(target, Action.WRITE, source)], lambda: IMoves(self.primary).copy(source, target))

    async def _relocate(self, steps: Sequence[Step], operation: Callable[[], Awaitable[None]]) -> None:
        source = steps[0].source
        assert source  # noqa: S101 - see the callers

        async def step(begun: Begun) -> None:
            try:
                await operation()
            except AssetNotFound:
                if await self._is_lost(source, begun):
                    raise CannotMove("the primary has lost the asset, and its copy is elsewhere") from None
                raise

        await self._change(steps, step)

    async def _is_lost(self, key: AssetKey, begun: Begun) -> bool:
        """Fire with whether the primary has lost an asset that readers still get."""
        return self._falls_back(key) and await self._fallback.holds(key, begun.numbers)

    async def _change(self, steps: Sequence[Step], operation: Callable[[Begun], Awaitable[T]]) -> T:
        """Do an operation of the primary, and have the copies follow.

        It is entered before, so that a kill loses nothing, and on the journal's disk before it is acknowledged, so that
        a power cut does not, either. That disk writes while the primary's does.
        """
        self._following.hold()
        begun = await self.journal.begin(steps)
        syncing = self._syncs.add(self._sync())
        try:
            result = await operation(begun)
        except _NOTHING_CHANGED:
            self._ends.add(Ended(begun, Outcome.NOT_MADE))
            raise
        except BaseException:
            # The primary may have made it all the same.
            self._ends.add(Ended(begun, Outcome.UNKNOWN))
            raise
        size = result.size if isinstance(result, AssetStat) else 0
        self._ends.add(Ended(begun, Outcome.MADE, size))
        await syncing
        return result

    async def _sync(self) -> None:
        try:
            await self.journal.sync()
        except CancelledError:
            return
        except AssetError as error:
            # The primary has the asset, so that the upload need not fail; only a power cut would cost the entry.
            self._log.error("Store {name}: {error}", name=self._name, error=error)

    # -- what is told: see `IMirror` -----------------------------------------------------------------------------------

    def start(self) -> None:
        """See `IBackgroundWork`."""
        self._following.start()

    @property
    def fallbacks(self) -> int:
        """See `IMirror`."""
        return self._fallback.reads

    @property
    def copied(self) -> Mapping[str, int]:
        """See `IMirror`."""
        return self._following.copied

    @property
    def failures(self) -> Mapping[str, int]:
        """See `IMirror`."""
        return self._following.failures

    async def states(self) -> Mapping[str, CopyState]:
        """See `IMirror`."""
        return await self.journal.states()

    def warnings(self) -> Sequence[str]:
        """See `IMirror`."""
        lost = self._fallback.lost
        if not lost:
            return []
        return [
            f"store {self._name}: the primary has lost files; {counted(lost, 'file')} had to be read from a copy: see "
            "was-daemon mirror verify"
        ]

    async def check(self) -> None:
        """See `IAssetStore`. Copies that are down are not the mirror's problem: they are stores of their own."""
        await self.primary.check()
        await self.journal.check()

    async def close(self) -> None:
        """See `IAssetStore`. The primary and the copies are closed by whoever made them."""
        await self._following.close()
        await self._ends.close()
        self._syncs.cancel()
        await self._syncs.settled()
        await self.journal.close()
