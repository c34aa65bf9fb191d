"""Check of the catalogue against the stores: the daemon makes a lost one anew, which knows no originals."""

import os
import shlex
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from was_daemon.concurrency.threads import Threads
from was_daemon.concurrency.waiting import together
from was_daemon.config.catalogue_settings import CatalogueSettings
from was_daemon.doctor.findings import Finding, failed, warning
from was_daemon.doctor.patient import Patient
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind

if TYPE_CHECKING:
    from sqlalchemy import Engine

_NAME = "databases"
_SECONDS = 12.0
_BROKEN = ("not a database", "malformed")


async def look(patient: Patient) -> Sequence[Finding]:
    """Fire with a warning for each store of whose originals the catalogue lacks most."""
    if not patient.known.catalogue.is_on or not patient.collections:
        return []
    found = await together([Deferred.fromCoroutine(_of_store(patient, name)) for name in _stores_in_use(patient)])
    return [each for each in found if each]


def is_broken(reason: str) -> bool:
    """Return whether SQLite means by `reason` that the content of a file is damaged."""
    return any(word in reason for word in _BROKEN)


def remedy_of_broken(patient: Patient, file: Path) -> str:
    """Return the commands that replace a damaged file of the catalogue, or of its journal."""
    shown = shlex.quote(str(file))
    is_catalogue = file == patient.known.catalogue.path
    backup = f"; if there is a backup: {_copied(file)}; then: " if is_catalogue else "; "
    return (
        f"{_stop(patient)}; mv {shown} {shown}.broken; rm -f {shown}-wal {shown}-shm{backup}{patient.restart}; "
        f"{_rebuild(patient)}"
    )


def _remedy_of_lost(patient: Patient) -> str:
    enters, file = f"{_rebuild(patient)} enters them", patient.known.catalogue.path
    if not file:
        return f"{enters}; if there is a backup, restore it before, by the tools of the database server"
    shown = shlex.quote(str(file))
    return (
        f"{enters}; if there is a backup, before that: {_stop(patient)}; rm -f {shown}-wal {shown}-shm; "
        f"{_copied(file)}; {patient.restart}"
    )


def _copied(file: Path) -> str:
    shown, directory = shlex.quote(str(file)), shlex.quote(str(file.parent))
    return f"cp BACKUP {shown}; chmod 600 {shown}; chown --reference={directory} {shown}"


def _stop(patient: Patient) -> str:
    return f"systemctl stop {patient.machine.unit.name}" if patient.unit_in_use else "stop the daemon"


def _rebuild(patient: Patient) -> str:
    return f"was-daemon catalogue rebuild --config {shlex.quote(patient.name_of_config)}"


def _stores_in_use(patient: Patient) -> Sequence[str]:
    """Return the names of the stores under which the catalogue records originals."""
    settings = patient.known
    named = [each.store or settings.default_store for each in settings.collections.map.values()]
    return list(dict.fromkeys(named or [settings.default_store]))


async def _of_store(patient: Patient, name: str) -> Finding | None:
    from twisted.internet import reactor

    try:
        return await Deferred.fromCoroutine(_compared(patient, name)).addTimeout(_SECONDS, IReactorTime(reactor))
    except (AssetError, DeferredTimeout):
        # The check of stores tells.
        return None


async def _compared(patient: Patient, name: str) -> Finding | None:
    from sqlalchemy.exc import SQLAlchemyError

    from was_daemon.catalogue.sample import is_lost, sample_of
    from was_daemon.catalogue.servers import UnreadablePassword, words_of

    store, settings, threads = patient.stores.get(name), patient.known.catalogue, Threads("doctor of records", 1)
    if store is None:
        return None
    directories = await threads.call(lambda: list(_directories(patient, name, store)))
    keys = await sample_of(store, directories)
    try:
        lacking = await threads.call(lambda: _unrecorded(settings, name, keys))
    except (SQLAlchemyError, sqlite3.Error) as error:
        reason = words_of(error)
        # Whether it can be used otherwise is told already.
        file = settings.path if is_broken(reason) else None
        return failed(_NAME, f"catalogue: {reason} ({file})", remedy_of_broken(patient, file)) if file else None
    except (OSError, UnreadablePassword):
        return None
    if not is_lost(lacking, keys):
        return None
    known = f"only {len(keys) - len(lacking)}" if len(lacking) < len(keys) else "none"
    return warning(
        _NAME,
        f"catalogue: of {len(keys)} originals in store {name}, it has {known}: it was lost, or is an old one, or was "
        "never filled",
        _remedy_of_lost(patient),
    )


def _directories(patient: Patient, name: str, store: IAssetStore) -> Iterator[str]:
    """Yield the directories of the collections that have their originals in a store. Blocks."""
    settings = patient.known
    if settings.collections.mode != "map" and patient.collections:
        yield from patient.collections.directories(store)
    for each in settings.collections.map.values():
        if (each.store or settings.default_store) == name:
            yield each.directory


def _unrecorded(settings: CatalogueSettings, store: str, keys: Sequence[AssetKey]) -> Sequence[AssetKey]:
    """Return those of the originals that neither the catalogue nor its journal has. Blocks."""
    known = {*_recorded(settings, store, keys), *_on_the_way(settings, store)} if keys else set()
    return [key for key in keys if key not in known]


def _recorded(settings: CatalogueSettings, store: str, keys: Sequence[AssetKey]) -> Collection[AssetKey]:
    from sqlalchemy import inspect

    from was_daemon.catalogue.records import listed
    from was_daemon.catalogue.schema import assets

    if settings.path and not _exists(settings.path):
        return []
    engine = _engine(settings)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table(assets.name):
                return []
            return listed(connection, store, keys)
    finally:
        engine.dispose()


def _engine(settings: CatalogueSettings) -> "Engine":
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    from was_daemon.catalogue.servers import server_engine, server_url

    file = settings.path
    if file:
        return create_engine("sqlite://", creator=lambda: _opened(file), poolclass=NullPool)
    return server_engine(server_url(settings.url or ""), _SECONDS, settings.password_file, poolclass=NullPool)


def _opened(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=1)


def _on_the_way(settings: CatalogueSettings, store: str) -> Collection[AssetKey]:
    """Return the originals whose changes have not come from the journal into the catalogue yet."""
    journal = settings.journal_path
    if not journal or not _exists(journal):
        return []
    with closing(_opened(journal)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        query = " UNION ".join(
            f"SELECT collection, name FROM {table} WHERE store = :store"  # noqa: S608
            for table in ("changes", "events")
            if table in tables
        )
        rows = connection.execute(query, {"store": store}) if query else ()
        return [AssetKey(collection, Kind.ORIGINAL, name) for collection, name in rows]


def _exists(file: Path) -> bool:
    """Return whether a file is there; raise `OSError` if it cannot be read as the daemon does."""
    try:
        file.stat()
    except FileNotFoundError:
        return False
    # SQLite would make its other files, which the daemon may then not write to.
    if not os.access(file, os.R_OK | os.W_OK):
        raise PermissionError
    return True
