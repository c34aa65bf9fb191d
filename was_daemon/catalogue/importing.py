"""Import of what the California Academy's server has recorded of its images."""

import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
from sqlalchemy import Connection, insert, select, update

from was_daemon.catalogue.events import EventKind
from was_daemon.catalogue.identities import among
from was_daemon.catalogue.records import folded_columns
from was_daemon.catalogue.schema import assets, history, visibility
from was_daemon.model.keys import check_name
from was_daemon.model.origins import Origin

COLUMNS = (
    *("id", "original_filename", "url", "universal_url", "original_path", "redacted", "internal_filename", "notes"),
    *("datetime", "collection", "orig_md5"),
)
"""Columns of the table `images`; older ones lack the last."""

_DATE = "%Y-%m-%d %H:%M:%S"
_REASON = "redacted at the server from which this was imported"
_ORIGIN = ("file_name", "file_path", "notes", "file_md5")


@attrs.frozen
class Image:
    """Row of the table: the name of an original in a collection, and what is told of it.

    `at` is the Unix time of its upload, None if it is not told; `source` tells the row from all others.
    """

    name: str
    collection: str
    origin: Origin
    is_redacted: bool
    at: float | None
    source: str

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> "Image":
        """Return the image of a row, from a dump or a database; raises `BadName`."""
        name, collection = (str(row.get(each) or "") for each in ("internal_filename", "collection"))
        fields = {each: None if value is None else str(value) for each, value in row.items()}
        source = "\0".join(["images", str(row.get("id")), collection, name])
        return cls(
            check_name(name),
            collection,
            Origin.told(fields),
            str(row.get("redacted") or "0") not in ("0", "False"),
            _moment(row.get("datetime")),
            hashlib.sha256(source.encode()).hexdigest(),
        )


def _moment(value: Any) -> float | None:
    """Return a date, which has no zone, in this machine's zone."""
    try:
        moment = value if isinstance(value, datetime) else datetime.strptime(str(value)[:19], _DATE)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None


def import_images(connection: Connection, images: Sequence[tuple[str, str, Image]]) -> Counter[str]:
    """Enter some hundred images, each with its store and its directory; return how many came to what.

    What is known of an original from elsewhere stays as it is, and so do decisions about who may see it.
    """
    counts: Counter[str] = Counter()
    by_key = {(store, directory, image.name): image for store, directory, image in images}
    known = _by_key(connection, assets, list(by_key))
    sources = [image.source for image in by_key.values()]
    entered = set(connection.scalars(select(history.c.source).where(history.c.source.in_(sources))))
    decided = _by_key(connection, visibility, list(by_key))
    for key, image in by_key.items():
        names = dict(zip(("store", "collection", "name"), key, strict=True))
        if image.is_redacted and key not in decided:
            decision = {"is_private": True, "reason": _REASON, "at": time.time()}
            connection.execute(insert(visibility).values(**names, **decision))
            counts["redacted"] += 1
        row = known.get(key)
        if row is None:
            counts["unrecorded"] += 1
        elif image.source in entered:
            counts["known"] += 1
        else:
            _enter(connection, row, image, names)
            counts["imported"] += 1
    return counts


def _by_key(connection: Connection, table: Any, keys: list[tuple[str, str, str]]) -> dict[tuple[str, str, str], Any]:
    found = connection.execute(select(table).where(among(table, keys)))
    return {(row.store, row.collection, row.name): row for row in found}


def _enter(connection: Connection, row: Any, image: Image, names: dict[str, str]) -> None:
    origin = attrs.asdict(image.origin)
    at = row.changed if image.at is None else min(image.at, row.changed)
    event = {"source": image.source, "at": at, "kind": EventKind.IMPORTED.value}
    connection.execute(insert(history).values(**event, **names, **origin))
    new = {name: origin[name] for name in _ORIGIN if origin[name] and not getattr(row, name)}
    if new:
        told = attrs.evolve(Origin(row.file_name, None, row.file_path), **new)
        folded = folded_columns(row.name, told)
        connection.execute(update(assets).where(assets.c.id == row.id).values(**new, **folded))
