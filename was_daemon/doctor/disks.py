"""Check of the file systems: mounted, writable, of a kind that fits, with free space and inodes."""

import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from was_daemon.doctor.account import obstacle
from was_daemon.doctor.findings import Finding, failed, ok, warning
from was_daemon.doctor.paths import Need, needs
from was_daemon.doctor.patient import Patient
from was_daemon.model.sizes import readable
from was_daemon.stores.local.mounts import Mount, mount_of, mounts, unmounted

_NAME = "disks"
_SQLITE = ("catalogue", ".journal")
"""Ends of the settings in whose places there are SQLite files; the quotas of collections are in the spool."""
_FEW_INODES = 1000
_SHORT = 4
"""Free bytes in multiples of `min_free` below which there is a warning."""

_FULL_PERCENT = 95
_IN_CONTAINER = (Path("/.dockerenv"), Path("/run/.containerenv"))
_KEPT = ("stores.", "catalogue")
"""Beginnings of the settings whose files have to be there after a restart."""


def look(patient: Patient) -> Iterator[Finding]:
    """Yield what is wrong with the file systems of the paths that the daemon writes to, and how full they are."""
    known, settings = mounts(), patient.known
    has_quotas = any(each.quota is not None for each in settings.collections.map.values())
    sqlite = (*_SQLITE, "spool.path") if has_quotas else _SQLITE
    seen: set[tuple[str, Path | None]] = set()
    filled: dict[int, Finding] = {}
    for need in needs(patient):
        mount = mount_of(need.path, known)
        # What is said of a store counts for all directories in it that are on the same file system.
        place = (need.setting, mount.place if mount else None)
        if _is_looked_at(need) and place not in seen:
            seen.add(place)
            yield from _missing(patient, need, known)
            if mount:
                yield from (*_kind(patient, need, mount, sqlite), *_kept_read_only(patient, need, mount))
        if need.is_written:
            with suppress(OSError):
                existing = _existing(need.path)
                filled.setdefault(existing.stat().st_dev, _space(existing, settings.limits.min_free))
    yield from filled.values()


def _is_looked_at(need: Need) -> bool:
    return need.is_written or need.setting.startswith(_KEPT)


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _missing(patient: Patient, need: Need, known: list[Mount]) -> Iterator[Finding]:
    missing = unmounted(need.path, known, patient.required_units)
    if missing:
        yield failed(
            _NAME,
            f"nothing is mounted on {missing.place}, where {missing.wanted_by} wants a disk, and {need.path} is to be "
            "on it",
            missing.remedy,
        )


def _kind(patient: Patient, need: Need, mount: Mount, sqlite: tuple[str, ...]) -> Iterator[Finding]:
    where = f"{need.path} is on {mount.source} ({mount.kind})"
    if mount.is_read_only and need.is_written and not _is_kept_by_unit(patient, need):
        # The sandbox of a daemon that was started meanwhile stays read-only.
        again = f" && {{ {patient.restart}; }}" if patient.unit_in_use else ""
        remedy = f"dmesg | tail, then: mount -o remount,rw {shlex.quote(str(mount.place))}{again}"
        yield failed(_NAME, f"{where}, which is mounted read-only at {mount.place}", remedy)
    if mount.is_network and need.setting.endswith(sqlite):
        yield failed(
            _NAME,
            f"{where}, and SQLite needs a local disk: files on a network are damaged when two programs write to them",
            f"Move it to a local disk, and name it there in {need.setting}.",
        )
    if not need.setting.startswith(_KEPT):
        return
    if mount.is_memory:
        yield warning(_NAME, f"{where}, in memory: it is lost when the machine stops", "Choose a directory on a disk.")
    elif mount.kind == "overlay" and any(each.exists() for each in _IN_CONTAINER):
        yield warning(
            _NAME, f"{where}: it is lost with the container", f"docker run --volume attachments:{need.path} ..."
        )
    elif mount.ignores_case and need.setting.startswith("stores."):
        yield warning(
            _NAME,
            f"{where}, where names that differ in case only are usually the same file",
            "was-daemon check-store NAME says whether they are.",
        )


def _is_kept_by_unit(patient: Patient, need: Need) -> bool:
    return patient.unit_in_use and patient.machine.unit.keeps_read_only(need.path) is not None


def _kept_read_only(patient: Patient, need: Need, mount: Mount) -> Iterator[Finding]:
    """Yield that a path is read-only in the running daemon's mount namespace, and writable outside it.

    The namespace is made at the start of the unit: a disk that was read-only then stays so in it, and of a directory
    that was removed and made again it has the one that is gone.
    """
    if not patient.unit_in_use or mount.is_read_only or not need.is_written or _is_kept_by_unit(patient, need):
        return
    seen = mount_of(need.path, patient.machine.seen_mounts)
    # What the daemon's user may not write to, as the place of a disk that is gone, needs another remedy first.
    if seen and seen.is_read_only and not obstacle(patient.account, need.path, os.W_OK):
        message = f"only the running daemon sees {need.path} read-only, as it was mounted when it was started"
        yield failed(_NAME, f"{message}, or before the directory was made again", patient.restart)


def _space(place: Path, min_free: int) -> Finding:
    status = os.statvfs(place)
    free, inodes = status.f_bavail * status.f_frsize, status.f_favail
    if not status.f_blocks:
        return ok(_NAME, f"{place}: the file system does not tell its free space")
    used = 100 - 100 * status.f_bavail // max(1, status.f_blocks - status.f_bfree + status.f_bavail)
    told = f"{place}: {readable(free)} free, {used} % used"
    find = f"du --one-file-system --human-readable --max-depth=2 {shlex.quote(str(place))} | sort -h | tail"
    if free < min_free:
        return failed(_NAME, f"{told}: less than limits.min_free ({readable(min_free)}), so uploads are refused", find)
    # Some file systems have no fixed number of inodes.
    if status.f_files and inodes < _FEW_INODES:
        return failed(
            _NAME,
            f"{told}, but only {inodes} inodes, without which no file can be made",
            f"df --inodes {shlex.quote(str(place))}, then remove small files that nobody needs",
        )
    if free < _SHORT * min_free:
        return warning(_NAME, f"{told}: soon less than limits.min_free ({readable(min_free)})", find)
    if status.f_files and 100 - 100 * inodes // status.f_files >= _FULL_PERCENT:
        return warning(_NAME, f"{told}, and {inodes} of {status.f_files} inodes", f"df --inodes {place}")
    return ok(_NAME, told + (f", {inodes} inodes" if status.f_files else ""))
