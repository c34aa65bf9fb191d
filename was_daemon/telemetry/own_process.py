"""Metrics of this process, also where only processes are seen in /proc."""

import time
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector


class OwnProcess(ProcessCollector):
    """The usual metrics of a process: its memory, its processor time, its open files.

    The library has none of them where it cannot read when the machine was started. The unit hides that by
    ProcSubset=pid; the system's clocks tell it, too.
    """

    def __init__(self, registry: CollectorRegistry, proc: Path = Path("/proc")) -> None:
        super().__init__(registry=registry, proc=str(proc))

    def _boot_time(self) -> float:
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
