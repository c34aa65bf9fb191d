"""Parameters of slow tests."""

from collections.abc import Container, Iterable
from itertools import islice
from typing import Any

import pytest


def slow_but(quick: Container[Any], values: Iterable[Any]) -> list[Any]:
    """Return `values` as parameters of a test, those that are not in `quick` marked slow."""
    return [value if value in quick else _slow(value) for value in values]


def slow_after(number: int, values: Iterable[Any]) -> list[Any]:
    """Return `values` as parameters of a test, all after the first `number` of them marked slow.

    For values that are alike: the first ones show what the others show more of.
    """
    rest = iter(values)
    return [*islice(rest, number), *map(_slow, rest)]


def _slow(value: Any) -> Any:
    return pytest.param(value, marks=pytest.mark.slow)
