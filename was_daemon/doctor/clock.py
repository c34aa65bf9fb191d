"""Check of this machine's clock: whether the kernel counts it as synchronised; see adjtimex(2)."""

import ctypes
import os
import time
from collections.abc import Iterator
from pathlib import Path

from was_daemon.doctor.commands import CommandFailed, find_program, output_of
from was_daemon.doctor.findings import Finding, ok, skipped, warning
from was_daemon.doctor.patient import Patient

_NAME = "clock"
_UNSYNCHRONISED = 0x40
"""STA_UNSYNC."""

_ERROR = 5
"""State of adjtimex(2) of a clock that is not synchronised, TIME_ERROR."""

_SYNCHRONISED_FILE = Path("/run/systemd/timesync/synchronized")
_LARGEST_ERROR = 16_000_000
"""Microseconds from which on the kernel calls the clock unsynchronised."""

_SOURCES = ("systemd-timesyncd", "chronyd", "ntpd", "ntpsec", "openntpd")
_BEFORE = 24 * 3600


class _Timex(ctypes.Structure):
    """The beginning of `struct timex`, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def look(patient: Patient) -> Iterator[Finding]:
    """Yield whether the clock follows others, and whether it can be right at all; blocks."""
    installed = Path(__file__).stat().st_ctime
    if time.time() < installed - _BEFORE:
        yield warning(
            _NAME,
            f"the clock says {time.strftime('%Y-%m-%d %H:%M')}, which is before this program was installed",
            _remedy(),
        )
        return
    synchronised = is_synchronised()
    if synchronised is None:
        yield skipped(_NAME, "the kernel does not tell whether the clock follows others")
    elif synchronised:
        yield ok(_NAME, "follows others, as the kernel says")
    else:
        yield warning(
            _NAME,
            "the clock does not follow others (NTP): it goes wrong by seconds a week. Specify 7 and Specify 6 allow "
            "for that; other clients' tokens, and certificates, do not",
            _remedy(),
        )


def is_synchronised() -> bool | None:
    """Return whether the kernel counts its clock as synchronised; None if it does not tell."""
    libc = ctypes.CDLL(None, use_errno=True)
    timex = _Timex()
    state = libc.adjtimex(ctypes.byref(timex))
    if state >= 0:
        return bool(state != _ERROR and not timex.status & _UNSYNCHRONISED and timex.maxerror < _LARGEST_ERROR)
    if _SYNCHRONISED_FILE.exists():
        return True
    try:
        shown, _ = output_of(["timedatectl", "show", "--property=NTPSynchronized", "--value"])
    except CommandFailed:
        return None
    return {"yes": True, "no": False}.get(shown.strip())


def _remedy() -> str:
    running = [name for name in _SOURCES if _runs(name)]
    if "chronyd" in running:
        return "chronyc sources, and chronyc makestep"
    if running:
        return f"systemctl status {running[0]}: it runs, and reaches no server (UDP port 123)"
    if find_program("timedatectl") and os.path.isdir("/run/systemd/system"):  # noqa: PTH112  # as sd_booted(3) does
        return "apt install systemd-timesyncd && timedatectl set-ntp true"
    return "Synchronise the clock of the machine that this container or system runs on: timedatectl set-ntp true"


def _runs(name: str) -> bool:
    for process in Path("/proc").glob("[0-9]*/comm"):
        try:
            if process.read_text().strip() == name[:15]:
                return True
        except OSError:
            continue
    return False
