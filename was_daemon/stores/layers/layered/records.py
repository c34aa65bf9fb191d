"""What the layered store keeps about originals, as assets of the kind `Kind.LAYERS` in the first layer.

A tombstone says that the layers below have nothing of that name any more, whatever they hold. It is looked at only for
what the first layer does not have; so a later original of that name is found as always, and the tombstone stays for the
day when it is deleted. A copy is an original that is being promoted.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from hashlib import sha256

from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.lookup import find_stat

_TOMBSTONE = ".tombstone"
_COPY = ".copy"


class LayerRecords:
    """The tombstones, and the copies that are being promoted, in the store `first`."""

    def __init__(self, first: IAssetStore) -> None:
        self._first = first

    def copy_of(self, key: AssetKey) -> AssetKey:
        """Return the key under which an original is made that is being promoted."""
        return _record(key, _COPY)

    async def is_hidden(self, key: AssetKey) -> bool:
        """Fire with whether the layers below have nothing of this name any more."""
        return await find_stat(self._first, _record(key, _TOMBSTONE)) is not None

    async def hide(self, key: AssetKey) -> None:
        """Write the tombstone of an original, durably. The name in it is for people."""
        content = f"{key.name}\n".encode()
        await self._first.write(_record(key, _TOMBSTONE), _once(content), len(content))

    async def hidden(self, collection: str) -> "HiddenNames":
        """Fire with the names in a collection that have a tombstone."""
        async with aclosing(self._first.list(collection, Kind.LAYERS)) as keys:
            return HiddenNames({key.name async for key in keys if key.name.endswith(_TOMBSTONE)})

    async def stop_promotion(self, key: AssetKey) -> None:
        """Remove the copy of an original that is being promoted, so that it cannot be moved to its place any more."""
        if await find_stat(self._first, self.copy_of(key)):
            with suppress(AssetNotFound):
                await self._first.delete(self.copy_of(key))


class HiddenNames:
    """Set of names, by the names of their tombstones."""

    def __init__(self, tombstones: set[str]) -> None:
        self._tombstones = tombstones

    def __contains__(self, key: AssetKey) -> bool:
        return bool(self._tombstones) and _record(key, _TOMBSTONE).name in self._tombstones


def _record(key: AssetKey, ending: str) -> AssetKey:
    # A digest: the name itself may be as long as names can be.
    return AssetKey(key.collection, Kind.LAYERS, sha256(key.name.encode()).hexdigest()[:40] + ending)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
