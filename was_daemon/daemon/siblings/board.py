"""Memory that the processes of one daemon share."""

import mmap
import os

from was_daemon.config.share import Share

_NOBODY = 0xFFFFFFFF
"""In place of a number of connections: there is no process that could take one."""

_SIZE = 4


class Board:
    """How many connections each process has; each writes its own number, and nobody waits for anybody."""

    def __init__(self, fd: int, share: Share) -> None:
        self._own = share.number - 1
        self._counts = memoryview(mmap.mmap(fd, _SIZE * share.of)).cast("I")

    @staticmethod
    def create(of: int) -> int:
        """A descriptor of memory for so many processes."""
        fd = os.memfd_create("was-daemon", os.MFD_CLOEXEC)
        os.ftruncate(fd, _SIZE * of)
        return fd

    def say(self, connections: int) -> None:
        """This process has so many connections now."""
        self._counts[self._own] = connections

    def leave(self, number: int) -> None:
        """There is no process `number` at the moment."""
        self._counts[number - 1] = _NOBODY

    def is_another_less_busy(self) -> bool:
        """Whether another process has fewer connections than this one."""
        return min(self._counts) < self._counts[self._own]
