"""Rows of a table in a database of MySQL or MariaDB, which is only read."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import MetaData, Table, create_engine, make_url, select, text
from sqlalchemy.exc import ArgumentError, NoSuchTableError, SQLAlchemyError

from was_daemon.model.errors import StoreUnavailable

_TIMEOUT_SECONDS = 10


def rows_of_table(url: str, password: str | None, table: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a table by the names of its columns; blocks, raises `StoreUnavailable`."""
    try:
        address = make_url(url).set(drivername="mysql+pymysql")
        address = address.set(password=password) if password is not None else address
        engine = create_engine(address, connect_args={"connect_timeout": _TIMEOUT_SECONDS}, hide_parameters=True)
        with engine.connect() as connection:
            connection.execute(text("SET SESSION TRANSACTION READ ONLY"))
            connection.commit()
            found = Table(table, MetaData(), autoload_with=connection)
            rows = connection.execution_options(stream_results=True).execute(select(found))
            yield from (dict(row) for row in rows.mappings())
    except NoSuchTableError as error:
        raise StoreUnavailable(f"the database to import from has no table {table} that the account may read") from error
    except (ArgumentError, SQLAlchemyError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise StoreUnavailable(f"the database to import from cannot be read: {reason}") from error
