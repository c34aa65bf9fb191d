"""Check of the limits of the daemon's process: open files, and memory against what workers may use."""

import re
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from was_daemon.doctor.findings import Finding, failed, ok, warning
from was_daemon.doctor.patient import Patient
from was_daemon.doctor.unit import drop_in
from was_daemon.model.sizes import readable

_NAME = "limits"
_LEAST_FILES = 4096
_BASE = 256 << 20
"""Memory of a daemon without its workers: 120 MB as measured, and room for many connections."""

_UNLIMITED = 1 << 60
_MACHINE = "this machine"
_CGROUPS = Path("/sys/fs/cgroup")
_MEMORY = re.compile(r"^MemTotal:\s+([0-9]+) kB$", re.MULTILINE)
_OPEN_FILES = re.compile(r"^Max open files\s+\S+\s+([0-9]+|unlimited)", re.MULTILINE)


def look(patient: Patient) -> Iterator[Finding]:
    """Yield limits that are too low."""
    files = _open_files(patient)
    told = [f"{files if files < _UNLIMITED else 'any number of'} open files"]
    found = []
    if files < _LEAST_FILES:
        line = f"LimitNOFILE={16 * _LEAST_FILES}"
        remedy = (
            drop_in(patient.machine.unit, "limits", line) if patient.unit_in_use else f"ulimit -Hn {16 * _LEAST_FILES}"
        )
        message = f"the daemon may open {files} files: a connection takes one to three, and further ones are refused"
        found.append(warning(_NAME, message, remedy))
    limits = dict(_memory(patient))
    if patient.settings and limits:
        where, least = min(limits.items(), key=lambda item: item[1])
        told.append(f"{readable(least)} of memory")
        found += _of_workers(patient, where, least)
    yield from found
    if not found:
        yield ok(_NAME, ", ".join(told))


def _open_files(patient: Patient) -> int:
    """Return how many files the daemon may open; it raises its own limit as far as it may."""
    with suppress(OSError):
        pid = patient.machine.unit.main_pid if patient.unit_in_use else 0
        if pid:
            match = _OPEN_FILES.search(Path(f"/proc/{pid}/limits").read_text())
            return int(match[1]) if match and match[1].isdigit() else _UNLIMITED
    text = patient.machine.unit.properties.get("LimitNOFILE", "") if patient.unit_in_use else ""
    if text.isdigit():
        return int(text)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _UNLIMITED if most == resource.RLIM_INFINITY else most


def _memory(patient: Patient) -> Iterator[tuple[str, int]]:
    """Yield the limits of memory: of the machine, of the control groups of this process, and of the unit."""
    with suppress(OSError):
        match = _MEMORY.search(Path("/proc/meminfo").read_text())
        if match:
            yield _MACHINE, int(match[1]) << 10
    for limit in ("MemoryMax", "MemoryHigh") if patient.unit_in_use else ():
        text = patient.machine.unit.properties.get(limit, "")
        if text.isdigit() and int(text) < _UNLIMITED:
            yield f"{limit}= of {patient.machine.unit.name}", int(text)
    if not patient.unit_in_use:
        yield from _of_control_groups()


def _of_control_groups() -> Iterator[tuple[str, int]]:
    with suppress(OSError):
        line = next(
            (each for each in Path("/proc/self/cgroup").read_text().splitlines() if each.startswith("0::")), "0::/"
        )
        group = _CGROUPS / line.partition("::")[2].lstrip("/")
        for place in (group, *group.parents):
            if not place.is_relative_to(_CGROUPS):
                break
            with suppress(OSError, ValueError):
                yield f"memory.max of {place}", int((place / "memory.max").read_text())


def _of_workers(patient: Patient, where: str, most: int) -> Iterator[Finding]:
    settings = patient.known
    workers, each = max(settings.thumbnails.workers, settings.server.workers), settings.thumbnails.memory
    base = _BASE * settings.server.workers
    fitting = max(1, (most - base) // each)
    more = f"more memory for {where}" if where == _MACHINE else f"a higher {where}"
    told = f"{where} is {readable(most)}" if where != _MACHINE else f"{where} has {readable(most)}"
    if most < base:
        yield failed(
            _NAME, f"{told}, less than the daemon needs without its workers ({readable(base)})", f"Give it {more}."
        )
    elif each + base > most:
        yield warning(
            _NAME,
            f"{told}, and a worker may use {readable(each)} (thumbnails.memory): a large picture may end it, or others",
            f"[thumbnails] workers = 1 in {patient.name_of_config}, and {more}",
        )
    elif workers * each + base > most and where != _MACHINE:
        # Of a whole machine, others may be told to swap; a control group kills.
        yield warning(
            _NAME,
            f"{told}, and {workers} workers may use {readable(each)} each (thumbnails.memory), together more: large "
            "pictures at the same time may end them",
            f"[thumbnails] workers = {fitting} in {patient.name_of_config}, or {more}",
        )
