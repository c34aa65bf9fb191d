"""The daemon's log file, as text or JSON.

`DaemonLog` takes the place of twistd's own observer, and writes to the file that twistd's options name. It can write
JSON. Access log lines go to it directly: the detour over Twisted's log costs more than everything else about a line.
"""

import json
import signal
import sys
import time
from collections.abc import Mapping
from typing import IO, Any

from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import (
    ILogObserver,
    LogEvent,
    eventAsText,
    formatEventAsClassicLogText,
    formatTime,
)
from twisted.python.compat import ioType
from twisted.python.logfile import LogFile
from zope.interface import implementer

_DEFAULT_FILE = "twistd.log"

PLAIN, WHOLE = "plain", "whole"
"""Forms of the log of one of several daemons: lines without a time, for a parent that logs by other means than a
`DaemonLog`, and lines as they are in the parent's file."""


@implementer(ILogObserver)
class DaemonLog:
    """Log observer that writes each event to `file`: as text or, with `as_json`, as a line of JSON."""

    def __init__(self, file: IO[Any], as_json: bool = False) -> None:
        self.as_json = as_json
        self._file = file
        self._is_binary = ioType(file) is bytes
        self._second = 0
        self._stamp = ""

    def __call__(self, event: LogEvent) -> None:
        """See `ILogObserver`."""
        text = _as_json(event) if self.as_json else formatEventAsClassicLogText(event)
        if text:
            self.write_lines(text)

    def write(self, line: str) -> None:
        """Write a formatted line, given without its line break."""
        self.write_lines(f"{line}\n")

    def write_lines(self, lines: str) -> None:
        """Write formatted lines, given with their line breaks."""
        self._file.write(lines.encode() if self._is_binary else lines)
        self._file.flush()

    def timestamp(self) -> str:
        """Return the time as text lines begin with it."""
        now = int(time.time())
        if now != self._second:
            self._second, self._stamp = now, formatTime(now)
        return self._stamp


def _as_json(event: LogEvent) -> str | None:
    text = eventAsText(event, includeTimestamp=False, includeSystem=False)
    if not text:
        return None
    level = event.get("log_level")
    document = {
        "time": iso_timestamp(event.get("log_time", time.time())),
        "level": level.name if level else "info",
        "logger": event.get("log_namespace", "-"),
        "message": text,
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def iso_timestamp(moment: float) -> str:
    """Return `moment`, in Unix seconds, as ISO 8601 with milliseconds, in UTC."""
    whole, milliseconds = divmod(int(moment * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{milliseconds:03}Z"


def open_log(options: Mapping[str, Any]) -> DaemonLog | None:
    """Return a log to the file that twistd's `options` name; None when they ask for another kind of log.

    As with twistd, SIGUSR1 rotates the file.
    """
    name = options.get("logfile")
    nodaemon = options.get("nodaemon")
    if options.get("logger") or options.get("syslog") or (name == "-" and not nodaemon):
        return None
    if name == "-" or (nodaemon and not name):
        return DaemonLog(sys.stdout)
    file = LogFile.fromFullPath(name or _DEFAULT_FILE)
    if not signal.getsignal(signal.SIGUSR1):
        signal.signal(signal.SIGUSR1, lambda *_: _rotate(file))
    return DaemonLog(file)


def _rotate(file: LogFile) -> None:
    from twisted.internet import reactor

    IReactorFromThreads(reactor).callFromThread(file.rotate)
