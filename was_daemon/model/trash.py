"""The trash: versions of originals that were deleted, replaced or set aside, and can be restored.

Each is an asset of the kind `Kind.TRASH` in its collection, which no client can name: the file, and beside it a record
of what it was. Pure values, no I/O.
"""

import enum
import hashlib
import json
import re
from typing import Any
from uuid import uuid4

import attrs

from was_daemon.model.digests import Digest
from was_daemon.model.errors import BadName
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.origins import UNKNOWN_ORIGIN, Origin

_FORMAT = 1
_FILE, _RECORD = ".file", ".json"
_ORIGIN = tuple(field.name for field in attrs.fields(Origin))
_ID = re.compile(r"[0-9a-f]{16}-(?P<at>[0-9a-f]{11,13})-(?P<size>[0-9a-f]{1,16})-[0-9a-f]{16}")

MAX_RECORD_BYTES = 1 << 16
"""The longest record that is read: names, paths, notes and reasons have limits, and take 50 KB together at most."""

MAX_NOTE = 1000
"""Characters of a note at most."""


class Reason(enum.StrEnum):
    """The reason why a version is in the trash; its value is the word in the record."""

    DELETED = "deleted"
    """A client has deleted it."""

    REPLACED = "replaced"
    """A client has stored another version in its place."""

    QUARANTINED = "quarantined"
    """It was an original without a record in Specify."""


@attrs.frozen
class Known:
    """The catalogue's knowledge of a version: its digest, and where it came from."""

    digest: Digest | None = None
    origin: Origin = UNKNOWN_ORIGIN


NOTHING_KNOWN = Known()


@attrs.frozen
class TrashId:
    """The identifier of a version in the trash, which is unique, and tells its time and size without a look at it.

    It begins with a hash of the original's name, so that the versions of one name are found by a prefix; `at` is in
    Unix seconds, `size` in bytes.
    """

    text: str
    at: float
    size: int

    @classmethod
    def new(cls, name: str, at: float, size: int) -> "TrashId":
        """Return a new identifier for a version of an original called `name`."""
        milliseconds = int(at * 1000)
        text = f"{prefix_of(name)}-{milliseconds:011x}-{size:x}-{uuid4().hex[:16]}"
        return cls(text, milliseconds / 1000, size)

    @classmethod
    def parse(cls, text: str) -> "TrashId | None":
        """Return the identifier that a text is, None if it is none."""
        match = _ID.fullmatch(text)
        return cls(text, int(match["at"], 16) / 1000, int(match["size"], 16)) if match else None

    @classmethod
    def of_file(cls, key: AssetKey) -> "TrashId | None":
        """Return the identifier of a version whose file has the key `key`, None if it is no such file."""
        return cls.parse(key.name.removesuffix(_FILE)) if key.name.endswith(_FILE) else None

    @classmethod
    def of_record(cls, key: AssetKey) -> "TrashId | None":
        """Return the identifier of a version whose record has the key `key`, None if it is no record."""
        return cls.parse(key.name.removesuffix(_RECORD)) if key.name.endswith(_RECORD) else None


def prefix_of(name: str) -> str:
    """Return the beginning of the identifiers of all versions of an original called `name`."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


@attrs.frozen
class TrashedVersion:
    """One version of the original `key` in the trash.

    `version` is what the store told of it before; it came there for `reason`, by a client at the address `by`, if that
    is known. `known` is what the catalogue knew of it.
    """

    id: TrashId
    key: AssetKey
    reason: Reason
    version: AssetStat
    known: Known = NOTHING_KNOWN
    by: str | None = None
    note: str = ""

    @property
    def file(self) -> AssetKey:
        """The key of its bytes."""
        return AssetKey(self.key.collection, Kind.TRASH, self.id.text + _FILE)

    @property
    def record(self) -> AssetKey:
        """The key of its record."""
        return AssetKey(self.key.collection, Kind.TRASH, self.id.text + _RECORD)

    def document(self) -> dict[str, Any]:
        """Return the record as a document for JSON."""
        digest = self.known.digest
        return {
            "format": _FORMAT,
            "id": self.id.text,
            "collection": self.key.collection,
            "name": self.key.name,
            "reason": self.reason.value,
            "at": self.id.at,
            "by": self.by,
            "note": self.note,
            "size": self.version.size,
            "modified": self.version.modified,
            "etag": self.version.etag,
            "sha256": digest and digest.sha256,
            "md5": digest and digest.md5,
            **attrs.asdict(self.known.origin),
        }

    def encoded(self) -> bytes:
        """Return the record as it is stored."""
        return json.dumps(self.document(), ensure_ascii=False, indent=1).encode(errors="replace") + b"\n"

    @classmethod
    def parse(cls, record: bytes, key: AssetKey) -> "TrashedVersion | None":
        """Return the version that a record at `key` describes, None when it is not one that a daemon has written."""
        found = TrashId.of_record(key)
        try:
            document = json.loads(record)
            is_ours = found and document["format"] == _FORMAT and document["id"] == found.text
            if not found or not is_ours or document["collection"] != key.collection:
                return None
            return cls(
                found,
                AssetKey(key.collection, Kind.ORIGINAL, _text(document, "name")),
                Reason(document["reason"]),
                AssetStat(int(document["size"]), float(document["modified"]), _text(document, "etag")),
                _known(document),
                _optional_text(document, "by"),
                _text(document, "note"),
            )
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError, BadName):
            return None


def _known(document: dict[str, Any]) -> Known:
    sha256, md5 = _optional_text(document, "sha256"), _optional_text(document, "md5")
    # Records of earlier versions have fewer fields.
    origin = {name: _optional_text(document, name) for name in _ORIGIN if name in document}
    return Known(Digest(int(document["size"]), sha256, md5) if sha256 else None, Origin(**origin))


def _text(document: dict[str, Any], name: str) -> str:
    value = document[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def _optional_text(document: dict[str, Any], name: str) -> str | None:
    return None if document[name] is None else _text(document, name)
