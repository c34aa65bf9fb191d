"""Values in the JSON documents of a server, found by JSON pointers (RFC 6901) and checked: pure functions."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, Final

import attrs
from jsonpointer import EndOfList, JsonPointer, JsonPointerException

from was_daemon.model.errors import StoreFailed

_MILLISECONDS = 1e11
"""Unix times above this are in milliseconds: in seconds, it is the year 5138."""


class _Missing(Enum):
    MISSING = "nothing there"


MISSING: Final = _Missing.MISSING
"""What a pointer finds where there is nothing; null is a value."""


@attrs.frozen
class Pointer:
    """JSON pointer: "" is the whole document, "/items/0/id" a part of it. Raises ValueError for anything else."""

    text: str
    _pointer: JsonPointer = attrs.field(init=False, repr=False)

    @_pointer.default
    def _parse(self) -> JsonPointer:
        try:
            return JsonPointer(self.text)
        except JsonPointerException:
            raise ValueError(f'expected a JSON pointer such as "/asset/id", got "{self.text}"') from None

    def find(self, document: Any) -> Any:
        """Return the value in `document`, `MISSING` when there is none."""
        value = self._pointer.resolve(document, MISSING)
        # "/-" is what follows the last item of a list.
        return MISSING if isinstance(value, EndOfList) else value

    def text_in(self, document: Any) -> str:
        """Return the text or number found, as a text that is not empty. Raises `StoreFailed` when there is none."""
        value = self.find(document)
        if isinstance(value, str | int) and not isinstance(value, bool):
            with suppress(UnicodeEncodeError):
                text = str(value)
                text.encode()
                if text:
                    return text
        raise self._unfit("text")

    def size_in(self, document: Any) -> int:
        """Return the number of bytes found, which may be written as a text. Raises `StoreFailed` when there is none."""
        value = self.find(document)
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value, re.ASCII):
            return int(value)
        if type(value) is int and 0 <= value < 1 << 63:
            return value
        raise self._unfit("number of bytes")

    def time_in(self, document: Any) -> float:
        """Return the time found in Unix seconds, 0 for null. Raises `StoreFailed` when there is none."""
        value = self.find(document)
        if value is None:
            return 0.0
        time = _time(value)
        if time is None:
            raise self._unfit("time")
        return time

    def _unfit(self, expected: str) -> StoreFailed:
        return StoreFailed("the store gave no proper answer", f'no {expected} at "{self.text}" in the answer')


def _time(value: Any) -> float | None:
    """Return the Unix seconds of ISO 8601, an HTTP date, or a number of seconds or milliseconds; without zone, UTC."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{9,16}(\.[0-9]{1,9})?", value, re.ASCII):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value <= 1000 * _MILLISECONDS:
            return None
        return value / 1000 if value > _MILLISECONDS else float(value)
    for read in (datetime.fromisoformat, parsedate_to_datetime) if isinstance(value, str) else ():
        with suppress(ValueError, OverflowError):
            found = read(value.strip())
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    return None


@attrs.frozen
class Condition:
    """Condition on an answer: a status, a value in its JSON document, or both.

    `"404"`, `"/error"` (something other than null, false, 0 and empty values is there), `"/stat = fail"`, or
    `"400 /code = unknown"`.
    """

    status: int | None
    pointer: Pointer | None
    value: str | None

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Return the condition; raises ValueError for a text that is none."""
        match = re.fullmatch(r"\s*(?:([1-5][0-9]{2})(?=\s|$))?\s*(?:(/[^=]*?)\s*(?:=\s*(.*?))?)?\s*", text, re.ASCII)
        if not match or not (match[1] or match[2]):
            raise ValueError(f'expected a condition such as "404" or "/stat = fail", got "{text}"')
        pointer = Pointer(match[2]) if match[2] else None
        return cls(int(match[1]) if match[1] else None, pointer, match[3])

    def holds(self, status: int, document: Any) -> bool:
        """Return whether it holds for an answer; `document` is `MISSING` if that is no JSON."""
        if self.status not in (None, status):
            return False
        if self.pointer is None:
            return True
        found = self.pointer.find(document)
        if self.value is None:
            return found is not MISSING and bool(found)
        return _written(found) == self.value


def _written(value: Any) -> str | None:
    """Return a JSON value that is no list and no object as it is written in a condition, else None."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if isinstance(value, str | int | float) else None


def any_holds(conditions: Iterable[Condition], status: int, document: Any) -> bool:
    """Return whether one of `conditions` holds."""
    return any(condition.holds(status, document) for condition in conditions)


@attrs.frozen
class Checksum:
    """Checksum of the bytes that the server tells in JSON: `"sha256 /checksum"`."""

    algorithm: str
    pointer: Pointer

    @classmethod
    def parse(cls, text: str) -> "Checksum":
        """Return the checksum in a text of the configuration; raises ValueError for a text that is none."""
        algorithm, _, pointer = text.partition(" ")
        if algorithm not in ("md5", "sha1", "sha256", "sha512"):
            raise ValueError(f'expected md5, sha1, sha256 or sha512 and a JSON pointer, got "{text}"')
        return cls(algorithm, Pointer(pointer.strip()))

    def begin(self) -> "hashlib._Hash":
        """Return a new hash, which is no protection against anybody."""
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def is_told(self, document: Any, digest: bytes) -> bool:
        """Return whether `document` has this digest, in hexadecimal or Base64, with or without the algorithm's name."""
        told = self.pointer.text_in(document).strip()
        name, colon, rest = told.partition(":")
        told = rest if colon and name.lower().replace("-", "") == self.algorithm else told
        return told.lower() == digest.hex() or told == b64encode(digest).decode()
