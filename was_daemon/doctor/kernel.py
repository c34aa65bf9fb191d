"""Check of what the kernel offers to confine workers, as these use it."""

import platform
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from was_daemon.doctor.findings import Finding, ok, warning
from was_daemon.doctor.patient import Patient
from was_daemon.workers import landlock, sandbox

_NAME = "kernel"
_LISTED = Path("/sys/kernel/security/lsm")
_FIRST = "5.13"


def look(patient: Patient) -> Iterator[Finding]:
    """Yield what this kernel lacks."""
    lacks = sandbox.missing()
    for lack in lacks:
        yield warning(_NAME, f"Linux {platform.release()} lacks {lack}", _remedy(lack))
    if not lacks:
        yield ok(
            _NAME,
            f"Linux {platform.release()} has Landlock (version {landlock.version()}) and seccomp to confine workers",
        )


def _remedy(lack: str) -> str:
    if not lack.startswith("Landlock"):
        return "Use an x86-64 or ARM64 machine, and no container or kernel that forbids seccomp."
    with suppress(OSError):
        listed = _LISTED.read_text("ascii").strip()
        if "landlock" not in listed:
            return f"Add lsm=landlock,{listed} to GRUB_CMDLINE_LINUX in /etc/default/grub, then: update-grub && reboot"
    return (
        f"Use Linux {_FIRST} or later with Landlock, and a container runtime that allows it (docker 20.10.22 or later)."
    )
