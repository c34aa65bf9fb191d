"""Metrics of the process, as the service has them."""

import os
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from was_daemon.telemetry.own_process import OwnProcess


def test_they_are_there_where_the_unit_shows_nothing_but_processes(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to(f"/proc/{os.getpid()}")
    registry = CollectorRegistry()
    OwnProcess(registry, tmp_path)
    assert (registry.get_sample_value("process_resident_memory_bytes") or 0) > 1 << 20
    assert registry.get_sample_value("process_open_fds")
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    began = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")
    assert registry.get_sample_value("process_start_time_seconds") == pytest.approx(began, abs=10)
