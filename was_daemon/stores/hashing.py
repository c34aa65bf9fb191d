"""Checksums of files while they are written."""

import hashlib
import os
from collections.abc import AsyncGenerator
from pathlib import Path

from twisted.internet.threads import deferToThread
from zope.interface import implementer

from was_daemon.digests import Digest
from was_daemon.interfaces import IStagingFile


@implementer(IStagingFile)
class HashedFile:
    """A staging file, and the digest of what was written to it.

    The bytes are hashed in a thread while another writes them: that costs no time where there is a second core.
    """

    def __init__(self, staged: IStagingFile) -> None:
        self._staged = staged
        self._hash = hashlib.sha256()
        self._size = 0

    @property
    def digest(self) -> Digest:
        """Of everything written."""
        return Digest(self._size, self._hash.hexdigest())

    async def write(self, chunks: list[bytes]) -> None:
        """See `IStagingFile`."""
        hashed = deferToThread(self._update, chunks)
        try:
            await self._staged.write(chunks)
        finally:
            await hashed

    def _update(self, chunks: list[bytes]) -> None:
        for chunk in chunks:
            self._hash.update(chunk)
            self._size += len(chunk)

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

    def publish(self, target: Path) -> os.stat_result:
        """See `IStagingFile`."""
        return self._staged.publish(target)

    def discard(self) -> None:
        """See `IStagingFile`."""
        self._staged.discard()
