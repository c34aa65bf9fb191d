"""Rows of a table in a database of MySQL or MariaDB, which is only read."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import MetaData, Table, make_url, select, text
from sqlalchemy.exc import ArgumentError, NoSuchTableError, SQLAlchemyError

from was_daemon.catalogue.servers import server_engine, words_of
from was_daemon.model.errors import StoreUnavailable


def rows_of_table(url: str, password: str | None, table: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a table by the names of its columns; blocks, raises `StoreUnavailable`."""
    try:
        address = make_url(url).set(drivername="mysql+pymysql")
        address = address.set(password=password) if password is not None else address
        with server_engine(address).connect() as connection:
            connection.execute(text("SET SESSION TRANSACTION READ ONLY"))
            connection.commit()
            found = Table(table, MetaData(), autoload_with=connection)
            rows = connection.execution_options(stream_results=True).execute(select(found))
            yield from (dict(row) for row in rows.mappings())
    except NoSuchTableError as error:
        raise StoreUnavailable(f"the database to import from has no table {table} that the account may read") from error
    except (ArgumentError, SQLAlchemyError) as error:
        raise StoreUnavailable(f"the database to import from cannot be read: {words_of(error)}") from error
