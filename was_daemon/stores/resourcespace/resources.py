"""Resources as the API describes them."""

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

import attrs

from was_daemon.model.errors import StoreFailed
from was_daemon.model.interfaces import AssetStat

_TRUNCATED = 190
"""Bytes from which on a value in a search's result may be cut: ResourceSpace keeps 200 of them there."""


@attrs.frozen
class Resource:
    """A resource: a row of a search's result, or what `get_resource_data` tells.

    `modified` is the time at which its file was put there, in the time zone of the database; "" if it has no file.
    `size` is None where the answer does not tell it.
    """

    ref: int
    archive: int
    created_by: int
    created: str
    extension: str
    modified: str
    size: int | None
    checksum: str
    row: Mapping[str, Any] = attrs.field(repr=False, eq=False)

    @classmethod
    def parse(cls, row: Any) -> "Resource":
        """Return the resource in an answer; raises `StoreFailed` when it is none."""
        if not isinstance(row, dict):
            raise StoreFailed("the store gave no proper answer", "ResourceSpace described a resource as no object")
        try:
            return cls(
                int(row["ref"]),
                int(row["archive"]),
                int(row.get("created_by") or 0),
                str(row.get("creation_date") or ""),
                str(row.get("file_extension") or ""),
                str(row.get("file_modified") or ""),
                None if row.get("file_size") in (None, "") else int(row["file_size"]),
                str(row.get("file_checksum") or ""),
                row,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreFailed("the store gave no proper answer", f"ResourceSpace's resource lacks {error}") from None

    @property
    def has_file(self) -> bool:
        """Whether a file was uploaded to it, or found by ResourceSpace."""
        return bool(self.extension)

    def short_value(self, field: int) -> str | None:
        """Return the value of a field if this answer has all of it."""
        value = self.row.get(f"field{field}")
        return value if isinstance(value, str) and 0 < len(value.encode()) < _TRUNCATED else None

    def stat(self, size: int, zone: tzinfo) -> AssetStat:
        """Return the version of its file, whose size is given."""
        digits = "".join(sign for sign in self.modified if sign.isdigit())
        return AssetStat(size, seconds(self.modified, zone) or 0.0, f"{self.ref}-{digits}-{size:x}")


def seconds(text: str, zone: tzinfo) -> float | None:
    """Return the Unix seconds of a time of the database, None when it is none."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def values_of(described: Any) -> dict[str, tuple[int, str]]:
    """Return the number and the value of each field, by its short name, of an answer of `get_resource_field_data`."""
    if not isinstance(described, list):
        raise StoreFailed("the store gave no proper answer", "ResourceSpace described fields as no list")
    found = {}
    for field in described:
        try:
            found[str(field["name"])] = (int(field.get("fref") or field["ref"]), str(field.get("value") or ""))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreFailed("the store gave no proper answer", f"ResourceSpace's field lacks {error}") from None
    return found
