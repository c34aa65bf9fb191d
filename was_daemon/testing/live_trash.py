"""Promises about the trash of a store that is in use."""

from contextlib import suppress

import attrs

from was_daemon.model.errors import AssetError, AssetNotFound, CannotMove
from was_daemon.model.interfaces import IAssetStore, IMoves
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.promises import NotTried, expect
from was_daemon.testing.streams import chunked, collect, read_asset


@attrs.define
class TrashTrial:
    """Promises on `original`, an asset that is stored, and on a file in the trash whose name begins with `stem`.

    What may have to be removed afterwards is added to `used`.
    """

    store: IAssetStore
    original: AssetKey
    stem: str
    used: list[AssetKey]
    _has_trash: bool = attrs.field(default=False, init=False)

    async def keep(self) -> None:
        """Write a file to the trash, find it there, and remove it."""
        key, content = self._key(), b""
        try:
            await self.store.write(key, chunked(b"kept"), 4)
            content = await read_asset(self.store, key)
            listed = await collect(self.store.list(key.collection, Kind.TRASH, self.stem))
        except AssetError as error:
            await self._forget(key)
            raise NotTried(f"{error}: with [trash] nothing could be deleted") from error
        expect(content == b"kept" and listed == [key], "what is written there is not read, or not listed")
        await self.store.delete(key)
        self._has_trash = True

    async def move(self) -> None:
        """Have the store copy the original to the trash, and move it there and back."""
        cost = "the daemon reads and writes the bytes of what is deleted"
        if not IMoves.providedBy(self.store):
            raise NotTried(f"the plugin cannot, {cost}")
        if not self._has_trash:
            raise NotTried("nothing can be kept in the trash")
        trashed, content = self._key(), await read_asset(self.store, self.original)
        try:
            await IMoves(self.store).copy(self.original, trashed)
            await self.store.delete(trashed)
            await IMoves(self.store).move(self.original, trashed)
            expect(not await self._is_there(self.original), "what was moved to the trash is still served")
            await IMoves(self.store).move(trashed, self.original)
        except CannotMove as error:
            raise NotTried(f"{error}, {cost}") from error
        expect(await read_asset(self.store, self.original) == content, "what was moved back has other bytes")

    def _key(self) -> AssetKey:
        key = AssetKey(self.original.collection, Kind.TRASH, f"{self.stem}.file")
        if key not in self.used:
            self.used.append(key)
        return key

    async def _forget(self, key: AssetKey) -> None:
        """Remove a file of a kind that the server refuses, in case that it was written all the same."""
        with suppress(AssetError):
            await self.store.delete(key)
        self.used.remove(key)

    async def _is_there(self, key: AssetKey) -> bool:
        try:
            await self.store.stat(key)
        except AssetNotFound:
            return False
        return True
