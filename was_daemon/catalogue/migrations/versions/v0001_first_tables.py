"""The first tables."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, String, Text, UniqueConstraint

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
        Column("file_path", Text),
        Column("notes", Text),
        Column("file_md5", String(32)),
        Column("name_folded", ExactText(1000)),
        Column("file_name_folded", ExactText(1000)),
        Column("file_path_folded", ExactText(1000)),
        Column("description", Integer, nullable=False),
        Column("media_type", ExactText(100)),
        Column("width", Integer),
        Column("height", Integer),
        Column("pages", Integer),
        Column("captured", ExactText(19)),
        Column("latitude", Double),
        Column("longitude", Double),
        Column("checked", Double),
        Column("tried", Double),
        Column("fault", String(16)),
        Column("fault_detail", Text),
        UniqueConstraint("store", "collection", "name", name="assets_key"),
        **TABLE_OPTIONS,
    )
    op.create_index("assets_sha256", "assets", ["sha256"])
    op.create_index("assets_md5", "assets", ["md5"])
    op.create_index("assets_file_md5", "assets", ["file_md5"])
    for column in (
        *("name_folded", "file_name_folded", "file_path_folded", "collection", "changed", "size"),
        *("description", "media_type", "captured", "latitude"),
    ):
        op.create_index(f"assets_{column}", "assets", [column, "id"])
    op.create_index("assets_checked", "assets", ["checked"])
    op.create_index("assets_fault", "assets", ["fault"])
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
        Column("file_path", Text),
        Column("notes", Text),
        Column("file_md5", String(32)),
        **TABLE_OPTIONS,
    )
    op.create_index("history_name", "history", ["name", "at"])
    op.create_index("history_key", "history", ["store", "collection", "name", "at"])
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
    op.create_table(
        "sources",
        Column("id", row_number, primary_key=True, autoincrement=True),
        Column("source", String(64), nullable=False, unique=True),
        Column("read_at", Double, nullable=False),
        Column("row_count", BigInteger, nullable=False),
        **TABLE_OPTIONS,
    )
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
