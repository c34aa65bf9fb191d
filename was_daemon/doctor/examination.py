"""All checks, made at the same time, each with a limit of time."""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import cast

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from was_daemon.concurrency.threads import Threads
from was_daemon.doctor import (
    addresses,
    certificates,
    clock,
    configuration,
    daemon,
    databases,
    disks,
    kernel,
    keys,
    limits,
    nginx,
    paths,
    ports,
    service,
    stores,
    versions,
)
from was_daemon.doctor.findings import Finding, State, failed, skipped
from was_daemon.doctor.patient import Patient

_SECONDS = 15.0
_MOST_THREADS = 32
_LACK_OF_RIGHTS = re.compile(
    r"permission denied|cannot be (?:read|opened)|by this user|readonly database|unable to open"
)
"""Pattern of what is said of files on this machine that the caller may not use."""

_log = Logger()

Look = Callable[[Patient], Iterable[Finding]] | Callable[[Patient], Awaitable[Iterable[Finding]]]
"""A function that makes a check: one that blocks, which is called in a thread, or a coroutine function."""


@attrs.frozen
class Check:
    """One check: findings of this name, by a function that has so many `seconds`."""

    name: str
    look: Look
    needs_settings: bool = True
    seconds: float = _SECONDS


CHECKS = (
    Check("configuration", configuration.look, needs_settings=False),
    Check("service", service.look, needs_settings=False),
    Check("paths", paths.look),
    Check("disks", disks.look),
    Check("key", keys.look),
    Check("clock", clock.look, needs_settings=False),
    Check("ports", ports.look),
    Check("daemon", daemon.look),
    Check("address", addresses.look),
    Check("certificate", certificates.look),
    Check("nginx", nginx.look),
    Check("specify", keys.look_at_specify, needs_settings=False),
    Check("stores", stores.look),
    Check("databases", databases.look),
    Check("limits", limits.look, needs_settings=False),
    Check("kernel", kernel.look, needs_settings=False),
    Check("versions", versions.look, needs_settings=False),
)
"""All checks, in the order in which they are told: what is likely the cause of others comes first."""


async def examine(patient: Patient, tell: Callable[[Finding], object] = lambda _: None) -> list[Finding]:
    """Make all checks, and fire with what they find; `tell` is called with each finding as soon as it is its turn.

    Changes nothing, and takes no longer than the slowest check may. Close the stores afterwards.
    """
    threads = Threads("doctor", _MOST_THREADS)
    under_way = [Deferred.fromCoroutine(_made(check, patient, threads)) for check in CHECKS]
    found: list[Finding] = list(_of_user(patient))
    try:
        for finding in found:
            tell(finding)
        for each in under_way:
            for finding in await each:
                tell(finding)
                found.append(finding)
    finally:
        for each in under_way:
            each.addErrback(lambda failure: failure.trap(CancelledError))
            each.cancel()
    return found


def _of_user(patient: Patient) -> Iterator[Finding]:
    """Yield that the caller is not the daemon's user, so that much of what follows says little of the daemon."""
    if other := patient.other_user:
        yield failed(
            "user",
            f"this is {patient.account}, and the daemon is {other.name} ({other.why}): what {patient.account} may do, "
            "and may not, says nothing of the daemon",
            f"Run doctor as root or as {other.name}: sudo was-daemon doctor",
        )


async def _made(check: Check, patient: Patient, threads: Threads) -> Sequence[Finding]:
    from twisted.internet import reactor

    if check.needs_settings and patient.settings is None:
        return [skipped(check.name, "the configuration cannot be read")]
    try:
        found = await _begun(check, patient, threads).addTimeout(check.seconds, IReactorTime(reactor))
        return [_as_seen_by(patient, each) for each in found]
    except DeferredTimeout:
        return [failed(check.name, f"no answer within {check.seconds:g} s: a disk, a server or a resolver hangs")]
    except CancelledError:
        raise
    except Exception as error:
        _log.failure("The check {check} failed", check=check.name)
        return [failed(check.name, f"this check itself failed: {type(error).__name__}", "Please report it.")]


def _as_seen_by(patient: Patient, finding: Finding) -> Finding:
    """Return a finding, as one that nothing can be said if only the caller lacks a right that the daemon may have."""
    is_denied = finding.state in (State.FAILED, State.WARNING) and _LACK_OF_RIGHTS.search(finding.message.lower())
    if not patient.other_user or not is_denied:
        return finding
    return skipped(finding.check, f"{finding.message}, as {patient.account}", "sudo was-daemon doctor")


def _begun(check: Check, patient: Patient, threads: Threads) -> Deferred[list[Finding]]:
    look = check.look
    if inspect.iscoroutinefunction(look):
        return Deferred.fromCoroutine(look(patient)).addCallback(list)
    blocking = cast(Callable[[Patient], Iterable[Finding]], look)
    return threads.call(lambda: list(blocking(patient)))
