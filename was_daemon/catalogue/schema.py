"""Tables of the catalogue.

`migrations/` brings databases of earlier versions to this form. The catalogue's users write no SQL of a dialect: all
tables work with SQLite, PostgreSQL and MariaDB.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, MetaData, String, Table, Text, UniqueConstraint
from sqlalchemy.dialects.mysql import VARBINARY
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

NAME_BYTES = 255
"""Bytes of a name, or of the directory of a collection, at most: what file systems allow."""

_STORE_BYTES = 64
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
    Column("file_name", Text),
    Column("address", String(64)),
    UniqueConstraint("store", "collection", "name", name="assets_key"),
    Index("assets_sha256", "sha256"),
    Index("assets_md5", "md5"),
    **TABLE_OPTIONS,
)
"""The originals that are stored now; `changed` is the Unix time of their last event, in seconds."""

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
    Column("file_name", Text),
    Column("address", String(64)),
    Index("history_key", "store", "collection", "name", "at"),
    **TABLE_OPTIONS,
)
"""Everything that has happened to originals. Rows are added, never changed, never removed."""
