"""The layered store."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime
from zope.interface import alsoProvides, implementer

from was_daemon.model.composition import (
    IBackgroundWork,
    IComposedStore,
    IPromoter,
    IPromotes,
    IReplaces,
    PromotionState,
)
from was_daemon.model.errors import (
    AssetExists,
    AssetNotFound,
    CannotMove,
    NoThumbnail,
    StoreFailed,
    StoreTimeout,
    StoreUnavailable,
)
from was_daemon.model.interfaces import (
    AssetStat,
    IAssetReader,
    IAssetStore,
    IImageService,
    IRedirects,
    IStagingFile,
    IThumbnails,
)
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.lookup import find_replaced, find_stat
from was_daemon.stores.layers.forwarding import ForwardingStore
from was_daemon.stores.layers.layered.interfaces import shared_interfaces
from was_daemon.stores.layers.layered.layer import Layer
from was_daemon.stores.layers.layered.names import NameSet
from was_daemon.stores.layers.layered.promoter import Promoter
from was_daemon.stores.layers.layered.promotion import Promotion
from was_daemon.stores.layers.layered.records import LayerRecords
from was_daemon.stores.layers.patience import Patience

T = TypeVar("T")

_DOWN = (StoreUnavailable, StoreFailed, StoreTimeout)


@implementer(IAssetStore, IComposedStore, IReplaces, IBackgroundWork, IPromotes)
class LayeredStore(ForwardingStore):
    """Originals in several layers; all other kinds of assets are in the first one only.

    `below` are the layers below the first one. What is read from them is promoted `promote_after` seconds later, if
    that is not None. An error of a layer is raised, and the layers below it are not asked: they may have an older
    version. Nothing but "not found" leads further down.
    """

    def __init__(self, first: IAssetStore, below: Sequence[Layer], promote_after: float | None = None) -> None:
        from twisted.internet import reactor

        super().__init__(first)
        self._below = below
        self._patience = Patience(IReactorTime(reactor))
        self._records = LayerRecords(first)
        promotion = Promotion(first, self._find, self._records)
        self.promote = promotion.promote
        self.promoter = Promoter(promotion, promote_after) if promote_after is not None else None
        self.parts = [first, *(layer.store for layer in below)]
        alsoProvides(self, *shared_interfaces(self.parts), *([IPromoter] if self.promoter else []))

    def __str__(self) -> str:
        return " over ".join(map(str, self.parts))

    # -- reading -------------------------------------------------------------------------------------------------------

    async def stat(self, key: AssetKey) -> AssetStat:
        """See `IAssetStore`."""
        try:
            return await self.primary.stat(key)
        except AssetNotFound:
            return (await self._find(key))[1]

    async def _find(self, key: AssetKey) -> tuple[Layer, AssetStat]:
        """Fire with the layer below the first one that an original is read from, and its version there."""
        layer, stat = await self._look_below(key, lambda store: store.stat(key))
        await self._check_shown(key)
        return layer, layer.version(stat)

    async def open(self, key: AssetKey) -> IAssetReader:
        """See `IAssetStore`."""
        try:
            return await self.primary.open(key)
        except AssetNotFound:
            return await self._open_below(key)

    async def _open_below(self, key: AssetKey) -> IAssetReader:
        layer, reader = await self._look_below(key, lambda store: store.open(key))
        try:
            await self._check_shown(key)
        except BaseException:
            await reader.close()
            raise
        self._promote_soon(key)
        return layer.opened(reader)

    @property
    def promotions(self) -> PromotionState:
        """See `IPromoter`."""
        return self.promoter.state if self.promoter else PromotionState()

    def _promote_soon(self, key: AssetKey) -> None:
        if self.promoter:
            self.promoter.add(key)

    async def _look_below(
        self, key: AssetKey, look: Callable[[IAssetStore], Awaitable[T]], patience: Patience | None = None
    ) -> tuple[Layer, T]:
        for layer in self._below if key.kind is Kind.ORIGINAL else ():
            with suppress(AssetNotFound):
                looking = patience.ask(layer.name, layer.store, look) if patience else look(layer.store)
                return layer, await looking
        raise AssetNotFound("no such asset")

    async def _check_shown(self, key: AssetKey) -> None:
        # Asked last: whoever deletes it hides it first.
        if await self._records.is_hidden(key):
            raise AssetNotFound("no such asset")

    async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        """See `IAssetStore`. The names are remembered: what is promoted meanwhile is listed once."""
        listed = NameSet()
        async with aclosing(self.primary.list(collection, kind, prefix)) as keys:
            async for key in keys:
                listed.add(key.name)
                yield key
        if kind is not Kind.ORIGINAL:
            return
        hidden = await self._records.hidden(collection)
        for layer in self._below:
            async with aclosing(layer.store.list(collection, kind, prefix)) as keys:
                async for key in keys:
                    if listed.add(key.name) and key not in hidden:
                        yield key

    # -- writing -------------------------------------------------------------------------------------------------------

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        """See `IAssetStore`."""
        return await self.primary.write(key, chunks, size)

    async def find_replaced(self, key: AssetKey) -> AssetStat | None:
        """See `IReplaces`."""
        if found := await find_replaced(self.primary, key):
            return found
        try:
            layer, stat = await self._look_below(key, lambda store: store.stat(key), self._patience)
        except (AssetNotFound, *_DOWN):
            return None
        return None if await self._records.is_hidden(key) else layer.version(stat)

    async def create(self, staged: IStagingFile, key: AssetKey) -> AssetStat:
        """See `ICreates`."""
        await self._check_new_below(key)
        return await super().create(staged, key)

    async def _check_new_below(self, key: AssetKey) -> None:
        with suppress(AssetNotFound):
            await self._find(key)
            raise AssetExists("an asset of this name exists")

    async def delete(self, key: AssetKey) -> None:
        """See `IAssetStore`. A deletion that fails half-way may have been made, but shows no older version."""
        was_below = await self._hide_below(key)
        try:
            await self.primary.delete(key)
        except AssetNotFound:
            if not was_below:
                raise

    async def _hide_below(self, key: AssetKey) -> bool:
        """Delete an original from the layers below the first one, and hide it in those that are read-only.

        Fires with whether it could be seen there. As long as the first layer has one, nothing changes for readers.
        """
        if key.kind is not Kind.ORIGINAL:
            return False
        holders = await self._holders(key)
        was_hidden = bool(holders) and await self._records.is_hidden(key)
        if any(layer.is_read_only for layer in holders) and not was_hidden:
            await self._records.hide(key)
        # From below: else an older version would be seen in between.
        for layer in reversed(holders):
            if not layer.is_read_only:
                with suppress(AssetNotFound):
                    await layer.store.delete(key)
        await self._records.stop_promotion(key)
        return bool(holders) and not was_hidden

    async def _holders(self, key: AssetKey) -> Sequence[Layer]:
        """Fire with the layers below the first one that hold an original, and those of which nobody knows.

        Raises the error of a layer that is down, before anything is changed, unless it is read-only and the original
        is in another one.
        """
        holders: list[Layer] = []
        unknown: list[Layer] = []
        error: Exception | None = None
        for layer in self._below:
            try:
                found = await find_stat(layer.store, key)
            except _DOWN as problem:
                if not layer.is_read_only:
                    raise
                error = problem
                unknown.append(layer)
            else:
                if found:
                    holders.append(layer)
        if error and not holders and not await find_stat(self.primary, key):
            raise error
        return [layer for layer in self._below if layer in holders or layer in unknown]

    async def move(self, source: AssetKey, target: AssetKey, replace: bool = False) -> None:
        """See `IMoves`."""
        if not replace:
            await self._check_new_below(target)
        await self._check_in_first(source)
        await self._hide_below(source)
        await super().move(source, target, replace)

    async def copy(self, source: AssetKey, target: AssetKey) -> None:
        """See `IMoves`."""
        await self._check_in_first(source)
        await super().copy(source, target)

    async def _check_in_first(self, key: AssetKey) -> None:
        """Raise `CannotMove` if an original is in another layer than the first one, `AssetNotFound` if in none."""
        if await find_stat(self.primary, key) is None:
            await self._find(key)
            if self.promoter:
                # The caller copies it, and then looks whether the version is still the same.
                self.promoter.spare(key)
            raise CannotMove("the asset is in another layer than the first one")

    # -- what layers can do --------------------------------------------------------------------------------------------

    async def url(self, key: AssetKey, media_type: str, download_name: str | None) -> str:
        """See `IRedirects`; provided if all layers do."""
        holder = await self._holder(key)
        if holder is not self.primary:
            self._promote_soon(key)
        return await IRedirects(holder).url(key, media_type, download_name)

    async def thumbnail(self, key: AssetKey, scale: int) -> tuple[IAssetReader, str]:
        """See `IThumbnails`, provided if all layers do, and `IPreviews`, provided if some do."""
        holder = await self._holder(key)
        if holder is not self.primary:
            self._promote_soon(key)
        if not IThumbnails.providedBy(holder):
            raise NoThumbnail("the layer has no thumbnails")
        return await IThumbnails(holder).thumbnail(key, scale)

    async def image_service(self, key: AssetKey, page: int, version: int) -> str | None:
        """See `IImageService`; provided if one of the layers does."""
        holder = await self._holder(key)
        if not IImageService.providedBy(holder):
            return None
        return await IImageService(holder).image_service(key, page, version)

    async def _holder(self, key: AssetKey) -> IAssetStore:
        """Fire with the store of the layer that an asset is read from."""
        if await find_stat(self.primary, key):
            return self.primary
        layer, _ = await self._find(key)
        return layer.store

    # -- the life of the store -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """See `IBackgroundWork`."""
        if self.promoter:
            self.promoter.start()

    async def check(self) -> None:
        """See `IAssetStore`. All layers have to be there: what is only in one that is down cannot be read."""
        for part in self.parts:
            await part.check()

    async def close(self) -> None:
        """See `IAssetStore`. The layers are stores of their own, and are closed by whoever made them."""
        if self.promoter:
            await self.promoter.close()
