"""Migrations of the catalogue's tables from the form of an earlier version of the daemon."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from was_daemon.model.errors import StoreUnavailable

_MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(connection: Connection) -> None:
    """Bring the tables to their newest form, or create them; raise `StoreUnavailable` if they are of a later one."""
    with _translated():
        command.upgrade(_migrations(connection), "head")


def require_known_form(connection: Connection) -> None:
    """Raise `StoreUnavailable` if the tables are those of a later version."""
    with _translated():
        ScriptDirectory.from_config(_migrations(connection)).get_revisions(
            MigrationContext.configure(connection).get_current_heads()
        )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        reason = "a later version of the daemon has changed its tables: use that version, or restore a backup"
        raise StoreUnavailable("the catalogue cannot be used", reason) from error


def _migrations(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config
