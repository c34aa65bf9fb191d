"""State of a process that outlives the versions of its configuration."""

import attrs

from was_daemon.concurrency.locks import KeyLocks
from was_daemon.config.process_share import ProcessShare
from was_daemon.health.checks import Health
from was_daemon.library.quotas.quotas import Quotas
from was_daemon.model.keys import AssetKey
from was_daemon.telemetry.metrics import Metrics
from was_daemon.telemetry.recent_errors import RecentErrors


@attrs.frozen(eq=False)
class ProcessState:
    """State of a process that outlives every version of its components.

    The locks are part of it because an upload that began under other settings and a delete exclude each other, too.
    """

    process: ProcessShare
    metrics: Metrics
    quotas: Quotas
    health: Health
    recent: RecentErrors
    locks: KeyLocks[AssetKey] = attrs.field(factory=KeyLocks)

    @classmethod
    def new(cls, process: ProcessShare | None = None) -> "ProcessState":
        """Return the state with which `process` begins, by default the only one."""
        metrics = Metrics()
        quotas = Quotas(metrics)
        return cls(process or ProcessShare(), metrics, quotas, Health(metrics, quotas), RecentErrors(metrics))
