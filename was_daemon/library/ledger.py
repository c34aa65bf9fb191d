"""What is kept of quotas for a process: one of a daemon's processes has the counts, and every other asks it."""

from collections.abc import Callable
from typing import Any, Protocol

import attrs

from was_daemon.library.usage import Room, Usage
from was_daemon.model.errors import QuotaExceeded


class Account(Protocol):
    """How a process asks for room. The steps, and what goes with them, are the methods of `Ledger`."""

    async def ask(self, step: str, **about: Any) -> None:
        """Take a step; raises `QuotaExceeded`, or `Overloaded` when it is not known whether it was taken."""

    def tell(self, step: str, **about: Any) -> None:
        """Take a step that cannot be refused."""


@attrs.frozen(eq=False)
class Change:
    """An original of `replaced` bytes is about to become one of another size, which needs `room`."""

    usage: Usage
    room: Room
    replaced: int
    more: int

    def end(self, happened: bool) -> None:
        """It did, or it came to nothing."""
        self.usage.end_change(self.more, happened)
        self.room.release()


Changes = dict[tuple[str, str], Change]
"""What all processes are about to change, by directory and name."""


class Ledger:
    """The rooms and changes of one process, by numbers of its choice, in the usages that `find` gives by directory.

    Each step is done before the next one begins. One about something that is not there, as its quota is gone, or it
    was refused, does nothing. `doubt` is told of what in `under_way`, common to all ledgers, may have happened or not.
    """

    def __init__(
        self, find: Callable[[str], Usage | None], under_way: Changes, doubt: Callable[[tuple[str, str]], None]
    ) -> None:
        self._find = find
        self._under_way = under_way
        self._doubt = doubt
        self._rooms: dict[int, Room] = {}
        self._changes: dict[int, tuple[tuple[str, str], Change]] = {}
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

    def begin(self, change: int, directory: str, name: str, replaced: int, size: int, room: int | None) -> None:
        """An original of `replaced` bytes is about to become one of `size`, for which `room` was kept; 0 is none."""
        if room is not None:
            self.release(room)
        original = directory, name
        if before := self._under_way.pop(original, None):
            # Nobody changes what another does, so that one is dead; and this one has seen what has become of it.
            before.end(happened=replaced != before.replaced)
        usage = self._find(directory)
        if usage:
            begun = Change(usage, usage.room(replaced, size), replaced, size - replaced)
            usage.begin_change(begun.more)
            self._under_way[original] = begun
            self._changes[change] = original, begun

    def end(self, change: int, happened: bool) -> None:
        """It did, or it came to nothing."""
        if change in self._changes:
            original, begun = self._changes.pop(change)
            if self._under_way.get(original) is begun:
                self._under_way.pop(original).end(happened)

    def forget(self) -> None:
        """The process is gone, with its uploads; what it was about to change stays under way until somebody looks."""
        for number in list(self._rooms):
            self.release(number)
        changes, self._changes = self._changes, {}
        for original, begun in changes.values():
            if self._under_way.get(original) is begun:
                self._doubt(original)
