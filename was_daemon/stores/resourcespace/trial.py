"""Trials of a ResourceSpace with files that are removed again: what it can do, and what its settings cost."""

import secrets
import struct
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

import attrs

from was_daemon.model.errors import AssetError, AssetNotFound, StoreUnavailable, VersionGone
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.stores.resourcespace.dam import DAM
from was_daemon.stores.resourcespace.files import is_download_page

_CLOCK_SECONDS = 900
"""Difference of two clocks that is one of time zones."""


@attrs.frozen
class Trial:
    """Uploads to a store, each removed by `remove` with the number of its resource."""

    store: IAssetStore
    dam: DAM
    remove: Callable[[int], Awaitable[None]]

    async def check(self) -> None:
        """Write, find, read and delete a file; raises `StoreUnavailable` with what is to be changed."""
        key = _new_key(".txt")
        try:
            await self._write(key, b"check")
            if await self._content(key) != b"check":
                raise StoreUnavailable("what was written to ResourceSpace is not what is read from it")
        except AssetNotFound:
            raise StoreUnavailable(
                "what was written to ResourceSpace is not found by a search: the field with the names must be indexed,"
                " and its user needs the permission s"
            ) from None
        finally:
            await self._clean(key)

    async def quirks(self, purges: bool, field: str) -> Sequence[str]:
        """Fire with a sentence for each setting of ResourceSpace that costs something."""
        key, found = _new_key(".tif"), []
        try:
            modified = (await self._write(key, _TIFF)).modified
            resource = await self.dam.find(key)
            # What is written into files is what is known of them.
            await self.dam.act("update_field", resource=resource.ref, field="title", value="check")
            try:
                if await self._content(key) != _TIFF:
                    raise VersionGone
            except VersionGone:
                found.append(
                    "ResourceSpace writes metadata into some kinds of files while it sends them ($exiftool_write), and"
                    " they cannot be read: $exiftool_write = false or $hide_real_filepath = false"
                )
            if not self.dam.tells_name(resource, key):
                found.append(
                    f"a search does not tell the field {field}, or not all of it, and a list asks for every resource by"
                    " itself: add its number to $data_joins, and run pages/tools/update_data_joins.php"
                )
            if not purges and not is_download_page(await self.dam.address(resource)):
                found.append(
                    "the address of a file still answers when it is deleted, for who knows it: purge = true, or"
                    " $hide_real_filepath = true"
                )
            if abs(modified - time.time()) > _CLOCK_SECONDS:
                found.append("the database of ResourceSpace has another time: set timezone to that of its server")
        finally:
            await self._clean(key)
        return found

    async def _write(self, key: AssetKey, content: bytes) -> AssetStat:
        async def chunks() -> AsyncGenerator[bytes, None]:
            yield content

        stat: AssetStat = await self.store.write(key, chunks(), len(content))
        return stat

    async def _content(self, key: AssetKey) -> bytes:
        reader = await self.store.open(key)
        try:
            return b"".join([chunk async for chunk in reader.read()])
        finally:
            await reader.close()

    async def _clean(self, key: AssetKey) -> None:
        try:
            versions = await self.dam.versions(key)
        except AssetError:
            return
        for resource in versions:
            await self.remove(resource.ref)


def _new_key(ending: str) -> AssetKey:
    # Long, to see whether searches tell all of it.
    return AssetKey("", Kind.ORIGINAL, f"was-check-{secrets.token_hex(8)}-{'long-' * 30}name{ending}")


def _tiff() -> bytes:
    """Return a TIFF of one grey pixel."""
    fields = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 1)]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    return b"II*\0" + struct.pack("<I", 10) + b"\x80\0" + struct.pack("<H", len(fields)) + directory + b"\0" * 4


_TIFF = _tiff()
