"""Samples: what the metrics of a process say at one moment, as values for JSON. Pure functions."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample as MetricSample

T = TypeVar("T")

REASONS = (
    "client left",
    "bad request",
    "token refused",
    "not found",
    "too large",
    "no picture",
    "other refusal",
    "internal error",
    "store failed",
    "overloaded",
    "disk full",
)
"""Why requests did not get what they asked for, in the order of the statuses of `reason_of`."""

_REASONS = {
    "aborted": "client left",
    "400": "bad request",
    "403": "token refused",
    "404": "not found",
    "413": "too large",
    "415": "no picture",
    "422": "no picture",
    "500": "internal error",
    "502": "store failed",
    "503": "overloaded",
    "504": "store failed",
    "507": "disk full",
}
_NAMED = ("stores", "mirrors", "quotas", "free")
"""The parts of a sample that have as many values as the settings have names."""

MOST_NAMES = 24
"""Names of stores, of copies, of collections and of places of which a sample has values."""


def reason_of(status: str) -> str | None:
    """Return why a request with this status, as metrics have it, did not get what it asked for; None if it did."""
    known = _REASONS.get(status)
    if known:
        return known
    return "other refusal" if status.isdigit() and int(status) >= 400 else None


def sample_of(registry: CollectorRegistry, began: float) -> dict[str, Any]:
    """Return what was counted since the process `began`, in Unix seconds, and how things are at the moment."""
    by_name: dict[str, list[MetricSample]] = {}
    for family in registry.collect():
        for each in family.samples:
            by_name.setdefault(each.name, []).append(each)

    def total(name: str, **labels: str) -> float:
        found = by_name.get(name, [])
        return sum(each.value for each in found if labels.items() <= each.labels.items())

    errors: dict[str, float] = {}
    for each in by_name.get("was_requests_total", []):
        reason = reason_of(each.labels["status"])
        if reason:
            errors[reason] = errors.get(reason, 0) + each.value
    found: dict[str, Any] = _rounded(
        {
            "began": began,
            "requests": total("was_requests_total"),
            "seconds": _buckets(by_name.get("was_request_seconds_bucket", [])),
            "errors": errors,
            "received": total("was_received_bytes_total"),
            "sent": total("was_sent_bytes_total"),
            "made": total("was_thumbnails_total", source="made"),
            "waiting": total("was_jobs_waiting", lane="requests"),
            "background": total("was_jobs_waiting", lane="background"),
            "running": total("was_jobs_running"),
            "busy": total("was_workers", state="busy"),
            "idle": total("was_workers", state="idle"),
            "lost": total("was_workers", state="lost"),
            "memory": total("process_resident_memory_bytes"),
            "stores": _stores(by_name),
            "mirrors": _first(_named(by_name.get("was_mirror_waiting_files", []), "store", "copy")),
            "quotas": _quotas(by_name),
            "free": _first(_named(by_name.get("was_free_bytes", []), "place")),
        }
    )
    return found


def without_names(sample: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return a sample with at most `number` names in each of its parts, for a slot that is too small for all."""
    return {part: dict(list(value.items())[:number]) if part in _NAMED else value for part, value in sample.items()}


def _buckets(samples: Iterable[MetricSample]) -> list[list[float]]:
    """Return pairs of an upper bound, in seconds, and the number of requests up to it; 0 stands for no bound."""
    buckets: dict[float, float] = {}
    for each in samples:
        bound = 0.0 if each.labels["le"] == "+Inf" else float(each.labels["le"])
        buckets[bound] = buckets.get(bound, 0) + each.value
    return [[bound, buckets[bound]] for bound in sorted(buckets, key=lambda bound: bound or float("inf"))]


def _stores(by_name: Mapping[str, list[MetricSample]]) -> dict[str, list[float]]:
    """Return for each store the number of operations, the seconds that they took, and how many have failed."""
    found: dict[str, list[float]] = {}
    for index, name in enumerate(("was_store_seconds_count", "was_store_seconds_sum", "was_store_errors_total")):
        for each in by_name.get(name, []):
            found.setdefault(each.labels["store"], [0, 0, 0])[index] += each.value
    return _first(found)


def _quotas(by_name: Mapping[str, list[MetricSample]]) -> dict[str, list[float]]:
    """Return for each collection with a quota the bytes that it has and may have, the fullest first."""
    used = _named(by_name.get("was_collection_used_bytes", []), "collection")
    quotas = _named(by_name.get("was_collection_quota_bytes", []), "collection")
    pairs = {name: [used[name], quota] for name, quota in quotas.items() if quota and name in used}
    fullest = sorted(pairs, key=lambda name: pairs[name][0] / pairs[name][1], reverse=True)
    return {name: pairs[name] for name in fullest[:MOST_NAMES]}


def _named(samples: Iterable[MetricSample], *labels: str) -> dict[str, float]:
    """Return values by their labels, without those that are not known yet, which are no numbers."""
    known = [each for each in samples if math.isfinite(each.value)]
    return {", ".join(each.labels[label] for label in labels): each.value for each in known}


def _first(found: dict[str, T]) -> dict[str, T]:
    return dict(list(found.items())[:MOST_NAMES])


def _rounded(value: Any) -> Any:
    """Return a value whose numbers have no more digits than plots show: slots are small."""
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return int(value) if value == int(value) else round(value, 4)
