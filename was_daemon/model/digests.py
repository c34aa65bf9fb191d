"""Digests of what flows by, and of what is stored."""

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import attrs

from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore
from was_daemon.model.keys import AssetKey


@attrs.frozen
class Digest:
    """The size in bytes and the SHA-256, in hexadecimal, of some bytes."""

    size: int
    sha256: str


class Hasher:
    """The digest of bytes that come one after the other."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size = 0

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        self._hash.update(data)
        self._size += len(data)

    @property
    def digest(self) -> Digest:
        """Of what has come."""
        return Digest(self._size, self._hash.hexdigest())


class HashedStream:
    """The bytes of a reader up to `stop`, then those of `end`, and the digest of those that have flowed by."""

    def __init__(self, reader: IAssetReader, stop: int | None = None, end: bytes = b"") -> None:
        self._reader = reader
        self._stop = stop
        self._end = end
        self._hasher = Hasher()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The bytes, in chunks; only once."""
        async with aclosing(self._reader.read(0, self._stop)) as chunks:
            async for chunk in chunks:
                self._hasher.update(chunk)
                yield chunk
        if self._end:
            self._hasher.update(self._end)
            yield self._end

    @property
    def digest(self) -> Digest:
        """Of what has flowed by."""
        return self._hasher.digest


async def digest_of(
    store: IAssetStore, key: AssetKey, end: Callable[[IAssetReader], Awaitable[int]] | None = None
) -> tuple[AssetStat, Digest]:
    """Read a stored file from its beginning to its end, or to where `end` says; raises `AssetNotFound`."""
    reader = await store.open(key)
    try:
        stream = HashedStream(reader, await end(reader) if end else None)
        async with aclosing(stream.chunks()) as chunks:
            async for _ in chunks:
                pass
        return reader.stat, stream.digest
    finally:
        await reader.close()
