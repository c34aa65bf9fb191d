"""Other spellings of names, by which an original may belong to a record whose location is not exactly its name."""

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus

_PLAIN = re.compile(r"(?:[A-Za-z0-9._,()&'-]+(?: (?! |$)|$))*")
"""Names that can be meant in no other way, as most are: this is quick, and there are millions."""

_SEPARATORS = re.compile(r"[/\\]")
_PARAMETER = re.compile(r"[?&]filename=([^&#]*)", re.IGNORECASE)
_NARROW = ("ascii", "latin-1", "cp1252")
"""Encodings of databases that keep a question mark in place of a character that they lack."""


def meant_by(location: str) -> set[str]:
    """Return the names, besides the location itself, that the original of a record with this location may have.

    The location may be a path or a URL, have white space around it, be percent-encoded, or have been read in a wrong
    encoding.
    """
    if _PLAIN.fullmatch(location):
        return set()
    return {name for name in _meanings(location) if name} - {location}


def _meanings(location: str) -> Iterator[str]:
    parameter = _PARAMETER.search(location)
    last = _SEPARATORS.split(re.split("[?#]", location, maxsplit=1)[0].strip())[-1]
    for part in (location, _SEPARATORS.split(location)[-1], last, parameter[1] if parameter else ""):
        for name in (part, unquote(part), unquote_plus(part), _misread(part)):
            yield name.strip()
            yield " ".join(name.split())


def _misread(name: str) -> str:
    """Return the name that has become `name` when its UTF-8 was taken for Windows-1252, as some databases have it."""
    try:
        return name.encode("cp1252").decode()
    except UnicodeError:
        return name


def narrowed(name: str) -> set[str]:
    """Return what becomes of a name in databases that cannot keep all of its characters."""
    composed = unicodedata.normalize("NFC", name)
    return {composed.encode(encoding, "replace").decode(encoding) for encoding in _NARROW} - {name}
