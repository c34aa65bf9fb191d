"""Ports for servers under test."""

import random
import socket
from contextlib import suppress

_FIRST_GIVEN = 32_768
"""The system gives connections ports from here on (net.ipv4.ip_local_port_range)."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses, and that no connection is given before whoever wants it listens."""
    while True:
        port = random.randrange(10_000, _FIRST_GIVEN)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("0.0.0.0", port))
            return port
