"""A set of very many names."""

from array import array
from bisect import bisect_left

_MOST_RECENT = 1 << 16


class NameSet:
    """Set of names that takes little more than eight bytes for each, as it holds their hashes only.

    Of a million names, two are mistaken for one once in some ten million such sets.
    """

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._sorted: list[array[int]] = []

    def add(self, name: str) -> bool:
        """Add a name; return whether it is new."""
        value = hash(name)
        if value in self._recent or any(_holds(values, value) for values in self._sorted):
            return False
        self._recent.add(value)
        if len(self._recent) == _MOST_RECENT:
            self._sorted.append(array("q", sorted(self._recent)))
            self._recent = set()
        return True


def _holds(values: "array[int]", value: int) -> bool:
    position = bisect_left(values, value)
    return position < len(values) and values[position] == value
