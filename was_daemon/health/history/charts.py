"""The charts of the console, made of a history."""

from collections.abc import Callable, Iterable

from was_daemon.health.history.ring_file import Sample
from was_daemon.health.history.samples import REASONS
from was_daemon.health.history.series import Chart, History, Series

_QUANTILES = {"half of all within": 0.5, "95 % within": 0.95, "99 % within": 0.99}


def charts_of(history: History) -> list[Chart]:
    """Return all charts that there are values for; those of parts that the settings do not have are left out."""
    charts = [
        Chart("Requests", "per second", [Series("requests", history.rates(_number("requests")))]),
        Chart("Time to answer", "seconds", [Series(name, history.quantiles(q)) for name, q in _QUANTILES.items()]),
        Chart("Failed requests by reason", "number", _reasons(history)),
        Chart("Bytes", "bytes per second", _rates(history, {"received": "received", "sent": "sent"})),
        Chart("Thumbnails made", "number", [Series("thumbnails", history.numbers(_number("made")))]),
        Chart("Queue", "jobs", _levels(history, {"waiting": "waiting", "background": "in the background"})),
        Chart("Workers", "workers", _levels(history, {"busy": "busy", "idle": "idle", "lost": "hang"})),
        Chart("Time of an operation of a store", "seconds", _store_times(history)),
        Chart("Failed operations of stores", "number", _store_errors(history)),
        Chart("Changes that wait for a copy", "number", _named(history, "mirrors", _plain("mirrors"), max)),
        Chart("Quotas", "percent", _named(history, "quotas", _percentage, max), limit=100.0),
        Chart("Free space", "bytes", _named(history, "free", _plain("free"), min)),
        Chart("Memory of the daemon", "bytes", _levels(history, {"memory": "memory"})),
    ]
    return [chart for chart in charts if chart.series]


def _number(part: str) -> Callable[[Sample], float]:
    return lambda sample: float(sample.get(part, 0))


def _plain(part: str) -> Callable[[str], Callable[[Sample], float | None]]:
    return lambda name: lambda sample: sample.get(part, {}).get(name)


def _percentage(name: str) -> Callable[[Sample], float | None]:
    def read(sample: Sample) -> float | None:
        used = sample.get("quotas", {}).get(name)
        return 100.0 * used[0] / used[1] if used else None

    return read


def _rates(history: History, parts: dict[str, str]) -> list[Series]:
    return [Series(name, history.rates(_number(part))) for part, name in parts.items()]


def _levels(history: History, parts: dict[str, str]) -> list[Series]:
    return [Series(name, history.levels(_number(part), sum)) for part, name in parts.items()]


def _named(
    history: History,
    part: str,
    reader: Callable[[str], Callable[[Sample], float | None]],
    combine: Callable[[Iterable[float]], float],
) -> list[Series]:
    """Return a series for each name: what all processes see, of which one is enough."""
    return [Series(name, history.levels(reader(name), combine)) for name in history.names(part)]


def _reasons(history: History) -> list[Series]:
    """Return the reasons that occurred, the most frequent first, or one series of zeros."""
    found = [Series(reason, history.numbers(_errors(reason))) for reason in REASONS]
    occurred = [series for series in found if any(series.values)]
    return sorted(occurred, key=_total, reverse=True) or [Series("none", found[0].values)]


def _errors(reason: str) -> Callable[[Sample], float]:
    return lambda sample: float(sample.get("errors", {}).get(reason, 0))


def _total(series: Series) -> float:
    return sum(value or 0.0 for value in series.values)


def _store_times(history: History) -> list[Series]:
    return [Series(name, _ratio(history, name)) for name in history.names("stores")]


def _ratio(history: History, name: str) -> list[float | None]:
    seconds, operations = history.numbers(_of_store(name, 1)), history.numbers(_of_store(name, 0))
    return [
        taken / number if taken is not None and number else None
        for taken, number in zip(seconds, operations, strict=True)
    ]


def _store_errors(history: History) -> list[Series]:
    return [Series(name, history.numbers(_of_store(name, 2))) for name in history.names("stores")]


def _of_store(name: str, index: int) -> Callable[[Sample], float]:
    def read(sample: Sample) -> float:
        values = sample.get("stores", {}).get(name)
        return float(values[index]) if values else 0.0

    return read
