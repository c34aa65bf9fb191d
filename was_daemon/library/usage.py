"""How many bytes of originals a collection has, and may have: pure numbers, no I/O."""

from was_daemon.model.errors import QuotaExceeded

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


class Usage:
    """What one collection takes up. `used` is None until it was counted once; until then, everything has room."""

    def __init__(self, quota: int) -> None:
        self.quota = quota
        self.used: int | None = None
        self._reserved = 0
        # What came and went since the count under way began, and what is about to: the count has seen it, or has not.
        self._changed = _Sums()
        self._changing = _Sums()

    def room(self, replaced: int, size: int) -> "Room":
        """Keep room for an upload of `size` bytes that replaces as many as `replaced`; raises `QuotaExceeded`."""
        room = Room(self, replaced)
        room.cover(size)
        return room

    def reserve(self, size: int) -> None:
        """Keep `size` more bytes free, if there is room for that; raises `QuotaExceeded`."""
        if size > 0 and self.used is not None and self.used + self._reserved + size > self.quota:
            raise QuotaExceeded(f"the upload does not fit into the collection's quota of {readable(self.quota)}")
        self._reserved += size

    def begin_change(self, size: int) -> None:
        """Originals are about to become `size` bytes more."""
        self._changing.add(size)

    def end_change(self, size: int, happened: bool) -> None:
        """They did, or it came to nothing."""
        self._changing.remove(size)
        if happened:
            self._changed.add(size)
            if self.used is not None:
                self.used += size

    def begin_count(self) -> None:
        """From now on what there is is counted."""
        self._changed = _Sums()

    def end_count(self, found: int) -> None:
        """So many bytes were found.

        Each change meanwhile was seen or was not. What this process knows of its own changes is exact, and is given up
        only when it does not lie between the two.
        """
        least = found + self._changed.negative - self._changing.positive
        most = found + self._changed.positive - self._changing.negative
        self.used = max(0, most if self.used is None else min(max(self.used, least), most))


class Room:
    """Bytes of a quota that are kept for an upload until `release`."""

    def __init__(self, usage: Usage, replaced: int) -> None:
        self._usage = usage
        self._replaced = replaced
        self._reserved = 0

    def cover(self, size: int) -> None:
        """Have room for `size` bytes of upload; raises `QuotaExceeded`."""
        more = max(0, size - self._replaced) - self._reserved
        if more > 0:
            self._usage.reserve(more)
            self._reserved += more

    def release(self) -> None:
        """The upload is stored, or came to nothing; a second call does nothing."""
        self._usage.reserve(-self._reserved)
        self._reserved = 0


class _Sums:
    def __init__(self) -> None:
        self.positive = 0
        self.negative = 0

    def add(self, number: int) -> None:
        if number > 0:
            self.positive += number
        else:
            self.negative += number

    def remove(self, number: int) -> None:
        if number > 0:
            self.positive -= number
        else:
            self.negative -= number


def readable(size: int) -> str:
    """A number of bytes for people, as in "1.5 GiB"."""
    power = min(max(0, (size.bit_length() - 1) // 10), len(_UNITS) - 1)
    return f"{size / (1 << 10 * power):.4g} {_UNITS[power]}"
