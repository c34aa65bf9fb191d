"""Reading of the table `attachment` in a database of Specify: MariaDB or MySQL, in a thread, with an account that may
only read."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from was_daemon.catalogue.servers import name_of, server_engine, words_of
from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.config.secret_files import SecretFile
from was_daemon.model.errors import StoreUnavailable
from was_daemon.specify.attachments import COLUMNS, NEEDED, Attachment, Page, text_of, time_of

_PARTING_SECONDS = 1.0
_PAGE_ROWS = 1000
_MOST_BUCKETS = 4096
_LEAST_BUCKET = 1024
_BUCKETS_AT_ONCE = 256
"""Buckets whose checksums are asked for in one statement: in a table of ten million rows a million, in some seconds."""

_END = 1 << 62

_COLUMNS = (
    "SELECT COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'attachment'"
)
_LARGEST = "SELECT MAX(AttachmentID) FROM attachment"
# Sums of 60 bits: with CRC32 and XOR, the same change to two rows would cancel itself out.
_SUMS = (
    "SELECT AttachmentID DIV :size AS bucket, COUNT(*),"
    " SUM(CAST(CONV(LEFT(SHA1(CONCAT({quoted})), 15), 16, 10) AS UNSIGNED))"
    " FROM attachment WHERE AttachmentID >= :first AND AttachmentID < :stop GROUP BY bucket"
)
_PAGE = (
    "SELECT {columns} FROM attachment WHERE AttachmentID >= :first AND AttachmentID < :stop"
    " ORDER BY AttachmentID LIMIT :limit"
)
_EXPRESSIONS = {
    # The type is BIT in databases that Specify 6 has made.
    "IsPublic": "IsPublic + 0",
    "TimestampCreated": "LEFT(TimestampCreated, 19)",
}


@attrs.frozen
class Sums:
    """Number of rows and checksum of each bucket of rows, by its first AttachmentID; a bucket has `size` of these."""

    size: int
    buckets: Mapping[int, tuple[int, int]]

    @property
    def rows(self) -> int:
        """The number of rows of the table."""
        return sum(count for count, _ in self.buckets.values())


class SpecifyDatabase:
    """The database of Specify that `[specify.NAME]` describes; every method may raise `StoreUnavailable`.

    Each reading has a connection of its own, so that a new password counts at once.
    """

    def __init__(self, name: str, url: str, password_file: SecretFile | None = None) -> None:
        self._name = name
        self._url = make_url(url).set(drivername="mysql+pymysql")
        self._password_file = password_file
        self._threads = DiskThreads(f"specify {name}", f"database of specify.{name}", size=1)

    def __str__(self) -> str:
        return name_of(self._url.set(drivername="mariadb"))

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["Snapshot"]:
        """Open the table as it is at this moment, whatever is written to it meanwhile."""
        snapshot = await self._threads.acquire(Snapshot.close, self._open)
        try:
            yield snapshot
        finally:
            # A server that hangs does not hold up the end of the daemon.
            self._threads.run(snapshot.close).addErrback(lambda _: None)

    async def close(self) -> None:
        """End the thread after the query under way, unless that takes long: then it ends by itself."""
        await self._threads.drain(_PARTING_SECONDS)

    def _open(self) -> "Snapshot":
        with self._translated():
            connection = self._connect()
            try:
                present = {str(name).lower() for name in connection.scalars(text(_COLUMNS))}
                columns = {field: column for field, column in COLUMNS.items() if column.lower() in present}
                missing = [COLUMNS[field] for field in NEEDED if field not in columns]
            except BaseException:
                connection.close()
                raise
        if missing:
            connection.close()
            raise self._error(f"the account cannot read {' and '.join(missing)} in a table attachment")
        return Snapshot(self, connection, columns)

    def _connect(self) -> Connection:
        try:
            engine = server_engine(
                self._url.update_query_dict({"charset": "utf8mb4"}),
                password_file=self._password_file,
                poolclass=NullPool,
                # A snapshot of the first statement's time holds for all of them.
                isolation_level="REPEATABLE READ",
            )
            return engine.connect()
        except SQLAlchemyError:
            raise
        except Exception as error:  # options, certificates, password files: the driver raises what it meets
            raise self._error(str(error) or type(error).__name__) from error

    def run(self, function: Any, *args: Any) -> Any:
        """Fire with the result of a function of a snapshot, which is called in the thread."""
        return self._threads.run(self._call, function, *args)

    def _call(self, function: Any, *args: Any) -> Any:
        with self._translated():
            return function(*args)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise self._error(words_of(error)) from error

    def _error(self, reason: str) -> StoreUnavailable:
        return StoreUnavailable(f"the database of specify.{self._name} cannot be read", reason)


@attrs.frozen
class Snapshot:
    """The table at one moment. `columns` are those that it has, and that the account may read."""

    _database: SpecifyDatabase
    _connection: Connection
    columns: Mapping[str, str]

    @property
    def missing(self) -> list[str]:
        """The columns that the table lacks, or the account may not read."""
        return [column for field, column in COLUMNS.items() if field not in self.columns]

    async def sums(self) -> Sums:
        """Fire with the number of rows and the checksum of each bucket of rows."""
        largest: int = await self._database.run(self._largest)
        size = _bucket_size(largest)
        step = size * _BUCKETS_AT_ONCE
        buckets: dict[int, tuple[int, int]] = {}
        for first in range(0, largest + 1, step):
            # Specify gives no number below 1.
            buckets |= await self._database.run(self._buckets, size, max(first, 1), first + step)
        return Sums(size, buckets)

    def _largest(self) -> int:
        return int(self._connection.scalar(text(_LARGEST)) or 0)

    def _buckets(self, size: int, first: int, stop: int) -> dict[int, tuple[int, int]]:
        quoted = ", ".join(f"QUOTE({_expression(column)})" for column in self.columns.values())
        values = {"size": size, "first": first, "stop": stop}
        rows = self._connection.execute(text(_SUMS.format(quoted=quoted)), values)
        return {int(bucket) * size: (int(count), int(checksum)) for bucket, count, checksum in rows}

    async def pages(self, first: int, stop: int | None) -> AsyncGenerator[Page, None]:
        """Yield the rows with an AttachmentID of at least `first` and less than `stop`, in pages without gaps."""
        while True:
            rows: list[Attachment] = await self._database.run(self._rows, first, _END if stop is None else stop)
            if len(rows) < _PAGE_ROWS:
                yield Page(first, stop, rows)
                return
            following = rows[-1].number + 1
            yield Page(first, following, rows)
            first = following

    def _rows(self, first: int, stop: int) -> list[Attachment]:
        columns = ", ".join(f"{_expression(column)} AS {field}" for field, column in self.columns.items())
        parameters = {"first": first, "stop": stop, "limit": _PAGE_ROWS}
        rows = self._connection.execute(text(_PAGE.format(columns=columns)), parameters)
        return [_attachment(dict(row._mapping)) for row in rows]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _bucket_size(largest: int) -> int:
    """Return the number of AttachmentIDs in a bucket: a power of two, so that it rarely changes as the table grows."""
    return max(_LEAST_BUCKET, 1 << (largest // _MOST_BUCKETS).bit_length())


def _expression(column: str) -> str:
    return _EXPRESSIONS.get(column, column)


def _attachment(row: Mapping[str, Any]) -> Attachment:
    values = {field: text_of(value) for field, value in row.items()}
    is_public = values.pop("is_public", None)
    table_number = values.pop("table_number", None)
    return Attachment(
        number=int(values.pop("number") or 0),
        table_number=None if table_number is None else int(table_number),
        is_public=None if is_public is None else bool(int(is_public)),
        created=time_of(values.pop("created", None)),
        **values,
    )
