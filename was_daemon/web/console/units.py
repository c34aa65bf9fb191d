"""Numbers of plots and tables in words, by their unit, and the marks of an axis."""

import math
from collections.abc import Callable, Mapping

from was_daemon.model.sizes import readable

_KIB = 1024.0
_MARKS = 4
"""Marks of an axis beside 0, about."""

_WHOLE = ("number", "jobs", "workers")


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _seconds(value: float) -> str:
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"


UNITS: Mapping[str, Callable[[float], str]] = {
    **dict.fromkeys(_WHOLE, _plain),
    "per second": lambda value: f"{_plain(value)}/s",
    "seconds": _seconds,
    "bytes": lambda value: readable(round(value)),
    "bytes per second": lambda value: f"{readable(round(value))}/s",
    "percent": lambda value: f"{value:.3g} %",
}
"""Functions that write a number of each unit."""


def in_unit(value: float | None, unit: str) -> str:
    """Return a number with its unit, and a dash for one that is not known."""
    return "–" if value is None else UNITS[unit](value)


def axis(highest: float, unit: str) -> list[float]:
    """Return round numbers from 0 to `highest` or a little more, for the marks of an axis."""
    if highest <= 0:
        return [0.0, 1.0]
    base = _KIB ** int(math.log(highest, _KIB)) if unit.startswith("bytes") and highest > 1 else 1.0
    wanted = highest / base / _MARKS
    power = 10.0 ** math.floor(math.log10(wanted))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if factor * power >= wanted)
    if unit in _WHOLE:
        step = math.ceil(step)
    step *= base
    return [step * index for index in range(math.ceil(highest / step) + 1)]
