"""Collection of what is stored, what the catalogue knows of it, and what Specify says, in a worktable."""

import os
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import lru_cache
from itertools import islice
from posixpath import splitext
from typing import Any

import attrs
from sqlalchemy import Connection, select

from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.schema import assets
from was_daemon.derivatives.pyramids import beginnings
from was_daemon.derivatives.thumbnail_files import beginning
from was_daemon.jobs.reconcile.oddities import oddity
from was_daemon.jobs.reconcile.spellings import meant_by
from was_daemon.jobs.reconcile.worktable import Worktable
from was_daemon.jobs.traverse import for_each
from was_daemon.library.collections import Place
from was_daemon.model.errors import BadName
from was_daemon.model.folding import folded
from was_daemon.model.interfaces import IAssetStore, ILocalFiles, IUnlisted
from was_daemon.model.keys import (
    MAX_DIGITS,
    PYRAMID_NAME,
    THUMBNAIL_NAME,
    AssetKey,
    Kind,
    check_name,
)
from was_daemon.model.lookup import find_stat
from was_daemon.specify.attachments import Attachment, Page
from was_daemon.specify.records import Source, records_after

_BATCH = 5000
_LOOKS_AT_ONCE = 16
_LONG = 60
"""Characters of a name from which on its derivatives may have shortened names; those with a "~" may have, too."""


@attrs.frozen
class Stored:
    """A stored file; size in bytes and time in Unix seconds are None where only a request for each would tell them."""

    name: str
    size: int | None = None
    modified: float | None = None


@attrs.frozen
class Collector:
    """Collector of what there is in `places`, which rows of the worktable have by their index in this list."""

    worktable: Worktable
    places: Sequence[Place]

    async def stored(self) -> None:
        """Collect the names of all originals, thumbnails and pyramids."""
        for number, place in enumerate(self.places):
            await self._originals(number, place)
            if not place.makes_thumbnails:
                await self._derivatives(number, place, Kind.THUMBNAIL)
                await self._derivatives(number, place, Kind.PYRAMID)

    async def _originals(self, number: int, place: Place) -> None:
        async with aclosing(_listed(place.store, place.directory, Kind.ORIGINAL)) as batches:
            async for batch in batches:
                rows = (
                    (number, each.name, folded(each.name), _stem(each.name), each.size, each.modified) for each in batch
                )
                await self.worktable.add("originals", rows)
                long = [each.name for each in batch if len(each.name) > _LONG or "~" in each.name]
                await self.worktable.add("stems", (row for name in long for row in _stems(number, place, name)))

    async def _derivatives(self, number: int, place: Place, kind: Kind) -> None:
        find = _thumbnail_stem if kind is Kind.THUMBNAIL else _pyramid_stem
        async with aclosing(_listed(place.thumbnails, place.directory, kind)) as batches:
            async for batch in batches:
                found = ((each.name, find(each.name)) for each in batch)
                rows = ((number, kind.value, name, stem) for name, stem in found if stem is not None)
                await self.worktable.add("derivatives", rows)

    async def known(self, catalogue: CatalogueDatabase) -> None:
        """Collect what the catalogue knows of the originals' contents."""
        for number, place in enumerate(self.places):
            last = ""
            while rows := await catalogue.read(_assets_after, place.name, place.directory, last, _BATCH):
                await self.worktable.add("known", (_known(number, row) for row in rows))
                last = rows[-1].name

    async def recorded(self, catalogue: CatalogueDatabase, since: float = 0.0) -> None:
        """Collect the catalogue's records of all databases of Specify, or those that have changed `since` then."""
        places = {(place.name, place.directory): number for number, place in enumerate(self.places)}
        last = 0
        while rows := await catalogue.read(records_after, last, _BATCH, since):
            await self.worktable.add("records", (each for row in rows for each in _records(places, row)))
            last = rows[-1].id

    async def exported(self, pages: AsyncGenerator[Page, None], source: Source) -> None:
        """Collect the records of an export, all of which are of the places that are compared."""
        async with aclosing(pages):
            async for page in pages:
                await self.worktable.add("records", (each for row in page.rows for each in _exported(source, row)))


async def _listed(store: IAssetStore, directory: str, kind: Kind) -> AsyncGenerator[list[Stored], None]:
    """Yield the files of one kind in a collection, in batches."""
    if ILocalFiles.providedBy(store):
        files = ILocalFiles(store)
        entries = files.files(directory, kind)
        near = AssetKey(directory, kind, "any")
        while batch := await files.in_thread(near, _read_entries, entries):
            yield [each for each in batch if _is_name(each.name)]
        return
    find = _present if IUnlisted.providedBy(store) and kind is Kind.ORIGINAL else _all
    found: list[AssetKey] = []
    async with aclosing(store.list(directory, kind)) as keys:
        async for key in keys:
            found.append(key)
            if len(found) == _BATCH:
                yield await find(store, found)
                found = []
    yield await find(store, found)


async def _all(_store: IAssetStore, keys: Sequence[AssetKey]) -> list[Stored]:
    return [Stored(key.name) for key in keys]


async def _present(store: IAssetStore, keys: Sequence[AssetKey]) -> list[Stored]:
    """Fire with those of `keys` that are there: their names come from elsewhere."""
    found: list[Stored] = []

    async def look(key: AssetKey) -> None:
        stat = await find_stat(store, key)
        if stat:
            found.append(Stored(key.name, stat.size, stat.modified or None))

    await for_each(_iterated(keys), _LOOKS_AT_ONCE, look)
    return found


async def _iterated(keys: Sequence[AssetKey]) -> AsyncGenerator[AssetKey, None]:
    for key in keys:
        yield key


def _read_entries(entries: "Iterator[os.DirEntry[str]]") -> list[Stored]:
    found = []
    for entry in islice(entries, _BATCH):
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            # It was removed meanwhile. The list must not become empty before the end.
            found.append(Stored(""))
        else:
            found.append(Stored(entry.name, status.st_size, status.st_mtime))
    return found


def _is_name(name: str) -> bool:
    try:
        check_name(name)
    except BadName:
        return False
    return True


def _stem(name: str) -> str:
    root, extension = splitext(name)
    return root + _thumbnail_extension(extension)


@lru_cache
def _thumbnail_extension(extension: str) -> str:
    return AssetKey("", Kind.ORIGINAL, f"a{extension}").thumbnail_extension


def _stems(number: int, place: Place, name: str) -> Iterator[tuple[int, str, str]]:
    """Yield what the names of the derivatives of an original with a long name begin with."""
    key = AssetKey(place.directory, Kind.ORIGINAL, name)
    for digits in range(1, MAX_DIGITS + 1):
        yield number, Kind.THUMBNAIL.value, beginning(key, digits).removesuffix("_") + key.thumbnail_extension
    for each in beginnings(key):
        yield number, Kind.PYRAMID.value, each.removesuffix("_")


def _thumbnail_stem(name: str) -> str | None:
    """Return the name of a thumbnail without its scale; None for other files."""
    match = THUMBNAIL_NAME.fullmatch(name)
    return match["root"] + match["extension"] if match else None


def _pyramid_stem(name: str) -> str | None:
    return name.rpartition("_")[0] if PYRAMID_NAME.fullmatch(name) else None


def _assets_after(connection: Connection, store: str, directory: str, name: str, limit: int) -> list[Any]:
    wanted = assets.c.name, assets.c.size, assets.c.sha256, assets.c.media_type
    those = assets.c.store == store, assets.c.collection == directory, assets.c.name > name
    return list(connection.execute(select(*wanted).where(*those).order_by(assets.c.name).limit(limit)))


def _known(number: int, row: Any) -> tuple[Any, ...]:
    digest = bytes.fromhex(row.sha256) if row.sha256 else None
    return number, row.name, row.size, digest, oddity(row.name, row.media_type)


def _records(places: Mapping[tuple[str, str], int], row: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the row of a record, and rows without place and name for other names that its original may have."""
    place = places.get((row.store, row.collection))
    removed = row.changed if row.is_removed else None
    yield row.source, row.number, place, row.name or None, folded(row.name), row.location, row.table_number, removed
    yield from _others(row.source, row.number, row.name, row.location, removed)


def _exported(source: Source, row: Attachment) -> Iterator[tuple[Any, ...]]:
    name, location = row.name, row.location
    yield source.name, row.number, 0, name, folded(name or ""), None if name else location, row.table_number, None
    yield from _others(source.name, row.number, name, location, None)


def _others(source: str, number: int, name: str | None, location: str | None, removed: float | None) -> Iterator[Any]:
    for other in {folded(each) for each in meant_by(name or location or "")}:
        yield source, number, None, None, other, None, None, removed
