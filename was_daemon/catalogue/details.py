"""Steps on the catalogue's database: everything that it has of one original, for people who look at it."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import Connection, select

from was_daemon.catalogue.identities import Identity, among
from was_daemon.catalogue.schema import assets, records
from was_daemon.catalogue.visibility import Decision, decision_about, statements
from was_daemon.library.visibility import Verdict


@attrs.frozen
class Details:
    """Everything that is known of an original: its row in `assets`, None without one, and its rows in `records`.

    `verdict` is whether it is private by these records and by the `decision` that stands.
    """

    asset: Mapping[str, Any] | None
    records: Sequence[Mapping[str, Any]]
    decision: Decision | None
    verdict: Verdict


def details_of(connection: Connection, identity: Identity) -> Details:
    """Return what is known of an original."""
    asset = connection.execute(select(assets).where(among(assets, [identity]))).one_or_none()
    found = connection.execute(
        select(records).where(among(records, [identity])).order_by(records.c.is_removed, records.c.changed.desc())
    )
    said = statements(connection, [identity])[identity]
    return Details(
        asset._asdict() if asset else None,
        # A row with a negative number only says that another record had this key for a time.
        [row._asdict() for row in found if row.number >= 0],
        decision_about(connection, identity),
        said.verdict if said else None,
    )
