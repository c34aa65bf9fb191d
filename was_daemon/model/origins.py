"""Origins of changes."""

import re
from collections.abc import Mapping

import attrs

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)
_MAX_NAME, _MAX_PATH, _MAX_NOTES = 255, 2000, 8192

_NOTHING = ("", "None", "NULL")
"""What the California Academy's clients send, and their database has, where there is nothing."""


@attrs.frozen
class Origin:
    """Where a change came from; None for what is not known.

    `file_name` and `file_path` are those of an uploaded file on the client's side, `file_md5` the MD5 of the file there
    if the client has converted it; `address` is the client's, and `notes` what somebody wrote about it.
    """

    file_name: str | None = None
    address: str | None = None
    file_path: str | None = None
    notes: str | None = None
    file_md5: str | None = None

    @classmethod
    def told(
        cls, fields: Mapping[str, str | None], file_name: str | None = None, address: str | None = None
    ) -> "Origin":
        """Return the origin by the fields that the California Academy has of an upload.

        `file_name` counts unless a field tells another.
        """
        md5 = (fields.get("orig_md5") or "").lower()
        return cls(
            _text(fields.get("original_filename"), _MAX_NAME) or file_name,
            address,
            _text(fields.get("original_path"), _MAX_PATH),
            _text(fields.get("notes"), _MAX_NOTES),
            md5 if _MD5.fullmatch(md5) else None,
        )


UNKNOWN_ORIGIN = Origin()


def _text(value: str | None, most: int) -> str | None:
    """Return a text without control characters, cut to `most` characters; None where there is nothing."""
    text = _CONTROL.sub(" ", value or "").strip()[:most]
    return None if text in _NOTHING else text
