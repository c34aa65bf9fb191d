"""Handlers of the signals that reload and stop the daemon."""

import os
import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorFromThreads


class Signals:
    """Handlers of signals: SIGHUP calls `reload`, SIGTERM and SIGINT call `stop` with their name, in the reactor.

    Loss of the controlling terminal also arrives as SIGHUP, and stops the daemon.
    """

    def __init__(self, reload: Callable[[], None], stop: Callable[[str], None]) -> None:
        from twisted.internet import reactor

        self._reactor = IReactorFromThreads(reactor)
        self._reload = reload
        self._stop = stop
        self._has_terminal = False

    def heed_hangups(self) -> None:
        """Handle SIGHUP from now on; before, it would end the process."""
        self._has_terminal = _has_terminal()
        signal.signal(signal.SIGHUP, self._signalled)

    def heed_stops(self) -> None:
        """Replace the reactor's handlers, which make twistd exit with an error after SIGTERM."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, _frame: Any) -> None:
        self._reactor.callFromThread(self._heed, number)

    def _heed(self, number: int) -> None:
        if number == signal.SIGHUP and _has_terminal() == self._has_terminal:
            self._reload()
        else:
            self._stop(signal.Signals(number).name)


def _has_terminal() -> bool:
    """Return whether this process is controlled by a terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
