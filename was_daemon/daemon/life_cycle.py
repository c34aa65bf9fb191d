"""Life cycle of a daemon process and of the parent of several: what both have in common."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IReactorCore
from twisted.logger import ILogObserver, Logger

from was_daemon.config.load import ConfigError
from was_daemon.config.settings import Settings
from was_daemon.daemon.failed_reload import keep_mistakes
from was_daemon.telemetry.logs import DaemonLog

T = TypeVar("T")

_log = Logger()

CLOSE_SECONDS = 5.0
"""Seconds that stores have to finish operations under way when the daemon ends."""

MAX_END_SECONDS = 2 * CLOSE_SECONDS
"""Seconds that the daemon may take to end after `shutdown_grace`."""

SERVING = "Serving"
OLD_CONFIGURATION = "Serving by the old configuration, the new one has mistakes"


class LoggedService(Service):
    """Service that has twistd write its log to `log`; with None, twistd's own observer does."""

    def __init__(self, log: DaemonLog | None) -> None:
        self._log = log

    def setServiceParent(self, parent: Any) -> None:
        """Join an application, and have twistd write its log as configured."""
        super().setServiceParent(parent)
        if self._log:
            parent.setComponent(ILogObserver, self._log)

    def _configure_log(self, settings: Settings) -> None:
        if self._log:
            self._log.as_json = settings.log.format == "json"


def stop_reactor() -> None:
    """Stop the reactor, unless it stops already: two signals at the same moment are one."""
    from twisted.internet import reactor

    with suppress(ReactorNotRunning):
        IReactorCore(reactor).stop()


def reloaded(build: Callable[[], T], console_directory: Path) -> T | None:
    """Return the result of `build`, which reads the configuration again; if it fails, log why and return None.

    The console is told by a file in its directory.
    """
    mistakes: Sequence[str] = ()
    try:
        return build()
    except ConfigError as error:
        mistakes = error.mistakes
        for mistake in error.mistakes:
            _log.error("The configuration has a mistake, so the old one stays in use: {mistake}", mistake=mistake)
    except Exception:
        _log.failure("The configuration could not be read again, so the old one stays in use")
        mistakes = ["the log says why it could not be read again"]
    finally:
        keep_mistakes(console_directory, mistakes)
    return None
