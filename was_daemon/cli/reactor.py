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
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from was_daemon.cli.lost_output import drop_output, is_about_output
from was_daemon.model.errors import AssetError

RESUMED = "Start it again to go on."
"""Advice after an interruption of a command that does only what is left to do."""

_log = Logger()

Work = Callable[[], Coroutine[Deferred[Any], Any, int]]


def run(work: Work, afterwards: str = "", failure: int = 1) -> NoReturn:
    """Run `work` in the reactor and exit with its result, or `failure` and a line on stderr after an error or a signal.

    SIGINT and SIGTERM cancel `work`, so that its `finally` and `except` clauses run. `afterwards` is printed then. When
    the reader of the output has gone, as after `| head`, it exits with `failure` and prints nothing; when the output is
    a file on a full disk, with a line.
    """
    log_warnings()
    task.react(lambda reactor: Deferred.fromCoroutine(_run(reactor, work, afterwards, failure)))


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
    from_warnings_on = LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)
    observer = FilteringLogObserver(textFileLogObserver(sys.stderr), [from_warnings_on])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
