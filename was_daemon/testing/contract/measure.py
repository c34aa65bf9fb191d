"""Measurements of this process."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SLEEP = "time.sleep"
_BLOCKING = frozenset(
    {
        *(_SLEEP, "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"),
        *("subprocess.Popen", "os.system", "sqlite3.connect"),
        *("urllib.Request", "http.client.connect", "ftplib.connect"),
    }
)
"""Audit events (see `sys.addaudithook`) of calls that wait for something else than a local file."""

_recorders: list[tuple[int, list[str]]] = []
"""Threads whose blocking calls are recorded, and the records. An audit hook cannot be removed, so there is only one."""

_is_hooked = False


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes; 0 where the system does not tell it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def open_descriptors() -> int:
    """Return the number of open files and sockets of this process; 0 where the system does not tell it."""
    try:
        return len(list(Path("/proc/self/fd").iterdir()))
    except OSError:
        return 0


@contextmanager
def blocking_calls() -> Iterator[list[str]]:
    """Yield a list to which the names of blocking calls in this thread are added, such as "time.sleep"."""
    global _is_hooked
    if not _is_hooked:
        _is_hooked = True
        sys.addaudithook(_record)
    found: list[str] = []
    recorder = threading.get_ident(), found
    _recorders.append(recorder)
    sleep = time.sleep

    def recorded_sleep(seconds: Any) -> None:
        # Python has no event for it before 3.13.
        sys.audit(_SLEEP, seconds)
        sleep(seconds)

    time.sleep = recorded_sleep
    try:
        yield found
    finally:
        time.sleep = sleep
        _recorders.remove(recorder)


def _record(event: str, arguments: tuple[Any, ...]) -> None:
    if not _recorders:
        return
    if event in _BLOCKING or (event == "socket.connect" and arguments[0].getblocking()):
        for thread, found in _recorders:
            if thread == threading.get_ident():
                found.append(event)
