"""All checks, one after the other; what each uploads is removed before the next."""

import time
from collections.abc import Iterator, Mapping

import attrs

from was_daemon.conformance import discovery, downloads, names, thumbnails, uploads
from was_daemon.conformance.check import Check
from was_daemon.conformance.http import Unanswered
from was_daemon.conformance.results import CheckFailed, CheckResult, CheckSkipped, CheckState
from was_daemon.conformance.server import Server

CHECKS = (
    *discovery.CHECKS,
    *uploads.CHECKS,
    *downloads.CHECKS,
    *thumbnails.CHECKS,
    *names.CHECKS,
)
_CLEAN_UP = ("clean-up", "nothing is left behind")


def run(server: Server, collections: Mapping[str, str | None] | None = None) -> Iterator[CheckResult]:
    """Make the checks, those of uploads in each of the further `collections` too, which are given with their keys.

    Who stops early, or is interrupted, has `server.clean_up` remove the rest.
    """
    bad: dict[str, str] = {}
    for each, view in _planned(server, collections or {}):
        result = attempt(each, view, bad)
        server.clean_up()
        reason = result.title if result.state is CheckState.FAILED else bad.get(each.needs or "")
        if reason:
            bad[each.id] = reason
        yield result
    if server.left:
        yield CheckResult(*_CLEAN_UP, CheckState.FAILED, "all uploads to be removed", ", ".join(server.left))
    else:
        yield CheckResult(*_CLEAN_UP, CheckState.PASSED)


def _planned(server: Server, collections: Mapping[str, str | None]) -> Iterator[tuple[Check, Server]]:
    yield from ((each, server) for each in CHECKS)
    for name, key in collections.items():
        view = attrs.evolve(server, collection=name, key=key)
        for each in uploads.CHECKS:
            if each.id in ("upload-specify7", "upload-specify6"):
                yield attrs.evolve(each, id=f"{each.id}-in-{name}", title=f"{each.title}, in {name}"), view
    yield from ((each, server) for each in discovery.LAST)


def attempt(check: Check, server: Server, bad: Mapping[str, str]) -> CheckResult:
    """Make one check; `bad` tells, for the ids of checks that did not go well, what was wrong."""
    reason = bad.get(check.needs or "")
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
