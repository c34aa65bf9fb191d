"""Names of originals that the catalogue's database knows: of what was stored, and of what Specify has records of."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing

from sqlalchemy import Connection, Table, select

from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.schema import assets, records

RECORDED, IN_SPECIFY = assets, records
"""Tables that have names of originals."""

_PAGE_ROWS = 1000


async def known_names(
    database: CatalogueDatabase, tables: Iterable[Table], stores: Sequence[str], collection: str
) -> AsyncGenerator[str, None]:
    """Yield the names that one of `tables` has of originals in a collection, in any of `stores`, each name once."""
    async with AsyncExitStack() as stack:
        found = []
        for table in tables:
            for store in stores:
                names = _names(database, table, store, collection)
                found.append(await stack.enter_async_context(aclosing(names)))
        # Each is sorted; none is held in memory.
        heads = [await anext(names, None) for names in found]
        while left := [name for name in heads if name is not None]:
            least = min(left)
            yield least
            for index, names in enumerate(found):
                if heads[index] == least:
                    heads[index] = await anext(names, None)


async def _names(database: CatalogueDatabase, table: Table, store: str, collection: str) -> AsyncGenerator[str, None]:
    last = ""
    while page := await database.read(_names_after, table, store, collection, last):
        for name in page:
            yield name
        last = page[-1]


def _names_after(connection: Connection, table: Table, store: str, collection: str, last: str) -> list[str]:
    those = [table.c.store == store, table.c.collection == collection, table.c.name > last]
    if table is records:
        those.append(records.c.is_removed.is_(False))
    # Several records may be of one original.
    wanted = select(table.c.name).where(*those).distinct().order_by(table.c.name).limit(_PAGE_ROWS)
    return list(connection.scalars(wanted))
