"""Ports for servers under test."""

import os
import random
import socket
import time
from contextlib import suppress
from itertools import cycle

_FIRST_ALLOWED = 10_081
"""Browsers refuse some ports below, which other protocols have (port blocking in the Fetch standard)."""

_FIRST_GIVEN = 32_768
"""The system gives connections ports from here on (net.ipv4.ip_local_port_range)."""

_SHARES = 8
"""Processes that run tests at the same time and have ports of their own."""

_SHARE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
_OWN = range(_FIRST_ALLOWED + _SHARE, _FIRST_GIVEN, _SHARES)
_ports = cycle(random.sample(_OWN, len(_OWN)))


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses, and that no connection is given before whoever wants it listens.

    Nor is it given here again before all others were.
    """
    while True:
        port = next(_ports)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("0.0.0.0", port))
            return port


def await_free(port: int) -> None:
    """Wait until nobody listens on a port of 127.0.0.1 any more."""
    deadline = time.monotonic() + 60
    while not _can_listen(port):
        assert time.monotonic() < deadline, f"somebody listens on port {port}"
        time.sleep(0.01)


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        # Connections that are ending do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
