"""Messages to systemd about the daemon: see sd_notify(3) and sd_watchdog_enabled(3).

The protocol is one datagram. The packages that speak it know a part of the messages, or bind to a library of systemd's.
"""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Messages to the service manager that `environ` names; without one nothing is sent."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        is_watched = int(environ.get("WATCHDOG_PID", os.getpid())) == os.getpid()
        self.watchdog_seconds = int(environ.get("WATCHDOG_USEC", 0)) / 1e6 if self._address and is_watched else 0.0
        """Watchdog interval in seconds; 0 without one."""

    def ready(self, status: str) -> None:
        """Say that the daemon listens, or has ended a reload."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Say that the daemon reads its configuration again."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str, seconds: float) -> None:
        """Say that the daemon stops, and may take so many seconds."""
        self._send("STOPPING=1", f"STATUS={status}", f"EXTEND_TIMEOUT_USEC={seconds * 1e6:.0f}")

    def alive(self) -> None:
        """Say that the reactor runs."""
        self._send("WATCHDOG=1")

    def _send(self, *assignments: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):
            # A service manager that is gone is ignored.
            sender.setblocking(False)
            sender.sendto("\n".join(assignments).encode(), self._address)
