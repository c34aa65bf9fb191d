"""Check of the stores: whether each can be reached and read. Nothing is written; `check-store` does that."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import aclosing, closing
from urllib.parse import quote

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from was_daemon.concurrency.waiting import together
from was_daemon.doctor.findings import Finding, failed, ok, warning
from was_daemon.doctor.patient import Patient
from was_daemon.model.composition import IComposedStore
from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.interfaces import AssetStat, IAssetStore, ILocalFiles, IReadOnly, IRooted, IUnlisted
from was_daemon.model.keys import AssetKey, Kind

_NAME = "stores"
_SECONDS = 12.0
_MISSING = "was-daemon-doctor-asks-for-what-nobody-has.jpg"
_READ_BYTES = 1 << 12


async def look(patient: Patient) -> Sequence[Finding]:
    """Fire with what is found of each store, all of them at the same time."""
    looks = [
        Deferred.fromCoroutine(_of_store(patient, name, store))
        for name, store in patient.stores.items()
        # Its parts are looked at.
        if not IComposedStore.providedBy(store)
    ]
    return [finding for findings in await together(looks) for finding in findings]


async def _of_store(patient: Patient, name: str, store: IAssetStore) -> Sequence[Finding]:
    from twisted.internet import reactor

    try:
        trial = Deferred.fromCoroutine(_trial(patient, name, store))
        return await trial.addTimeout(_SECONDS, IReactorTime(reactor))
    except AssetError as error:
        message = f"store {name} ({store}): {error}" + (f" ({error.reason})" if error.reason else "")
        return [failed(_NAME, message, _remedy(patient, name, store))]
    except DeferredTimeout:
        message = f"store {name} ({store}): no answer within {_SECONDS:g} s"
        return [failed(_NAME, message, _remedy(patient, name, store))]


def _remedy(patient: Patient, name: str, store: IAssetStore) -> str:
    if ILocalFiles.providedBy(store):
        root = ILocalFiles(store).root
        return f"ls -ld {root}; is its disk mounted? findmnt --target {root}"
    return f"was-daemon check-store {name} --config {patient.name_of_config}  # it writes some files, and removes them"


async def _trial(patient: Patient, name: str, store: IAssetStore) -> Sequence[Finding]:
    """Read, as the daemon does; raises `AssetError`."""
    found = []
    if IRooted.providedBy(store) and not await IRooted(store).exists():
        return [
            failed(
                _NAME,
                f"store {name} ({store}): there is no such directory: its name is mistyped, or its disk is not mounted",
                _remedy(patient, name, store),
            )
        ]
    directory = _directory(patient, name)
    missing = AssetKey(directory, Kind.ORIGINAL, _MISSING)
    try:
        await store.stat(missing)
    except AssetNotFound:
        pass
    else:
        found.append(warning(_NAME, f"store {name}: it says that it has {_MISSING}, which nobody has"))
    first = await _first(store, directory)
    if first is None and is_recorded(patient, name):
        found.append(
            failed(
                _NAME,
                f"store {name}: {store} is empty, and the catalogue has originals of it: is its disk mounted?",
                _remedy(patient, name, store),
            )
        )
    quirk = await _quirk(store, first) if first else None
    if quirk:
        found.append(warning(_NAME, f"store {name}: {quirk}", f"was-daemon check-store {name} says what else."))
    if not found:
        writes = " (read-only)" if IReadOnly.providedBy(store) else ""
        found.append(
            ok(
                _NAME,
                f"store {name}: {store}{writes} can be read" + (", and is empty" if _is_empty(store, first) else ""),
            )
        )
    return found


def _is_empty(store: IAssetStore, first: AssetKey | None) -> bool:
    return first is None and not IUnlisted.providedBy(store)


def _directory(patient: Patient, name: str) -> str:
    """Return the directory of a collection that is in the store."""
    settings = patient.known
    for each in settings.collections.map.values():
        if (each.store or settings.default_store) == name:
            return each.directory
    return ""


async def _first(store: IAssetStore, directory: str) -> AssetKey | None:
    if IUnlisted.providedBy(store):
        return None
    async with aclosing(store.list(directory, Kind.ORIGINAL)) as keys:
        async for key in keys:
            return key
    return None


async def _quirk(store: IAssetStore, key: AssetKey) -> str | None:
    """Read the beginning of an original; fire with what is odd in what the store tells of it."""
    stat = await store.stat(key)
    reader = await store.open(key)
    try:
        wanted, received = min(_READ_BYTES, reader.stat.size), 0
        async with aclosing(reader.read(0, wanted)) as chunks:
            async for chunk in chunks:
                received += len(chunk)
    finally:
        await reader.close()
    if received != wanted or (stat.etag == reader.stat.etag and stat.size != reader.stat.size):
        return "it tells other sizes than it sends"
    other = attrs.evolve(key, name=key.name.swapcase()) if key.name.isascii() else key
    if other != key and await _is_same(store, other, stat):
        return "names that differ in case only are the same file, so that an upload may replace another asset"
    return (
        None if stat.modified else "it tells no modification times, so that old thumbnails are not told from new ones"
    )


async def _is_same(store: IAssetStore, key: AssetKey, stat: AssetStat) -> bool:
    """Fire with whether a key leads to the version that another key has."""
    try:
        return (await store.stat(key)).etag == stat.etag
    except AssetNotFound:
        return False


def is_recorded(patient: Patient, name: str) -> bool:
    """Return whether the catalogue, if it is a file, has an original that is in the store."""
    path = patient.known.catalogue.path
    if not path or not os.access(path, os.R_OK | os.W_OK):
        return False
    query = "SELECT 1 FROM assets WHERE store = ? LIMIT 1"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=1)) as connection:
            return connection.execute(query, (name,)).fetchone() is not None
    except sqlite3.Error:
        # The check of databases tells.
        return False
