"""Series of values over a span of time, made of samples: pure functions.

A value stands for one interval of the span. Numbers of events are differences between two samples of a process; after a
restart, when it counts from 0 again, what it has counted since. Of several processes they are added up.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, groupby
from typing import TypeAlias

import attrs

from was_daemon.health.history.ring_file import MINUTES, TENS, Ring, Sample

Timed: TypeAlias = tuple[int, Sample]
Values: TypeAlias = list[float | None]


@attrs.frozen
class Span:
    """A span of time up to now, in intervals of `step` seconds, and the ring that has samples of it."""

    name: str
    title: str
    step: int
    count: int
    ring: Ring

    @property
    def seconds(self) -> int:
        """The length of the span."""
        return self.step * self.count


SPANS = {
    span.name: span
    for span in (
        Span("hour", "Last hour", 60, 60, MINUTES),
        Span("day", "Last day", 600, 144, TENS),
        Span("week", "Last week", 3600, 168, TENS),
    )
}


@attrs.frozen
class Series:
    """A line of a plot: a value for each interval, None where nothing is known."""

    name: str
    values: Values


@attrs.frozen
class Chart:
    """A plot: lines of the same unit, which is one of `plots.UNITS`. `limit` is the highest value there can be."""

    title: str
    unit: str
    series: Sequence[Series]
    limit: float | None = None


@attrs.frozen
class Step:
    """Two samples of one process, the second `seconds` after the first, in the interval number `index`."""

    index: int
    seconds: float
    before: Sample
    after: Sample

    def difference(self, read: Callable[[Sample], float]) -> float:
        """Return by how much a counter grew."""
        return max(0.0, read(self.after) - read(self.before))


_NOTHING: Sample = {}


class History:
    """The samples of all processes over a span that ends with the interval of `now`."""

    def __init__(self, span: Span, processes: Iterable[Sequence[Timed]], now: float) -> None:
        self.span = span
        self.end = (int(now) // span.step + 1) * span.step
        self.begin = self.end - span.seconds
        self._processes = [*processes]
        self._steps = [[*self._steps_of(samples)] for samples in self._processes]

    def _steps_of(self, samples: Sequence[Timed]) -> Iterable[Step]:
        before: Timed | None = None
        for moment, sample in samples:
            index = (moment - self.begin) // self.span.step
            began = sample.get("began", moment)
            if before and before[1].get("began") == began:
                seconds, known = moment - before[0], before[1]
            else:
                seconds, known = moment - began, _NOTHING
            # Of a process that has run for long, the first sample says nothing of this interval.
            is_known = before is not None or seconds <= 2 * self.span.ring.step
            before = moment, sample
            if is_known and seconds > 0 and 0 <= index < self.span.count:
                yield Step(index, seconds, known, sample)

    def numbers(self, read: Callable[[Sample], float]) -> Values:
        """Return how many there were in each interval, of which the last one is not over."""
        return self._combined(read, lambda steps, grown: grown)

    def rates(self, read: Callable[[Sample], float]) -> Values:
        """Return how many there were a second in each interval."""
        # A sample that is missing makes the time between two longer than an interval.
        return self._combined(read, lambda steps, grown: grown / sum(step.seconds for step in steps))

    def _combined(self, read: Callable[[Sample], float], value: Callable[[Sequence[Step], float], float]) -> Values:
        """Return the value of each interval: that of its steps in a process, and by how much a counter grew in them."""
        values: Values = [None] * self.span.count
        for steps in self._steps:
            for index, together in groupby(steps, key=lambda step: step.index):
                those = [*together]
                grown = sum(step.difference(read) for step in those)
                values[index] = (values[index] or 0.0) + value(those, grown)
        return values

    def levels(self, read: Callable[[Sample], float | None], combine: Callable[[Iterable[float]], float]) -> Values:
        """Return the last value of each process in each interval, combined to one: added up, or the highest."""
        found: list[dict[int, float]] = [{} for _ in range(self.span.count)]
        for number, samples in enumerate(self._processes):
            for moment, sample in samples:
                index = (moment - self.begin) // self.span.step
                value = read(sample)
                if 0 <= index < self.span.count and value is not None:
                    found[index][number] = value
        return [combine(each.values()) if each else None for each in found]

    def quantiles(self, share: float) -> Values:
        """Return the seconds in which this share of the requests of each interval were answered."""
        counts: list[dict[float, float]] = [{} for _ in range(self.span.count)]
        for step in chain.from_iterable(self._steps):
            before = dict(step.before.get("seconds", []))
            for bound, number in step.after.get("seconds", []):
                grown = max(0.0, number - before.get(bound, 0))
                counts[step.index][bound] = counts[step.index].get(bound, 0) + grown
        return [_quantile(each, share) for each in counts]

    def names(self, part: str) -> list[str]:
        """Return the names in a part of the samples, those of the newest ones first."""
        found: dict[str, None] = {}
        for samples in self._processes:
            for _, sample in reversed(samples):
                found |= dict.fromkeys(sample.get(part, {}))
        return [*found]


def _quantile(counts: Mapping[float, float], share: float) -> float | None:
    """Return a quantile by linear interpolation in its bucket, as Prometheus does; None without requests."""
    total = counts.get(0.0, 0.0)
    if not total:
        return None
    wanted, lower, below = share * total, 0.0, 0.0
    for bound in sorted(bound for bound in counts if bound):
        if counts[bound] >= wanted:
            inside = counts[bound] - below
            return lower + (bound - lower) * ((wanted - below) / inside if inside else 1.0)
        lower, below = bound, counts[bound]
    # Longer than the largest bound, which is all that is known.
    return lower
