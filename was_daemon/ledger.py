"""What is kept of quotas for a process: one of a daemon's processes has the counts, and every other asks it."""

from collections.abc import Callable
from typing import Any, Protocol

import attrs

from was_daemon.errors import QuotaExceeded
from was_daemon.usage import Room, Usage


class Account(Protocol):
    """How a process asks for room. The steps, and what goes with them, are the methods of `Ledger`."""

    async def ask(self, step: str, **about: Any) -> None:
        """Take a step; raises `QuotaExceeded`, or `Overloaded` when it is not known whether it was taken."""

    def tell(self, step: str, **about: Any) -> None:
        """Take a step that cannot be refused."""


@attrs.frozen
class _Change:
    usage: Usage
    room: Room
    size: int


class Ledger:
    """The rooms and changes of one process, by numbers of its choice, in the usages that `find` gives by directory.

    Each step is done before the next one begins. One about something that is not there, as its quota is gone, or it
    was refused, does nothing. `doubt` is told of a usage that is not known exactly any more.
    """

    def __init__(self, find: Callable[[str], Usage | None], doubt: Callable[[Usage], None]) -> None:
        self._find = find
        self._doubt = doubt
        self._rooms: dict[int, Room] = {}
        self._changes: dict[int, _Change] = {}
        self._steps = {step.__name__: step for step in (self.reserve, self.cover, self.release, self.begin, self.end)}

    async def ask(self, step: str, **about: Any) -> None:
        """See `Account`."""
        self._steps[step](**about)

    def tell(self, step: str, **about: Any) -> None:
        """See `Account`."""
        self._steps[step](**about)

    def heed(self, step: str, about: dict[str, Any]) -> str | None:
        """Take a step for another process; why not, if it is refused."""
        try:
            self._steps[step](**about)
        except QuotaExceeded as refusal:
            return str(refusal)
        return None

    def reserve(self, room: int, directory: str, replaced: int, size: int) -> None:
        """Keep room for an upload of `size` bytes that replaces as many as `replaced`."""
        usage = self._find(directory)
        if usage:
            self._rooms[room] = usage.room(replaced, size)

    def cover(self, room: int, size: int) -> None:
        """The upload is at least so large."""
        if room in self._rooms:
            self._rooms[room].cover(size)

    def release(self, room: int) -> None:
        """Keep it no longer."""
        if room in self._rooms:
            self._rooms.pop(room).release()

    def begin(self, change: int, directory: str, replaced: int, size: int, room: int | None) -> None:
        """An original of `replaced` bytes is about to become one of `size`, for which `room` was kept; 0 is none."""
        if room is not None:
            self.release(room)
        usage = self._find(directory)
        if usage:
            self._changes[change] = _Change(usage, usage.room(replaced, size), size - replaced)
            usage.begin_change(size - replaced)

    def end(self, change: int, happened: bool) -> None:
        """It did, or it came to nothing."""
        if change in self._changes:
            ended = self._changes.pop(change)
            ended.usage.end_change(ended.size, happened)
            ended.room.release()

    def forget(self) -> None:
        """The process is gone, with its uploads; what it was about to change may have happened or not."""
        for number in list(self._rooms):
            self.release(number)
        for number, change in list(self._changes.items()):
            # Until it was counted again nobody gets what may be taken.
            self.end(number, happened=change.size > 0)
            self._doubt(change.usage)
