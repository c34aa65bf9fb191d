"""Twisted's reactor for commands, with an orderly end when a command is interrupted."""

import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import click
from twisted.internet import task
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorCore, IReactorFromThreads
from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    PredicateResult,
    formatEvent,
    globalLogBeginner,
    textFileLogObserver,
)
from zope.interface import implementer, provider

from was_daemon.cli.lost_output import drop_output, has_reader, is_about_output
from was_daemon.cli.refused import refusal
from was_daemon.model.errors import AssetError

RESUMED = "Start it again to go on."
"""Advice after an interruption of a command that does only what is left to do."""

_DISKS = "was_daemon.concurrency.disk_threads.DiskThreads"
"""The namespace of log events on errors of disks, which a report has as findings."""

_log = Logger()

Work = Callable[[], Coroutine[Deferred[Any], Any, int]]


@implementer(ILogObserver)
class Remarks:
    """Warnings and errors from the log during a report, to be printed below it, without time and module.

    Errors of disks are left out, since they are findings of the report. Faults of the program are printed at once, with
    their traceback.
    """

    def __init__(self) -> None:
        self.texts: dict[str, None] = {}
        """Each text once, in the order in which they came."""
        self._print = textFileLogObserver(sys.stderr)

    def __call__(self, event: LogEvent) -> None:
        """Keep what an event says."""
        if event["log_level"] is LogLevel.critical:
            self._print(event)
        elif event["log_namespace"] != _DISKS:
            self.texts[formatEvent(event)] = None


def run(work: Work, afterwards: str = "", failure: int = 1, is_report: bool = False) -> NoReturn:
    """Run `work` in the reactor and exit with its result, or `failure` and a line on stderr after an error or a signal.

    SIGINT and SIGTERM cancel `work`, so that its `finally` and `except` clauses run. `afterwards` is printed then. When
    the reader of the output has gone, as after `| head`, it exits with `failure` and prints nothing; when the output is
    a file on a full disk, with a line. The log is not mixed with the output of a report: see `Remarks`.
    """
    if is_report:
        work = _with_remarks(work)
    else:
        log_warnings()
    task.react(lambda reactor: Deferred.fromCoroutine(_run(reactor, work, afterwards, failure)))


def _with_remarks(work: Work) -> Work:
    """Return `work` that prints warnings from the log at its end."""
    remarks = Remarks()
    _log_warnings_to(remarks)

    async def remarked() -> int:
        try:
            return await work()
        finally:
            for text in remarks.texts if has_reader() else ():
                click.echo(text, err=True)

    return remarked


async def _run(reactor: IReactorCore, work: Work, afterwards: str, failure: int) -> None:
    under_way = Deferred.fromCoroutine(work())

    def interrupt(*_: object) -> None:
        IReactorFromThreads(reactor).callFromThread(under_way.cancel)

    def handle_signals() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, interrupt)

    # The reactor sets handlers of its own when it starts.
    reactor.callWhenRunning(handle_signals)
    try:
        code = await under_way
    except CancelledError:
        click.echo(f"Interrupted. {afterwards}".rstrip(), err=True)
        code = failure
    except AssetError as error:
        click.echo(f"Error: {error} ({error.reason})" if error.reason else f"Error: {error}", err=True)
        code = failure
    except PermissionError as error:
        click.echo(refusal(error), err=True)
        code = failure
    except Exception as error:
        if is_about_output(error):
            drop_output(error)
        else:
            _log.failure("The command failed")
        code = failure
    if code:
        raise SystemExit(code)


def log_warnings() -> None:
    """Print warnings and errors from the log to stderr, for instance how to add the host key of an SFTP server."""
    _log_warnings_to(textFileLogObserver(sys.stderr))


@provider(ILogFilterPredicate)
def _while_it_is_read(_event: LogEvent) -> Any:
    """Drop events once the reader of the output has gone: they are about what is being cancelled for it."""
    return PredicateResult.maybe if has_reader() else PredicateResult.no


def _log_warnings_to(observer: ILogObserver) -> None:
    from_warnings_on = LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)
    filtered = FilteringLogObserver(observer, [from_warnings_on, _while_it_is_read])
    globalLogBeginner.beginLoggingTo([filtered], redirectStandardIO=False)
