"""Exports of Specify's attachments: CSV or tab-separated files, with the names of the columns in the first line."""

import csv
import re
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

import attrs
from twisted.internet.threads import deferToThread

from was_daemon.concurrency.sqlite import Database
from was_daemon.model.errors import BadRequest
from was_daemon.specify.attachments import COLUMNS, Attachment, Page, text_of, time_of

_BATCH = 5000
_PAGE_ROWS = 1000
_MAX_FIELD = 1 << 20

_FIELDS = tuple(field.name for field in attrs.fields(Attachment))
_SCHEMA = f"CREATE TABLE attachments ({', '.join(_FIELDS)}, PRIMARY KEY (number)) WITHOUT ROWID"
# A query on several tables repeats attachments.
_INSERT = f"INSERT OR IGNORE INTO attachments VALUES ({', '.join('?' * len(_FIELDS))})"  # noqa: S608  # names of fields
_SELECT = "SELECT * FROM attachments WHERE number >= ? AND number < ? ORDER BY number LIMIT ?"
_END = 1 << 62

_HEADERS: Mapping[str, Sequence[str]] = {
    "number": ("id", "number", "attachmentnumber"),
    "location": ("location", "storedname", "assetname", "attachmentfilename"),
    "table_number": ("tablenumber", "tablenum"),
    "file_name": ("originalfilename", "filename", "origfile"),
    "is_public": ("public",),
    "license": ("licence",),
    "media_type": ("mediatype",),
    "created": ("created", "datecreated"),
}
"""Further names of columns, as people and translations of Specify write them, by the fields of `Attachment`."""

_TRUE = frozenset({"1", "true", "yes", "y", "\x01"})
_FALSE = frozenset({"0", "false", "no", "n", "\x00"})
_DIGITS = re.compile(r"\s*[0-9]{1,20}\s*")
_MAX_NUMBER = (1 << 31) - 1
"""The largest number that Specify's columns, and those of the catalogue, can hold."""

_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "0": "\0", "\\": "\\"}


class BadExport(BadRequest):
    """A file that is no export of attachments, or is damaged."""


class NoHeader(BadExport):
    """A file whose first line names no column that has the names of originals."""


class Export:
    """The rows of an export, sorted in a temporary database, which takes no more memory for more rows.

    `columns` are the names that the file has for the fields of `Attachment` that were found in it; `modified` is the
    Unix time at which the file was written last. A file without a number for each row has its lines counted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: dict[str, str] = {}
        self.rows = 0
        self.modified = 0.0
        self._database = Database(None, _SCHEMA, "the temporary database")

    @property
    def has_numbers(self) -> bool:
        """Whether the file has the AttachmentIDs."""
        return "number" in self.columns

    async def load(self) -> None:
        """Read the file; raise `BadExport`."""
        try:
            with await deferToThread(self.path.open, encoding="utf-8-sig", newline="") as file:
                self.modified = (await deferToThread(self.path.stat)).st_mtime
                self.columns, rows = await deferToThread(_begin, file)
                while batch := await deferToThread(lambda: list(islice(rows, _BATCH))):
                    self.rows += await self._database.run(_insert, batch)
        except UnicodeDecodeError:
            raise BadExport(f"{self.path} is not in UTF-8: export it in that encoding") from None
        except csv.Error as error:
            raise BadExport(f"{self.path}: {error}") from None
        except OSError as error:
            raise BadExport(f"{self.path}: {str(error.strerror).lower()}") from None

    async def pages(self, first: int = 0, stop: int | None = None) -> AsyncGenerator[Page, None]:
        """Yield the rows whose number is at least `first` and less than `stop`, without gaps between the pages."""
        while True:
            rows = await self._database.read(_rows, first, _END if stop is None else stop)
            if len(rows) < _PAGE_ROWS:
                yield Page(first, stop, rows)
                return
            yield Page(first, rows[-1].number + 1, rows)
            first = rows[-1].number + 1

    async def close(self) -> None:
        """Remove the temporary database."""
        await self._database.close()


def _insert(connection: sqlite3.Connection, batch: Sequence[Attachment]) -> int:
    return connection.executemany(_INSERT, [attrs.astuple(each) for each in batch]).rowcount


def _rows(connection: sqlite3.Connection, first: int, stop: int) -> list[Attachment]:
    rows = connection.execute(_SELECT, (first, stop, _PAGE_ROWS))
    return [_stored(dict(zip(_FIELDS, row, strict=True))) for row in rows]


def _stored(values: dict[str, Any]) -> Attachment:
    if values["is_public"] is not None:
        # SQLite knows numbers only.
        values["is_public"] = bool(values["is_public"])
    return Attachment(**values)


def _begin(file: TextIO) -> tuple[dict[str, str], Iterator[Attachment]]:
    """Return the names of the columns by field, and an iterator over the rows; raise `BadExport`."""
    csv.field_size_limit(_MAX_FIELD)
    first = file.readline()
    delimiter = max("\t;,", key=first.count)
    # What mysql and SELECT ... INTO OUTFILE write has backslashes instead of quotes.
    is_escaped = delimiter == "\t" and '"' not in first
    lines = chain([first], file)
    # Strict: a quote that is never closed would hide all rows after it.
    options: dict[str, Any] = {"quoting": csv.QUOTE_NONE if is_escaped else csv.QUOTE_MINIMAL, "strict": True}
    reader = csv.reader(lines, delimiter=delimiter, **options)
    header = next(reader, [])
    positions = {field: _position(field, header) for field in _FIELDS}
    found = {field: position for field, position in positions.items() if position is not None}
    if "location" not in found:
        named = ", ".join(header) or "nothing"
        raise NoHeader(f"no column of the file is called AttachmentLocation; its first line is: {named}")
    convert = _unescaped if is_escaped else _plain
    return {field: header[position] for field, position in found.items()}, _attachments(reader, found, convert)


def _position(field: str, header: Sequence[str]) -> int | None:
    """Return the position of the column for a field.

    A query on another table of Specify puts the way to the column before its name.
    """
    names = [re.sub(r"[\W_]", "", name).lower() for name in header]
    wanted = [COLUMNS[field].lower(), *_HEADERS.get(field, ())]
    for name in wanted:
        if name in names:
            return names.index(name)
    return next((at for at, name in enumerate(names) if name.endswith(wanted[0])), None)


def _attachments(
    reader: Iterator[list[str]], positions: Mapping[str, int], convert: Callable[[str], str | None]
) -> Iterator[Attachment]:
    for count, row in enumerate(reader, start=2):
        if any(row):
            values = {
                field: convert(row[position]) if position < len(row) else None for field, position in positions.items()
            }
            yield _attachment(values, count)


def _attachment(values: dict[str, str | None], count: int) -> Attachment:
    # Without the column, lines are counted. An empty number in it could become that of another row.
    number = _number("AttachmentID", values.pop("number") or "", count, least=1) if "number" in values else count
    table = values.pop("table_number", None)
    public, created = values.pop("is_public", None), values.pop("created", None)
    return Attachment(
        number=number,
        table_number=_number("TableID", table, count) if table else None,
        is_public=_boolean(public),
        created=time_of(created),
        **values,
    )


def _number(column: str, text: str, count: int, least: int = 0) -> int:
    number = int(text) if _DIGITS.fullmatch(text) else -1
    if not least <= number <= _MAX_NUMBER:
        raise BadExport(f"row {count}: {text!r} cannot be the {column}")
    return number


def _boolean(text: str | None) -> bool | None:
    word = (text or "").strip(" ").lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _plain(text: str) -> str | None:
    return None if text in ("", r"\N") else text_of(text)


def _unescaped(text: str) -> str | None:
    if text in ("", "NULL", r"\N"):
        return None
    unescaped = _ESCAPED.sub(lambda match: _ESCAPES.get(match[1], match[1]), text)
    # A bit is exported as it is.
    return unescaped if unescaped in ("\0", "\x01") else text_of(unescaped)
