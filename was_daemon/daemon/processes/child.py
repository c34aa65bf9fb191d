"""The start of a daemon by its parent: `main` does what `twistd was` does."""

import os
import sys

from twisted.internet.interfaces import IReactorCore
from twisted.logger import FileLogObserver, LogEvent, eventAsText, globalLogBeginner

from was_daemon.concurrency.child_processes import PARENT, end_with_parent
from was_daemon.daemon.service import Options, assemble
from was_daemon.telemetry.logs import WHOLE, DaemonLog


def main() -> None:
    """Run a daemon; the arguments are the form of its log, and the options of `twistd was`."""
    from twisted.internet import reactor

    # A parent that is killed while this process starts would leave it behind, with its sockets and its locks.
    end_with_parent(int(os.environ.pop(PARENT)))
    form, *arguments = sys.argv[1:]
    options = Options()
    options.parseOptions(arguments)
    log = DaemonLog(sys.stdout) if form == WHOLE else None
    service = assemble(options, log)
    globalLogBeginner.beginLoggingTo([log or FileLogObserver(sys.stdout, _plain)])
    core = IReactorCore(reactor)
    service.privilegedStartService()
    service.startService()
    core.addSystemEventTrigger("before", "shutdown", service.stopService)
    core.run()


def _plain(event: LogEvent) -> str:
    return eventAsText(event, includeTimestamp=False, includeSystem=False) + "\n"
