"""Check of the databases: the catalogue, its journal, and those of Specify, with what their accounts may do."""

import shlex
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from was_daemon.concurrency.threads import Threads
from was_daemon.concurrency.waiting import together
from was_daemon.config.settings import SpecifySettings
from was_daemon.doctor import records
from was_daemon.doctor.findings import Finding, State, failed, ok, skipped, warning
from was_daemon.doctor.patient import Patient
from was_daemon.health.checks import path_of
from was_daemon.health.looks import Look, file_looks, look_at_specify
from was_daemon.model.errors import AssetError

P = ParamSpec("P")
T = TypeVar("T")

_NAME = "databases"
_MOST_SHOWN = 6
_SECONDS = 12.0


async def look(patient: Patient) -> Sequence[Finding]:
    """Fire with what is found of each database, all of them at the same time."""
    settings = patient.known
    looks = [
        _limited(name, _of_file(patient, name, where, each))
        for name, (where, each) in file_looks(settings).items()
        # It is among the paths.
        if name != "spool"
    ]
    looks += [
        _limited(f"specify {name}", _of_specify(name, each)) for name, each in settings.specify.items() if each.url
    ]
    if not looks:
        return [skipped(_NAME, "there is no [catalogue], and no [specify.NAME] with a url")]
    made: Sequence[Coroutine[Deferred[Any], Any, Sequence[Finding]]] = (together(looks), records.look(patient))
    found, lacking = await together(map(Deferred.fromCoroutine, made))
    return [*found, *(() if any(map(_is_of_unusable_catalogue, found)) else lacking)]


def _is_of_unusable_catalogue(finding: Finding) -> bool:
    """Return whether a finding is that nothing can be said of what the catalogue has."""
    return finding.state is State.FAILED and finding.message.startswith(("catalogue:", "journal:"))


def _limited(name: str, look: Coroutine[Deferred[Any], Any, Finding]) -> Deferred[Finding]:
    from twisted.internet import reactor

    def say(failure: Failure) -> Finding:
        failure.trap(DeferredTimeout)
        return failed(
            _NAME, f"{name}: no answer within {_SECONDS:g} s: see whether the server hangs, and for a firewall"
        )

    return Deferred.fromCoroutine(look).addTimeout(_SECONDS, IReactorTime(reactor)).addErrback(say)


async def _of_file(patient: Patient, name: str, where: object, each: Look) -> Finding:
    settings = patient.known.catalogue
    url = settings.url if name == "catalogue" else None
    try:
        await each()
    except AssetError as error:
        if isinstance(where, Path) and not where.parent.exists():
            # It is among the paths.
            return skipped(_NAME, f"{name}: {where.parent} does not exist")
        details = error.reason or path_of(error, None) or where
        return failed(
            _NAME, f"{name}: {error} ({details})", _connect(url) if url else _of_broken(patient, where, error)
        )
    if url:
        from was_daemon.doctor.rights import missing_for_catalogue

        missing = await _in_thread(missing_for_catalogue, url, settings.password_file)
        if missing:
            listed = ", ".join(missing[:_MOST_SHOWN])
            return failed(_NAME, f"{name}: the account of {where} has no right to {listed}", _grant(url))
    return ok(_NAME, f"{name}: {where} can be used")


def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
    return Threads("doctor of databases", 1).call(lambda: function(*args, **kwargs))


def _of_broken(patient: Patient, where: object, error: AssetError) -> str:
    """Return what mends a file that is damaged, or else a look at it."""
    if records.is_broken(f"{error} {error.reason}"):
        return records.remedy_of_broken(patient, Path(str(where)))
    quoted = shlex.quote(str(where))
    return f"ls -l {quoted}*, and: sqlite3 {quoted} 'PRAGMA quick_check'"


def _grant(url: str) -> str:
    parts = urlsplit(url)
    database, user = parts.path.strip("/"), parts.username
    if parts.scheme == "postgresql":
        return f"ALTER DATABASE {database} OWNER TO {user}, and the same for the tables in it"
    return f"GRANT ALL ON {database}.* TO {user}"


def _connect(url: str) -> str:
    """Return the command with which to try an address by hand; it has no password in it."""
    parts = urlsplit(url)
    if parts.scheme == "postgresql":
        return f"psql {shlex.quote(url)} -c 'SELECT 1'"
    port = f" --port={parts.port}" if parts.port else ""
    return f"mariadb --host={parts.hostname}{port} --user={parts.username} --password {parts.path.strip('/')}"


async def _of_specify(name: str, settings: SpecifySettings) -> Finding:
    from was_daemon.doctor.rights import needless_for_specify
    from was_daemon.specify.database import SpecifyDatabase

    url = settings.url or ""
    parts = urlsplit(url)
    database = SpecifyDatabase(name, url, settings.password_file)
    where = str(database)
    grant = f"GRANT SELECT ON {parts.path.strip('/')}.attachment TO {parts.username}"
    try:
        rows, missing = await look_at_specify(database)
    except AssetError as error:
        return failed(_NAME, f"specify {name}: {error}: {error.reason} ({where})", f"{_connect(url)}, or: {grant}")
    told = f"specify {name}: {rows} attachments"
    if rows < settings.min_rows:
        return failed(_NAME, f"{told}, fewer than min_rows ({where}): is it another database?", _connect(url))
    if missing:
        return warning(_NAME, f"{told}, without {', '.join(missing)} ({where})", grant)
    needless = await _in_thread(needless_for_specify, url, settings.password_file)
    if needless:
        listed = ", ".join(needless[:_MOST_SHOWN])
        revoke = f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {parts.username}; then: {grant}"
        return warning(_NAME, f"{told} ({where}), and the account may do more than read: {listed}", revoke)
    return ok(_NAME, f"{told} can be read ({where})")
