"""One at a time, per name, among the processes of one daemon."""

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

_LOOK_AGAIN_SECONDS = 0.02


class Exclusion:
    """Locks on single bytes of a file that all have open, one byte for each name.

    The kernel keeps them, and a process that is killed has none any more. Two names share a byte once in 2**62 cases;
    then one waits for the other. Within one process these locks exclude nobody.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @asynccontextmanager
    async def holding(self, name: str) -> AsyncIterator[bool]:
        """Hold `name` for as long as the context lasts; yields whether another process had it before."""
        from twisted.internet import reactor

        byte = int.from_bytes(sha256(os.fsencode(name)).digest()[:8]) >> 2
        has_waited = False
        while not self._try(byte):
            has_waited = True
            # Nobody tells when a lock is free but a thread that waits for it, and there may be a thousand.
            await deferLater(IReactorTime(reactor), _LOOK_AGAIN_SECONDS)
        try:
            yield has_waited
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, byte)

    def _try(self, byte: int) -> bool:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True
