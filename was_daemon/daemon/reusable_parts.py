"""Components that a reload takes over when what they were built from is unchanged."""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class ReusableParts:
    """Parts by name, each with its origin: everything that made it what it is.

    A part of `before` is taken over when its origin is the same, and built otherwise.
    """

    def __init__(self, before: "ReusableParts | None" = None) -> None:
        self._before = before._parts if before else {}
        self._parts: dict[str, tuple[object, Any]] = {}

    def take(self, name: str, origin: object, build: Callable[[], T]) -> T:
        """Return the part of that name, taken over or built."""
        known_origin, known = self._before.get(name, (None, None))
        part: T = known if name in self._before and known_origin == origin else build()
        self._parts[name] = origin, part
        return part
