"""Tables of the catalogue.

`migrations/` brings databases of earlier versions to this form. The catalogue's users write no SQL of a dialect: all
tables work with SQLite, PostgreSQL and MariaDB.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.mysql import VARBINARY
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from was_daemon.model.folding import FOLDED_BYTES

NAME_BYTES = 255
"""Bytes of a name, or of the directory of a collection, at most: what file systems allow."""

FORM = "0002"
"""Number of the last migration, which leads to these tables."""

_STORE_BYTES = 64
_MEDIA_TYPE_BYTES = 100
_DATE_BYTES = 19
_STORING_BYTES = ("mysql", "mariadb")


class ExactText(TypeDecorator[str]):
    """Text that differs when any byte of its UTF-8 differs, and is ordered by these bytes, in every database.

    MariaDB takes names for equal that differ in case, accents, or spaces at their end, whatever is asked of its
    collations; there, the bytes are stored.
    """

    impl = String
    cache_ok = True

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._size = size

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type in a database."""
        if dialect.name in _STORING_BYTES:
            return dialect.type_descriptor(VARBINARY(self._size))
        return dialect.type_descriptor(String(self._size, collation="C" if dialect.name == "postgresql" else None))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        """Return what the database is given for a text."""
        return value.encode() if value is not None and dialect.name in _STORING_BYTES else value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Return the text of a value of the database."""
        return value.decode() if isinstance(value, bytes) else value


def origin_columns() -> list[Column[Any]]:
    """Return the columns of an `Origin`."""
    return [
        Column("file_name", Text),
        Column("address", String(64)),
        Column("file_path", Text),
        Column("notes", Text),
        Column("file_md5", String(32)),
    ]


def _key_columns() -> list[Column[Any]]:
    return [
        Column("store", ExactText(_STORE_BYTES), nullable=False),
        Column("collection", ExactText(NAME_BYTES), nullable=False),
        Column("name", ExactText(NAME_BYTES), nullable=False),
    ]


row_number = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite counts rows by itself in a column of type INTEGER only."""

TABLE_OPTIONS: dict[str, Any] = {"mysql_charset": "utf8mb4", "mariadb_charset": "utf8mb4"}
"""Options of each table, in tables of migrations, too: MariaDB may be set up for another character set."""

SORTED_COLUMNS = (
    *("name_folded", "file_name_folded", "file_path_folded", "collection", "changed", "size"),
    *("description", "media_type", "captured", "latitude"),
)
"""Columns of `assets` by whose order it is read in pages, so that each has an index, with `id` after it."""

metadata = MetaData()

assets = Table(
    "assets",
    metadata,
    Column("id", row_number, primary_key=True, autoincrement=True),
    *_key_columns(),
    Column("changed", Double, nullable=False),
    Column("size", BigInteger),
    Column("sha256", String(64)),
    Column("md5", String(32)),
    *origin_columns(),
    Column("name_folded", ExactText(FOLDED_BYTES)),
    Column("file_name_folded", ExactText(FOLDED_BYTES)),
    Column("file_path_folded", ExactText(FOLDED_BYTES)),
    Column("description", Integer, nullable=False, default=0),
    Column("media_type", ExactText(_MEDIA_TYPE_BYTES)),
    Column("width", Integer),
    Column("height", Integer),
    Column("pages", Integer),
    Column("captured", ExactText(_DATE_BYTES)),
    Column("latitude", Double),
    Column("longitude", Double),
    Column("checked", Double),
    Column("tried", Double),
    Column("fault", String(16)),
    Column("fault_detail", Text),
    UniqueConstraint("store", "collection", "name", name="assets_key"),
    Index("assets_sha256", "sha256"),
    Index("assets_md5", "md5"),
    Index("assets_file_md5", "file_md5"),
    *(Index(f"assets_{name}", name, "id") for name in SORTED_COLUMNS),
    Index("assets_checked", "checked"),
    Index("assets_fault", "fault"),
    **TABLE_OPTIONS,
)
"""The originals that are stored now; `changed` is the Unix time of their last event, in seconds.

The columns that end in `_folded` are for searches that take no notice of case, see `folded`. `description` is the
`FACTS_VERSION` by which the columns after it were found, 0 as long as nobody has looked at the content; they are those
of `Facts`. `checked` is the Unix time at which the stored content was last known to be as recorded, `tried` that at
which a daemon last began to compare it; `fault` is what was wrong then, None if nothing, and `fault_detail` tells
people more.
"""

history = Table(
    "history",
    metadata,
    Column("id", row_number, primary_key=True, autoincrement=True),
    Column("source", String(64), nullable=False, unique=True),
    Column("at", Double, nullable=False),
    Column("kind", String(16), nullable=False),
    *_key_columns(),
    Column("size", BigInteger),
    Column("sha256", String(64)),
    Column("md5", String(32)),
    *origin_columns(),
    Index("history_name", "name", "at"),
    Index("history_key", "store", "collection", "name", "at"),
    **TABLE_OPTIONS,
)
"""Everything that has happened to originals. Rows are added, never changed, never removed."""

records = Table(
    "records",
    metadata,
    Column("id", row_number, primary_key=True, autoincrement=True),
    Column("source", String(64), nullable=False),
    Column("number", BigInteger, nullable=False),
    *_key_columns(),
    Column("location", Text),
    Column("table_number", Integer),
    Column("file_name", Text),
    Column("title", Text),
    Column("is_public", Boolean),
    Column("license", Text),
    Column("copyright_holder", Text),
    Column("copyright_date", Text),
    Column("credit", Text),
    Column("media_type", Text),
    Column("created", String(19)),
    Column("changed", Double, nullable=False),
    Column("is_removed", Boolean, nullable=False),
    UniqueConstraint("source", "number", name="records_number"),
    Index("records_key", "store", "collection", "name"),
    Index("records_changed", "changed"),
    **TABLE_OPTIONS,
)
"""What Specify says of its attachments.

`source` is the NAME of `[specify.NAME]`, `number` the AttachmentID in it, `table_number` Specify's TableID; the key is
that of the original, with the name "" where `location` cannot be one, such as a URL. `created` is
"YYYY-MM-DD HH:MM:SS" in Specify's time. `changed` is the Unix time at which this row last became different; a record
that Specify no longer has stays, with `is_removed`. When the key of a record has changed, a row with `is_removed` has
the former key for a year, and the negative of its `id` for a number.
"""

sources = Table(
    "sources",
    metadata,
    Column("id", row_number, primary_key=True, autoincrement=True),
    Column("source", String(64), nullable=False, unique=True),
    Column("read_at", Double, nullable=False),
    Column("row_count", BigInteger, nullable=False),
    **TABLE_OPTIONS,
)
"""The databases of Specify: the Unix time at which each was last read to the end, and the rows that it had then."""

visibility = Table(
    "visibility",
    metadata,
    Column("id", row_number, primary_key=True, autoincrement=True),
    *_key_columns(),
    Column("is_private", Boolean),
    Column("reason", Text),
    Column("at", Double, nullable=False),
    UniqueConstraint("store", "collection", "name", name="visibility_key"),
    Index("visibility_at", "at"),
    **TABLE_OPTIONS,
)
"""What was decided by hand about who may see an original, which wins over `records`.

`is_private` is None where a decision was taken back; `at` is the Unix time of the last decision.
"""
