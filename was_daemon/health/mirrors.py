"""How far the copies of mirrors follow."""

from collections.abc import Mapping, Sequence

import attrs
from prometheus_client import Counter, Gauge

from was_daemon.model.durations import counted, in_words
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.interfaces import IAssetStore, IUnlisted
from was_daemon.model.mirror import CopyState, IMirror, IMirrorJournal
from was_daemon.model.sizes import readable
from was_daemon.telemetry.metrics import Metrics

_LONG = 3600.0
"""Seconds after which a copy that does not follow is worth a warning."""


@attrs.frozen
class MirrorState:
    """The state of each copy of a mirror, by name, and what an operator should know."""

    copies: Mapping[str, CopyState]
    warnings: list[str]


class MirrorHealth:
    """The mirrors among the stores, and their metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._mirrors: dict[str, IMirror] = {}
        self._counted: dict[tuple[object, ...], int] = {}

    def configure(self, stores: Mapping[str, IAssetStore]) -> None:
        """Look at the mirrors among these stores from now on."""
        self._mirrors = {name: IMirror(store) for name, store in stores.items() if IMirror.providedBy(store)}

    async def look(self) -> dict[str, MirrorState]:
        """Fire with the state of the mirrors by name; one whose journal cannot be read fails its check as a store."""
        for gauge in self._gauges:
            # The settings before may have had other mirrors.
            gauge.clear()
        found = {}
        for name, mirror in self._mirrors.items():
            self._show_counts(name, mirror)
            try:
                states, others = await mirror.states(), await mirror.journal.other_settings()
            except StoreUnavailable:
                continue
            self._show(name, states)
            found[name] = MirrorState(
                states, [*mirror.warnings(), *copy_warnings(name, mirror, states), *stranger_warnings(name, others)]
            )
        return found

    @property
    def _gauges(self) -> list[Gauge]:
        metrics = self._metrics
        return [metrics.mirror_lag, metrics.mirror_files, metrics.mirror_bytes, metrics.mirror_lost]

    def _show(self, name: str, states: Mapping[str, CopyState]) -> None:
        metrics = self._metrics
        for copy, state in states.items():
            metrics.mirror_lag.labels(name, copy).set(state.lag)
            metrics.mirror_files.labels(name, copy).set(state.files)
            metrics.mirror_bytes.labels(name, copy).set(state.bytes)
            metrics.mirror_lost.labels(name, copy).set(state.lost)

    def _show_counts(self, name: str, mirror: IMirror) -> None:
        metrics = self._metrics
        self._add(metrics.mirror_fallbacks, mirror, mirror.fallbacks, name)
        for copy in mirror.copies:
            self._add(metrics.mirror_copied, mirror, mirror.copied[copy], name, copy)
            self._add(metrics.mirror_errors, mirror, mirror.failures[copy], name, copy)

    def _add(self, counter: Counter, mirror: IMirror, number: int, *labels: str) -> None:
        """Add what a mirror has counted since the last time; one that was made anew begins with 0."""
        what = (counter, id(mirror), labels)
        counter.labels(*labels).inc(number - self._counted.get(what, 0))
        self._counted[what] = number


def copy_warnings(name: str, mirror: IMirror, states: Mapping[str, CopyState]) -> list[str]:
    """Return what an operator should know of the copies of the mirror called `name`."""
    found = []
    for copy, state in states.items():
        # Of a store that cannot list what it has, that is never known as a whole.
        is_listed = not any(IUnlisted.providedBy(side) for side in (mirror.primary, mirror.copies[copy]))
        if state.compared is None and is_listed:
            found.append(f"store {name}: {copy} was never compared: run was-daemon mirror verify, or repair")
        if state.lag > _LONG:
            why = f": {state.problem}" if state.problem else ""
            found.append(f"store {name}: {copy} has not followed for {in_words(state.lag)}, {waiting(state)}{why}")
        if state.lost:
            lost = counted(state.lost, "file")
            found.append(f"store {name}: the primary has lost {lost} before {copy} had got them: run mirror repair")
    return found


def journals(stores: Mapping[str, IAssetStore]) -> dict[str, IMirrorJournal]:
    """Return the journals of the mirrors among these stores, by the names that reports have for them."""
    mirrors = {name: IMirror(store) for name, store in stores.items() if IMirror.providedBy(store)}
    return {f"journal of {name}": IMirrorJournal(mirror.journal) for name, mirror in mirrors.items()}


def space_warning(name: str, free: int | None, min_free: int) -> str | None:
    """Return what an operator should know of the disk of a database with so many free bytes, None if nothing."""
    if free is None or free >= min_free:
        return None
    return f"{name}: {free >> 20} MiB are free on its disk, less than min_free"


def stranger_warnings(name: str, others: Sequence[str]) -> list[str]:
    """Return warnings of processes that use the journal of the mirror called `name` for `others`."""
    # A change that one of them enters reaches the copies that it knows, and no others.
    return [
        f"store {name}: another process uses the same journal with other settings: {other}. Give them the same "
        "settings, or each a journal of its own"
        for other in others
    ]


def waiting(state: CopyState) -> str:
    """Return what waits for a copy, in words."""
    return f"{counted(state.files, 'change')} ({readable(state.bytes)}) wait"


def mirror_warnings(mirrors: Mapping[str, MirrorState]) -> list[str]:
    """Return what an operator should know of all mirrors."""
    return [warning for mirror in mirrors.values() for warning in mirror.warnings]


def all_copies(mirrors: Mapping[str, MirrorState]) -> CopyState:
    """Return what all copies lack together; `lag` is that of the one that is behind most."""
    states = [state for mirror in mirrors.values() for state in mirror.copies.values()]
    return CopyState(
        files=sum(state.files for state in states),
        bytes=sum(state.bytes for state in states),
        lag=max((state.lag for state in states), default=0.0),
        lost=sum(state.lost for state in states),
    )
