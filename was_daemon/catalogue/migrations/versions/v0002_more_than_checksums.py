"""Descriptions, folded names for searches, fixity, Specify's records, and decisions on who may see an original.

Databases that development versions have made may have some of this already.
"""

from collections.abc import Sequence
from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    inspect,
    select,
    update,
)

from was_daemon.catalogue.schema import NAME_BYTES, TABLE_OPTIONS, ExactText, row_number
from was_daemon.model.folding import beginning, folded

revision = "0002"
down_revision = "0001"

_PAGE_ROWS = 1000


def upgrade() -> None:
    """Add the columns, the tables and the indexes that are not there, and fill the columns."""
    _add_columns("history", _origin())
    added = _add_columns("assets", [*_origin(), *_folded(), *_facts(), *_fixity()])
    for column in ("file_md5", "checked", "fault"):
        _add_index(f"assets_{column}", "assets", [column])
    for column in (
        *("name_folded", "file_name_folded", "file_path_folded", "collection", "changed", "size"),
        *("description", "media_type", "captured", "latitude"),
    ):
        _add_index(f"assets_{column}", "assets", [column, "id"])
    _add_index("history_name", "history", ["name", "at"])
    if not inspect(op.get_bind()).has_table("records"):
        _create_records()
    if not inspect(op.get_bind()).has_table("sources"):
        _create_sources()
    if not inspect(op.get_bind()).has_table("visibility"):
        _create_visibility()
    if "name_folded" in added:
        _fill_folded()
    if "checked" in added:
        op.execute("UPDATE assets SET checked = changed WHERE sha256 IS NOT NULL")


def _origin() -> list[Column[Any]]:
    return [Column("file_path", Text), Column("notes", Text), Column("file_md5", String(32))]


def _folded() -> list[Column[Any]]:
    names = "name_folded", "file_name_folded", "file_path_folded"
    return [Column(name, ExactText(1000)) for name in names]


def _facts() -> list[Column[Any]]:
    return [
        Column("description", Integer, nullable=False, server_default="0"),
        Column("media_type", ExactText(100)),
        Column("width", Integer),
        Column("height", Integer),
        Column("pages", Integer),
        Column("captured", ExactText(19)),
        Column("latitude", Double),
        Column("longitude", Double),
    ]


def _fixity() -> list[Column[Any]]:
    return [
        Column("checked", Double),
        Column("tried", Double),
        Column("fault", String(16)),
        Column("fault_detail", Text),
    ]


def _add_columns(table: str, columns: Sequence[Column[Any]]) -> set[str]:
    """Add the columns that a table lacks; return their names."""
    known = {each["name"] for each in inspect(op.get_bind()).get_columns(table)}
    new = [column for column in columns if column.name not in known]
    for column in new:
        op.add_column(table, column)
    return {column.name for column in new}


def _add_index(name: str, table: str, columns: list[str]) -> None:
    if name not in {each["name"] for each in inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns)


def _fill_folded() -> None:
    connection = op.get_bind()
    assets = Table(
        "assets",
        MetaData(),
        Column("id", row_number, primary_key=True),
        Column("name", ExactText(NAME_BYTES)),
        Column("file_name", Text),
        *_folded(),
    )
    query = select(assets.c.id, assets.c.name, assets.c.file_name).order_by(assets.c.id).limit(_PAGE_ROWS)
    change = update(assets).where(assets.c.id == bindparam("row"))
    last = 0
    while rows := connection.execute(query.where(assets.c.id > last)).all():
        values = [
            {
                "row": row.id,
                "name_folded": beginning(folded(row.name)),
                "file_name_folded": None if row.file_name is None else beginning(folded(row.file_name)),
            }
            for row in rows
        ]
        connection.execute(change, values)
        last = rows[-1].id


def _create_records() -> None:
    op.create_table(
        "records",
        Column("id", row_number, primary_key=True, autoincrement=True),
        Column("source", String(64), nullable=False),
        Column("number", BigInteger, nullable=False),
        Column("store", ExactText(64), nullable=False),
        Column("collection", ExactText(NAME_BYTES), nullable=False),
        Column("name", ExactText(NAME_BYTES), nullable=False),
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
        **TABLE_OPTIONS,
    )
    op.create_index("records_key", "records", ["store", "collection", "name"])
    op.create_index("records_changed", "records", ["changed"])


def _create_sources() -> None:
    op.create_table(
        "sources",
        Column("id", row_number, primary_key=True, autoincrement=True),
        Column("source", String(64), nullable=False, unique=True),
        Column("read_at", Double, nullable=False),
        Column("row_count", BigInteger, nullable=False),
        **TABLE_OPTIONS,
    )


def _create_visibility() -> None:
    op.create_table(
        "visibility",
        Column("id", row_number, primary_key=True, autoincrement=True),
        Column("store", ExactText(64), nullable=False),
        Column("collection", ExactText(NAME_BYTES), nullable=False),
        Column("name", ExactText(NAME_BYTES), nullable=False),
        Column("is_private", Boolean),
        Column("reason", Text),
        Column("at", Double, nullable=False),
        UniqueConstraint("store", "collection", "name", name="visibility_key"),
        **TABLE_OPTIONS,
    )
    op.create_index("visibility_at", "visibility", ["at"])
