"""What a comparison of stores and records finds, a step for each kind of finding."""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import attrs

from was_daemon.jobs.reconcile.spellings import narrowed
from was_daemon.jobs.reconcile.worktable import Worktable
from was_daemon.library.collections import Place
from was_daemon.model.folding import folded
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.specify.tables import table_name

KINDS: Mapping[str, str] = {
    "missing": "missing",
    "elsewhere": "in another collection than that of their database",
    "differs": "with a name that differs in case or Unicode form",
    "location": "records whose location is no name",
    "orphaned": "orphaned",
    "thumbnail": "thumbnails without original",
    "pyramid": "pyramids without original",
    "empty": "empty",
    "type": "with another type than their extension's",
    "alike": "with names that differ only in case or Unicode form",
    "identical": "with the content of another",
}
"""Kinds of findings, and what they are called in a sentence that counts them."""

_MISSING = """
SELECT r.id, r.source, r.number, r.table_number, r.place, r.name, r.folded FROM records r
WHERE r.id > ? AND r.removed IS NULL AND r.place IS NOT NULL AND r.name IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM originals o WHERE o.place = r.place AND o.name = r.name)
ORDER BY r.id LIMIT ?"""
_SIMILAR = """
SELECT o.id, o.place, o.name FROM originals o WHERE o.id > ? AND o.folded = ? ORDER BY o.id LIMIT ?"""
_LOCATIONS = """
SELECT r.id, r.source, r.number, r.table_number, r.place, r.location FROM records r
WHERE r.id > ? AND r.removed IS NULL AND r.place IS NOT NULL AND r.name IS NULL ORDER BY r.id LIMIT ?"""
_ORPHANED = """
SELECT o.id, o.place, o.name, o.modified, (SELECT MAX(r.removed) FROM records r WHERE r.folded = o.folded)
FROM originals o
WHERE o.id > ? AND NOT EXISTS (SELECT 1 FROM records r WHERE r.folded = o.folded AND r.removed IS NULL)
ORDER BY o.id LIMIT ?"""
_DERIVATIVES = """
SELECT d.id, d.place, d.name FROM derivatives d
WHERE d.id > ? AND d.kind = ? AND NOT EXISTS
(SELECT 1 FROM originals o WHERE o.place = d.place AND o.{column} = d.stem)
AND NOT EXISTS (SELECT 1 FROM stems s WHERE s.place = d.place AND s.kind = d.kind AND s.stem = d.stem)
ORDER BY d.id LIMIT ?"""
_EMPTY = """
SELECT o.id, o.place, o.name FROM originals o LEFT JOIN known k ON k.place = o.place AND k.name = o.name
WHERE o.id > ? AND COALESCE(o.size, k.size) = 0 ORDER BY o.id LIMIT ?"""
_ODD = """
SELECT k.id, k.place, k.name, k.oddity FROM known k
WHERE k.id > ? AND k.oddity IS NOT NULL
AND EXISTS (SELECT 1 FROM originals o WHERE o.place = k.place AND o.name = k.name) ORDER BY k.id LIMIT ?"""
_ALIKE = """
SELECT o.id, o.place, o.name,
(SELECT x.name FROM originals x WHERE x.folded = o.folded AND x.place = o.place AND x.id != o.id LIMIT 1)
FROM originals o WHERE o.id > ? AND EXISTS
(SELECT 1 FROM originals x WHERE x.folded = o.folded AND x.place = o.place AND x.id != o.id)
ORDER BY o.id LIMIT ?"""
_IDENTICAL = """
SELECT k.id, k.place, k.name, f.place, f.name FROM known k
JOIN known f ON f.id = (SELECT MIN(x.id) FROM known x WHERE x.sha256 = k.sha256 AND EXISTS
(SELECT 1 FROM originals o WHERE o.place = x.place AND o.name = x.name))
WHERE k.id > ? AND k.sha256 IS NOT NULL AND k.size > 0 AND f.id != k.id
AND EXISTS (SELECT 1 FROM originals o WHERE o.place = k.place AND o.name = k.name)
ORDER BY k.id LIMIT ?"""
_IN_PLACE = "SELECT COUNT(*) FROM originals WHERE place = ?"
_COUNTS = {
    "originals": "SELECT COUNT(*) FROM originals",
    "records": "SELECT COUNT(*) FROM records WHERE removed IS NULL AND place IS NOT NULL",
}
_RECORDED = "SELECT EXISTS (SELECT 1 FROM records r WHERE r.folded = ? AND r.removed IS NULL)"
_UNSIZED = """
SELECT COUNT(*) FROM originals o WHERE o.size IS NULL AND NOT EXISTS
(SELECT 1 FROM known k WHERE k.place = o.place AND k.name = o.name AND k.size IS NOT NULL)"""


@attrs.frozen
class Finding:
    """One finding: the path of the file in the flat layout, and the record where there is one.

    `file` is "" for a record without one; `record` is its AttachmentID, and `table` the name of the table in Specify.
    """

    kind: str
    store: str
    file: str
    source: str = ""
    record: int | None = None
    table: str = ""
    detail: str = ""


@attrs.frozen
class Orphan:
    """An original in no record: its key, and the Unix time at which it was changed last; None if that is not known yet.

    `removed` is the time at which the last record of this name was lost, 0 if none ever was.
    """

    place: Place
    key: AssetKey
    modified: float | None
    removed: float


@attrs.frozen
class Findings:
    """Findings about `places`, out of the rows of a worktable that has been indexed."""

    worktable: Worktable
    places: Sequence[Place]

    async def missing(self, sources: Collection[str]) -> AsyncGenerator[tuple[Place, AssetKey, Finding], None]:
        """Yield records of these sources that have no original, with the key that it would have."""
        async for _, source, number, table, place, name, fold in self._rows(_MISSING):
            if source in sources:
                kind, detail = await self._explained(place, fold)
                path = self._path(place, name)
                finding = Finding(kind, self.places[place].name, path, source, number, table_name(table), detail)
                yield self.places[place], AssetKey(self.places[place].directory, Kind.ORIGINAL, name), finding

    async def _explained(self, place: int, fold: str) -> tuple[str, str]:
        """Fire with the kind and the details of a finding: there may be an original of a similar name."""
        similar = [(where, name) async for _, where, name in self._rows(_SIMILAR, fold)]
        here = [each for each in similar if each[0] == place]
        details = [f"the original is {self._path(*each)}" for each in here or similar]
        kind = "differs" if here else "elsewhere" if similar else "missing"
        return kind, details[0] if details else ""

    async def locations(self, sources: Collection[str]) -> AsyncGenerator[Finding, None]:
        """Yield records of these sources whose location cannot be a name."""
        async for _, source, number, table, place, location in self._rows(_LOCATIONS):
            if source in sources:
                detail = "no location" if location is None else repr(location)
                yield Finding("location", self.places[place].name, "", source, number, table_name(table), detail)

    async def orphans(self, covered: Collection[int]) -> AsyncGenerator[Orphan, None]:
        """Yield the originals in the places with these indexes whose name is in no record, in whatever case or form."""
        async for _, place, name, modified, removed in self._rows(_ORPHANED):
            if place in covered and (name.isascii() or not await self.is_recorded(name)):
                key = AssetKey(self.places[place].directory, Kind.ORIGINAL, name)
                yield Orphan(self.places[place], key, modified, removed or 0.0)

    async def derivatives(self) -> AsyncGenerator[Finding, None]:
        """Yield the thumbnails and pyramids of which no original is stored."""
        for kind, word, column in ((Kind.THUMBNAIL, "thumbnail", "stem"), (Kind.PYRAMID, "pyramid", "name")):
            async for _, place, name in self._rows(_DERIVATIVES.format(column=column), kind.value):
                path = Layout.FLAT.path(AssetKey(self.places[place].directory, kind, name))
                yield Finding(word, self.places[place].name, path)

    async def oddities(self) -> AsyncGenerator[Finding, None]:
        """Yield originals that are empty, of another type than their extension's, or too much like another."""
        steps: Sequence[tuple[str, str, Callable[..., str]]] = (
            ("empty", _EMPTY, lambda: ""),
            ("type", _ODD, lambda oddity: str(oddity)),
            ("alike", _ALIKE, lambda name: f"as {name}"),
            ("identical", _IDENTICAL, lambda place, name: f"as {self._path(place, name)}"),
        )
        for kind, query, detail in steps:
            async for _, place, name, *rest in self._rows(query):
                yield self._finding(kind, place, name, detail(*rest))

    async def is_recorded(self, name: str) -> bool:
        """Fire with whether a record has a name, in whatever case or form, or what a narrow encoding has left of it."""
        for each in {name, *narrowed(name)}:
            if await self.worktable.number(_RECORDED, folded(each)):
                return True
        return False

    async def count_unsized(self) -> int:
        """Fire with the number of originals of which nobody knows whether they are empty."""
        return await self.worktable.number(_UNSIZED)

    async def count(self, table: str) -> int:
        """Fire with the number of originals or records."""
        return await self.worktable.number(_COUNTS[table])

    async def count_originals(self, place: Place) -> int:
        """Fire with the number of originals in a place."""
        return await self.worktable.number(_IN_PLACE, self.places.index(place))

    async def _rows(self, query: str, *values: object) -> AsyncGenerator[tuple[Any, ...], None]:
        async with aclosing(self.worktable.rows(query, *values)) as rows:
            async for row in rows:
                yield row

    def _finding(self, kind: str, place: int, name: str, detail: str) -> Finding:
        return Finding(kind, self.places[place].name, self._path(place, name), detail=detail)

    def _path(self, place: int, name: str) -> str:
        return Layout.FLAT.path(AssetKey(self.places[place].directory, Kind.ORIGINAL, name))
