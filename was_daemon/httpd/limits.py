"""The limits on clients' connections."""

import attrs


@attrs.frozen
class ConnectionLimits:
    """Limits on client connections.

    `per_address` is a number of connections, 0 for no limit. Times are in seconds, rates in bytes per second.
    """

    per_address: int
    header_timeout: float
    idle_timeout: float
    min_rate: int

    def seconds_for(self, size: int) -> float:
        """Return how long a client may take to send or receive `size` bytes."""
        return self.idle_timeout + size / self.min_rate
