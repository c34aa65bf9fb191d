"""Directories of stores whose disk is gone, so that what is there is the mount point below it."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from was_daemon.doctor.patient import Patient
from was_daemon.doctor.stores import is_recorded
from was_daemon.stores.local.mounts import Mount, mount_of

_OF_STORE = "stores."
_EMPTY_DISK = {"lost+found"}


def is_bare(patient: Patient, root: Path, setting: str, known: Sequence[Mount]) -> bool:
    """Return whether `root`, a store's directory by `setting`, is likely the mount point of a disk that is gone.

    It is empty or missing, nothing is mounted on it, and it held a disk: by RequiresMountsFor= of the unit, or as the
    catalogue knows originals that are in it. Blocks.
    """
    real = Path(os.path.realpath(root))
    name = setting.removeprefix(_OF_STORE)
    files = patient.local_stores().get(name)
    if name == setting or not files or files.root != root or not _is_empty(root):
        return False
    mount = mount_of(root, known)
    if mount and mount.place == real:
        return False
    disks = patient.machine.unit.disks() if patient.unit_in_use else []
    return is_recorded(patient, name) or any(
        real.is_relative_to(each) and not (mount and mount.place.is_relative_to(each)) for each in disks
    )


def _is_empty(root: Path) -> bool:
    if not os.path.lexists(root):
        return True
    with suppress(OSError):
        return {each.name for each in root.iterdir()} <= _EMPTY_DISK
    return False
