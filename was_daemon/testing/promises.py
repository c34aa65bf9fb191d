"""Promises of a store, and whether they are kept."""

from collections.abc import Awaitable, Callable

import attrs

from was_daemon.model.errors import AssetError
from was_daemon.telemetry.redaction import without_secrets


class PromiseBroken(Exception):
    """The store broke a promise; the message says how, and what that costs."""


class NotTried(Exception):
    """The promise cannot be tried on this store; the message, if any, says what that means."""


@attrs.frozen
class PromiseResult:
    """Result of trying one promise, which is a sentence; `problem` is None when it was kept, or not tried.

    `error` is what the store raised, if that is the problem; `remark` says what it means that it was not tried.
    """

    promise: str
    problem: str | None
    tried: bool = True
    error: AssetError | None = None
    remark: str = ""


async def try_promise(promise: str, attempt: Callable[[], Awaitable[None]]) -> PromiseResult:
    """Fire with whether `attempt` keeps `promise`."""
    try:
        await attempt()
    except NotTried as untried:
        return PromiseResult(promise, None, tried=False, remark=str(untried))
    except PromiseBroken as error:
        return PromiseResult(promise, str(error))
    except AssetError as error:
        reason = f" ({error.reason})" if error.reason else ""
        return PromiseResult(promise, f"{type(error).__name__}: {error}{reason}", error=error)
    except Exception as error:
        # A store that raises anything else breaks its contract; the operator is told instead of shown a traceback.
        return PromiseResult(promise, without_secrets(f"unexpected {type(error).__name__}: {error}"))
    return PromiseResult(promise, None)


def expect(kept: bool, problem: str) -> None:
    """Raise `PromiseBroken` with the problem unless the promise is `kept`."""
    if not kept:
        raise PromiseBroken(problem)
