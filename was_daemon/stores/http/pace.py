"""Lower limit for the rate at which a remote store sends the bytes of a file."""

from was_daemon.model.errors import StoreTimeout

MIN_RATE = 1 << 10
"""Bytes a second that a store has to send at least: a modem did more. A photograph would take hours."""

_WINDOW = 2
"""How many times its patience a `Pace` looks at together: a store may take its time for the first bytes."""


class Pace:
    """Rate of the bytes of one body, or one range, each of which comes before the reader's `patience` is over.

    Only the time counts in which the reader waits for the store; `waited` is how many seconds it has done so before.
    """

    def __init__(self, patience: float, waited: float = 0.0) -> None:
        self._patience = patience
        self._begin = waited
        self._size = 0

    def arrived(self, size: int, waited: float) -> None:
        """Count bytes; raise `StoreTimeout` when there were too few of late. `waited` is all time waited so far."""
        self._size += size
        seconds = waited - self._begin
        if seconds < _WINDOW * self._patience:
            return
        if self._size < MIN_RATE * seconds:
            raise StoreTimeout("the store sends less than a kilobyte a second")
        self._begin, self._size = waited, 0
