"""The first tables."""

from alembic import op
from sqlalchemy import BigInteger, Column, Double, String, Text, UniqueConstraint

from was_daemon.catalogue.schema import NAME_BYTES, TABLE_OPTIONS, ExactText, row_number

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "assets",
        Column("id", row_number, primary_key=True, autoincrement=True),
        Column("store", ExactText(64), nullable=False),
        Column("collection", ExactText(NAME_BYTES), nullable=False),
        Column("name", ExactText(NAME_BYTES), nullable=False),
        Column("changed", Double, nullable=False),
        Column("size", BigInteger),
        Column("sha256", String(64)),
        Column("md5", String(32)),
        Column("file_name", Text),
        Column("address", String(64)),
        UniqueConstraint("store", "collection", "name", name="assets_key"),
        **TABLE_OPTIONS,
    )
    op.create_index("assets_sha256", "assets", ["sha256"])
    op.create_index("assets_md5", "assets", ["md5"])
    op.create_table(
        "history",
        Column("id", row_number, primary_key=True, autoincrement=True),
        Column("source", String(64), nullable=False, unique=True),
        Column("at", Double, nullable=False),
        Column("kind", String(16), nullable=False),
        Column("store", ExactText(64), nullable=False),
        Column("collection", ExactText(NAME_BYTES), nullable=False),
        Column("name", ExactText(NAME_BYTES), nullable=False),
        Column("size", BigInteger),
        Column("sha256", String(64)),
        Column("md5", String(32)),
        Column("file_name", Text),
        Column("address", String(64)),
        **TABLE_OPTIONS,
    )
    op.create_index("history_key", "history", ["store", "collection", "name", "at"])
