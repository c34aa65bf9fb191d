"""Prometheus metrics of the daemon.

Every label has a fixed, small set of values, the names of configured stores and collections at the most: no names of
files or clients. Times are in seconds, sizes in bytes.
"""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)

from was_daemon import __version__
from was_daemon.telemetry.own_process import OwnProcess

_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)
_JOB_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STORE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Metrics of one process, kept when the configuration is reloaded."""

    def __init__(self) -> None:
        # Times of creation would double the number of series.
        disable_created_metrics()
        self.registry = CollectorRegistry()
        OwnProcess(self.registry)
        Info("was_build", "The version of was_daemon", registry=self.registry).info({"version": __version__})

        self.requests = self._counter("was_requests", "Requests answered", "endpoint", "status")
        self.request_seconds = self._histogram(
            "was_request_seconds", "Time from a request's head to the end of its answer", _REQUEST_SECONDS, "endpoint"
        )
        self.received = self._counter("was_received_bytes", "Bytes of request bodies")
        self.sent = self._counter("was_sent_bytes", "Bytes of answers, without their heads")
        self.requests_under_way = self._gauge("was_requests_under_way", "Requests that are not answered yet")
        self.connections = self._gauge("was_connections", "Open connections")

        self.jobs = self._counter("was_jobs", "Jobs of the workers that came to an end", "kind", "outcome")
        self.job_seconds = self._histogram("was_job_seconds", "Time a worker spent on a job", _JOB_SECONDS, "kind")
        self.jobs_waiting = self._gauge("was_jobs_waiting", "Jobs in the queue", "lane")
        self.jobs_running = self._gauge("was_jobs_running", "Jobs that a worker is at")
        self.workers = self._gauge("was_workers", "Worker processes", "state")
        self.thumbnails = self._counter("was_thumbnails", "Thumbnails delivered, by where they came from", "source")
        self.pictures = self._counter("was_pictures", "Pictures sent through IIIF, by where they came from", "source")

        self.spool_bytes = self._gauge("was_spool_bytes", "Bytes of copies of remote originals in the spool")
        self.spool_opens = self._counter("was_spool_opens", "Remote originals opened for workers", "source")
        self.store_seconds = self._histogram(
            "was_store_seconds", "Time of operations on a store", _STORE_SECONDS, "store", "operation"
        )
        self.store_errors = self._counter(
            "was_store_errors", "Operations on a store that failed", "store", "operation", "error"
        )
        self.store_up = self._gauge("was_store_up", "Whether the last check of a store went well", "store")
        self.free_bytes = self._gauge("was_free_bytes", "Bytes free where local files are written", "place")
        self.collection_used = self._gauge(
            "was_collection_used_bytes", "Bytes of originals of a collection with a quota", "collection"
        )
        self.collection_quota = self._gauge(
            "was_collection_quota_bytes", "Bytes of originals that a collection may have", "collection"
        )
        self.specify_up = self._gauge(
            "was_specify_up", "Whether the last reading of a database of Specify went well", "source"
        )
        self.specify_rows = self._gauge("was_specify_attachments", "Attachments in a database of Specify", "source")
        self.specify_read = self._gauge(
            "was_specify_last_read_timestamp_seconds",
            "Unix time of the last reading that came to its end",
            "source",
        )
        self.trash_files = self._gauge("was_trash_files", "Versions of originals in the trash", "store")
        self.trash_bytes = self._gauge("was_trash_bytes", "Bytes of originals in the trash", "store")
        self.trash_removed = self._counter("was_trash_removed", "Versions removed from the trash for good", "store")
        self.trash_errors = self._counter("was_trash_errors", "Errors while the trash was emptied", "store")
        self.mirror_lag = self._gauge(
            "was_mirror_lag_seconds", "Time that the oldest change has waited for a copy", "store", "copy"
        )
        self.mirror_files = self._gauge("was_mirror_waiting_files", "Changes that wait for a copy", "store", "copy")
        self.mirror_bytes = self._gauge("was_mirror_waiting_bytes", "Bytes that wait for a copy", "store", "copy")
        self.mirror_lost = self._gauge(
            "was_mirror_lost_files", "Changes that cannot be copied, as the primary has lost them", "store", "copy"
        )
        self.mirror_copied = self._counter("was_mirror_copied", "Changes made in a copy", "store", "copy")
        self.mirror_errors = self._counter("was_mirror_errors", "Changes of a copy that failed", "store", "copy")
        self.mirror_fallbacks = self._counter(
            "was_mirror_fallbacks", "Reads from a copy, as the primary had lost the file or was down", "store"
        )
        self.visibility_age = self._gauge(
            "was_visibility_age_seconds", "Time since it was last learnt from the catalogue what is private"
        )
        self.visibility = self._gauge(
            "was_visibility_originals", "Originals that are known to be private, or public", "state"
        )
        self.fixity_read = self._counter("was_fixity_read_bytes", "Bytes of originals read again")
        self.fixity_checks = self._counter("was_fixity_checks", "Originals read again, by what came of it", "outcome")
        self.fixity_faults = self._gauge("was_fixity_faults", "Originals that are not as recorded", "fault")
        self.fixity_originals = self._gauge("was_fixity_originals", "Originals in the catalogue", "state")
        self.fixity_due_bytes = self._gauge("was_fixity_due_bytes", "Bytes of originals that are due to be read again")
        self.fixity_end_seconds = self._gauge("was_fixity_end_seconds", "Time until all that are due are read")
        self.fixity_oldest_seconds = self._gauge(
            "was_fixity_oldest_seconds", "Time since the original that was not read for longest was as recorded"
        )
        self.fixity_every_seconds = self._gauge("was_fixity_every_seconds", "Time in which all are to be read again")
        self.healthy = self._gauge("was_healthy", "Whether everything was well when it was last looked at")
        self.log_events = self._counter("was_log_events", "Warnings and errors in the log", "level")

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, meaning, labels, buckets=buckets, registry=self.registry)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


def show(gauge: Gauge, value: Callable[[], float], **labels: str) -> None:
    """Set `gauge`, with these labels, to the result of `value` each time metrics are collected."""
    (gauge.labels(**labels) if labels else gauge).set_function(value)
