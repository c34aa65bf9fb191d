"""Checksums of files while they are written."""

import os
from collections.abc import AsyncGenerator

from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThread
from zope.interface import implementer

from was_daemon.model.digests import Digest, Hasher
from was_daemon.model.interfaces import IStagingFile

_SMALL = 1 << 16
"""Bytes that are hashed in less time than it takes to call a thread."""

_UNINTERRUPTED = 2047
"""Bytes that Python hashes without letting another thread run, which the reactor would have to wait for afterwards."""


@implementer(IStagingFile)
class HashedFile:
    """Staging file that also computes the digest of the bytes written to it.

    A thread hashes them while they are written and the next ones arrive, unless they are few.
    """

    def __init__(self, staged: IStagingFile) -> None:
        self._staged = staged
        self._hasher = Hasher(with_md5=True)
        self._hashing: Deferred[None] = succeed(None)

    async def digest(self) -> Digest:
        """Fire with the digest of everything written so far."""
        await self._hashing
        return self._hasher.digest

    async def write(self, chunks: list[bytes]) -> None:
        """See `IStagingFile`."""
        await self._hashing
        if sum(map(len, chunks)) <= _SMALL:
            self._update_at_once(b"".join(chunks))
        else:
            self._hashing = deferToThread(self._update, chunks)
        await self._staged.write(chunks)

    def _update_at_once(self, data: bytes) -> None:
        for start in range(0, len(data), _UNINTERRUPTED):
            self._hasher.update(data[start : start + _UNINTERRUPTED])

    def _update(self, chunks: list[bytes]) -> None:
        for chunk in chunks:
            self._hasher.update(chunk)

    async def read(self) -> AsyncGenerator[bytes, None]:
        """See `IStagingFile`."""
        async for chunk in self._staged.read():
            yield chunk

    async def size(self) -> int:
        """See `IStagingFile`."""
        return await self._staged.size()

    async def free(self) -> int:
        """See `IStagingFile`."""
        return await self._staged.free()

    def fileno(self) -> int:
        """See `IStagingFile`."""
        return self._staged.fileno()

    def publish(self, directory: int, name: str, replace: bool = True) -> os.stat_result:
        """See `IStagingFile`."""
        return self._staged.publish(directory, name, replace)

    def discard(self) -> None:
        """See `IStagingFile`."""
        self._staged.discard()
