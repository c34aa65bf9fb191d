"""Rights of accounts in database servers, as these tell them; nothing is tried."""

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from was_daemon.catalogue.schema import metadata
from was_daemon.catalogue.servers import UnreadablePassword, server_engine, server_url
from was_daemon.config.secret_files import SecretFile

T = TypeVar("T")

_SECONDS = 8.0
_NEEDED = ("SELECT", "INSERT", "UPDATE", "DELETE")
_TO_MAKE = ("CREATE", "ALTER", "INDEX")
_GRANT = re.compile(r"GRANT (.+?) ON (\S+) TO ")
_COLUMNS = re.compile(r"\s*\([^)]*\)")


def missing_for_catalogue(url: str, password_file: SecretFile | None) -> list[str]:
    """Return the rights that the account of a catalogue lacks; nothing if the server does not tell. Blocks."""
    is_postgresql = url.startswith("postgresql")
    return _asked(url, password_file, _missing_in_postgresql if is_postgresql else _missing_in_mariadb) or []


def needless_for_specify(url: str, password_file: SecretFile | None) -> list[str]:
    """Return the rights by which the account could change a database of Specify, which is only read. Blocks."""
    return _asked(url, password_file, _needless_in_mariadb) or []


def _asked(url: str, password_file: SecretFile | None, function: Callable[[Connection], T]) -> T | None:
    engine = server_engine(server_url(url), _SECONDS, password_file, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return function(connection)
    except (SQLAlchemyError, UnreadablePassword):
        # That it cannot be reached is told by another check.
        return None
    finally:
        engine.dispose()


def _missing_in_postgresql(connection: Connection) -> list[str]:
    if connection.scalar(text("SELECT pg_is_in_recovery()")):
        return ["writing at all: the server is a standby"]
    tables = set(connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")))
    there = [name for name in metadata.tables if name in tables]
    if not there:
        may_create = connection.scalar(text("SELECT has_schema_privilege(current_schema(), 'CREATE')"))
        return [] if may_create else ["CREATE in the schema"]
    asked = text("SELECT has_table_privilege(quote_ident(:table), :right)")
    return [
        f"{right} on {name}"
        for name in there
        for right in _NEEDED
        if not connection.scalar(asked, {"table": name, "right": right})
    ]


def _missing_in_mariadb(connection: Connection) -> list[str]:
    if connection.scalar(text("SELECT @@global.read_only")):
        return ["writing at all: the server is read-only"]
    has_tables = connection.scalar(
        text("SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = DATABASE()")
    )
    granted = set(_granted(connection))
    needed = _NEEDED if has_tables else (*_NEEDED, *_TO_MAKE)
    return [] if "ALL PRIVILEGES" in granted else [right for right in needed if right not in granted]


def _needless_in_mariadb(connection: Connection) -> list[str]:
    harmless = {"SELECT", "USAGE", "SHOW VIEW", "SHOW DATABASES"}
    return sorted(set(_granted(connection)) - harmless)


def _granted(connection: Connection) -> Iterator[str]:
    """Yield the rights of the account in this database, also those for a table or for some columns."""
    database = connection.scalar(text("SELECT DATABASE()"))
    for line in connection.scalars(text("SHOW GRANTS")):
        match = _GRANT.match(str(line))
        place = match[2].replace("`", "").replace("\\", "").partition(".")[0] if match else ""
        if match and place in ("*", database):
            yield from (_COLUMNS.sub("", right).strip() for right in re.split(r",(?![^(]*\))", match[1]))
