"""Conditions on the rows of many originals at a time."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, TypeAlias

from sqlalchemy import Table, and_, false, or_

Identity: TypeAlias = tuple[str, str, str]
"""Store, collection and name of an original."""


def among(table: Table, identities: Iterable[Identity]) -> Any:
    """Return the condition that a row is about one of some hundred originals.

    SQLite uses no index for `(store, collection, name) IN (...)`, and reads the whole table.
    """
    names = defaultdict(list)
    for store, collection, name in identities:
        names[store, collection].append(name)
    conditions = [
        and_(table.c.store == store, table.c.collection == collection, table.c.name.in_(some))
        for (store, collection), some in names.items()
    ]
    return or_(*conditions) if conditions else false()
