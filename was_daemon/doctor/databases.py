"""Check of the databases: the catalogue, its journal, and those of Specify, with what their accounts may do."""

import shlex
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, gatherResults

from was_daemon.config.settings import SpecifySettings
from was_daemon.doctor.findings import Finding, failed, ok, skipped, warning
from was_daemon.doctor.patient import Patient
from was_daemon.health.checks import path_of
from was_daemon.health.looks import Look, file_looks, look_at_specify
from was_daemon.model.errors import AssetError

_NAME = "databases"
_CLIENTS = {"postgresql": "psql", "mariadb": "mariadb", "mysql": "mariadb"}


async def look(patient: Patient) -> Sequence[Finding]:
    """Fire with what is found of each database, all of them at the same time."""
    settings = patient.known
    looks = [
        Deferred.fromCoroutine(_of_file(name, where, each, settings.catalogue.url))
        for name, (where, each) in file_looks(settings).items()
        # It is among the paths.
        if name != "spool"
    ]
    specify: Mapping[str, SpecifySettings] = settings.specify
    looks += [Deferred.fromCoroutine(_of_specify(name, each)) for name, each in specify.items() if each.url]
    if not looks:
        return [skipped(_NAME, "there is no [catalogue], and no [specify.NAME]")]
    return list(await gatherResults(looks))


async def _of_file(name: str, where: object, each: Look, url: str | None) -> Finding:
    try:
        await each()
    except AssetError as error:
        details = error.reason or path_of(error, None) or where
        return failed(_NAME, f"{name}: {error} ({details})", _remedy(where, url if name == "catalogue" else None))
    return ok(_NAME, f"{name}: {where} can be written to")


def _remedy(where: object, url: str | None) -> str:
    if url:
        return _connect(url)
    quoted = shlex.quote(str(where))
    return f"ls -l {quoted}*, and: sqlite3 {quoted} 'PRAGMA quick_check'"


def _connect(url: str) -> str:
    """Return the command with which to try an address by hand; it has no password in it."""
    parts = urlsplit(url)
    client = _CLIENTS[parts.scheme]
    if client == "psql":
        return f"psql {shlex.quote(url)} -c 'SELECT 1'"
    port = f" --port={parts.port}" if parts.port else ""
    return f"mariadb --host={parts.hostname}{port} --user={parts.username} --password {parts.path.strip('/')}"


async def _of_specify(name: str, settings: SpecifySettings) -> Finding:
    from was_daemon.specify.database import SpecifyDatabase

    url = settings.url or ""
    database = SpecifyDatabase(name, url, settings.password_file)
    where = str(database)
    try:
        rows, missing = await look_at_specify(database)
    except AssetError as error:
        return failed(_NAME, f"specify {name}: {error}: {error.reason} ({where})", _connect(url))
    user = urlsplit(url).username
    if rows < settings.min_rows:
        return failed(
            _NAME,
            f"specify {name}: {rows} attachments, fewer than min_rows ({where}): another database, or no rows for {user}",
            _connect(url),
        )
    if missing:
        grant = f"GRANT SELECT ON {urlsplit(url).path.strip('/')}.attachment TO {user}"
        return warning(_NAME, f"specify {name}: {rows} attachments, without {', '.join(missing)} ({where})", grant)
    return ok(_NAME, f"specify {name}: {rows} attachments can be read ({where})")
