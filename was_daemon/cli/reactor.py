"""Running a command's work in Twisted's reactor, and letting it end well when it is interrupted."""

import os
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
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from was_daemon.model.errors import AssetError

RESUMED = "Start it again to go on."
"""What to do after an interruption of a command that does only what is left to do."""

Work = Callable[[], Coroutine[Deferred[Any], Any, int]]


def run(work: Work, afterwards: str = "") -> NoReturn:
    """Do `work` and exit with what it returns; 1 when it is interrupted or a store fails, with a line on stderr.

    `afterwards` says what there is to do after an interruption. When nobody reads the output any more, as after `head`
    has ended, it exits with 1 and says nothing.

    A signal cancels what is under way, so that `finally` and `except` clauses still have their turn.
    """
    log_warnings()
    task.react(lambda reactor: Deferred.fromCoroutine(_run(reactor, work, afterwards)))


async def _run(reactor: IReactorCore, work: Work, afterwards: str) -> None:
    under_way = Deferred.fromCoroutine(work())

    def interrupt(*_: object) -> None:
        IReactorFromThreads(reactor).callFromThread(under_way.cancel)

    def heed_signals() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, interrupt)

    # The reactor sets handlers of its own when it starts.
    reactor.callWhenRunning(heed_signals)
    try:
        code = await under_way
    except CancelledError:
        click.echo(f"Interrupted. {afterwards}".rstrip(), err=True)
        code = 1
    except BrokenPipeError:
        # What is still in the buffer would raise it again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except AssetError as error:
        click.echo(f"Error: {error}", err=True)
        code = 1
    if code:
        raise SystemExit(code)


def log_warnings() -> None:
    """Print the log's warnings: a store tells its operator there, for instance, how to add a host key."""
    from_warnings_on = LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)
    observer = FilteringLogObserver(textFileLogObserver(sys.stderr), [from_warnings_on])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
