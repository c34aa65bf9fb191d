"""Digests of streams and of stored files."""

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import attrs

from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore
from was_daemon.model.keys import AssetKey

Pace = Callable[[int], Awaitable[None]]
"""A function that fires when so many bytes more may be read."""


@attrs.frozen
class Digest:
    """The size in bytes of a sequence of bytes, and its SHA-256 and MD5 in hexadecimal.

    MD5 is what other programs may know a file by; it proves nothing, and does not count when digests are compared.
    """

    size: int
    sha256: str
    md5: str | None = attrs.field(default=None, eq=False)


class Hasher:
    """The digest of bytes that arrive in pieces; of MD5 only if asked."""

    def __init__(self, with_md5: bool = False) -> None:
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if with_md5 else None
        self._size = 0

    def update(self, data: bytes) -> None:
        """Add the next bytes."""
        self._sha256.update(data)
        if self._md5:
            self._md5.update(data)
        self._size += len(data)

    @property
    def digest(self) -> Digest:
        """The digest of the bytes so far."""
        return Digest(self._size, self._sha256.hexdigest(), self._md5.hexdigest() if self._md5 else None)


class HashedStream:
    """The bytes of a reader up to `stop`, followed by `end`, hashed while they are read."""

    def __init__(self, reader: IAssetReader, stop: int | None = None, end: bytes = b"", with_md5: bool = False) -> None:
        self._reader = reader
        self._stop = stop
        self._end = end
        self._hasher = Hasher(with_md5)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the bytes in chunks; to be called once."""
        async with aclosing(self._reader.read(0, self._stop)) as chunks:
            async for chunk in chunks:
                self._hasher.update(chunk)
                yield chunk
        if self._end:
            self._hasher.update(self._end)
            yield self._end

    @property
    def digest(self) -> Digest:
        """The digest of the bytes yielded so far."""
        return self._hasher.digest


async def digest_of(
    store: IAssetStore,
    key: AssetKey,
    end: Callable[[IAssetReader], Awaitable[int]] | None = None,
    with_md5: bool = False,
    pace: Pace | None = None,
) -> tuple[AssetStat, Digest]:
    """Fire with the version and the digest of a stored file; raises `AssetNotFound`.

    The file is read to its end, or up to the offset that `end` fires with for its reader. `pace` is called with the
    size of each chunk, and the next one read when it fires.
    """
    reader = await store.open(key)
    try:
        stream = HashedStream(reader, await end(reader) if end else None, with_md5=with_md5)
        async with aclosing(stream.chunks()) as chunks:
            async for chunk in chunks:
                if pace:
                    await pace(len(chunk))
        return reader.stat, stream.digest
    finally:
        await reader.close()
