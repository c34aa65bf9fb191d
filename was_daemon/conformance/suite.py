"""The suite of all checks; the uploads of each are removed before the next."""

import time
from collections.abc import Iterator, Mapping

import attrs

from was_daemon.conformance import deletions, discovery, downloads, elsewhere, names, thumbnails, uploads
from was_daemon.conformance.check import Check
from was_daemon.conformance.client import Unanswered
from was_daemon.conformance.results import CheckFailed, CheckResult, CheckSkipped, CheckState
from was_daemon.conformance.server import Server

CHECKS = (
    *discovery.CHECKS,
    *elsewhere.CHECKS,
    *uploads.CHECKS,
    *downloads.CHECKS,
    *thumbnails.CHECKS,
    *names.CHECKS,
    *deletions.CHECKS,
)
_CLEAN_UP = ("clean-up", "nothing is left behind")


def run_checks(server: Server, collections: Mapping[str, str | None] | None = None) -> Iterator[CheckResult]:
    """Run all checks and yield their results; the checks of uploads also run in `collections`, given with their keys.

    A caller that stops early, or is interrupted, calls `server.clean_up` to remove the remaining uploads.
    """
    failures: dict[str, str] = {}
    for each, view in _planned(server, collections or {}):
        result = run_check(each, view, failures)
        server.clean_up()
        reason = result.title if result.state is CheckState.FAILED else failures.get(each.needs or "")
        if reason:
            failures[each.id] = reason
        yield result
    if server.not_deleted:
        yield CheckResult(*_CLEAN_UP, CheckState.FAILED, "all uploads to be removed", ", ".join(server.not_deleted))
    elif server.left_thumbnails:
        # Another check fails if the server still serves them.
        remark = f"the server has {', '.join(server.left_thumbnails)}"
        yield CheckResult(*_CLEAN_UP, CheckState.DIFFERS, remark=remark)
    else:
        yield CheckResult(*_CLEAN_UP, CheckState.PASSED)


def _planned(server: Server, collections: Mapping[str, str | None]) -> Iterator[tuple[Check, Server]]:
    yield from ((each, server) for each in CHECKS)
    for name, key in collections.items():
        view = attrs.evolve(server, collection=name, key=key)
        for each in uploads.CHECKS:
            if each.id in ("upload-specify7", "upload-specify6"):
                yield attrs.evolve(each, id=f"{each.id}-in-{name}", title=f"{each.title}, in {name}"), view
    yield from ((each, server) for each in discovery.FINAL_CHECKS)


def run_check(check: Check, server: Server, failures: Mapping[str, str]) -> CheckResult:
    """Run one check, or skip it; `failures` holds the titles of failed checks, by the ids that depend on them."""
    reason = failures.get(check.needs or "")
    if reason:
        return CheckResult(check.id, check.title, CheckState.SKIPPED, remark=f"as this failed: {reason}")
    start = time.monotonic()
    state, expected, got, remark = _result(check, server)
    return CheckResult(check.id, check.title, state, expected, got, remark, time.monotonic() - start)


def _result(check: Check, server: Server) -> tuple[CheckState, str, str, str]:
    try:
        difference = check.attempt(server)
    except CheckFailed as error:
        return CheckState.FAILED, error.expected, error.got, ""
    except Unanswered as error:
        return CheckState.FAILED, "an answer", str(error), ""
    except CheckSkipped as error:
        return CheckState.SKIPPED, "", "", str(error)
    return (CheckState.DIFFERS, "", "", difference) if difference else (CheckState.PASSED, "", "", "")
