"""Parser of WebDAV listings (RFC 4918, section 13) while they arrive: a directory may hold a million files."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import unquote_to_bytes
from xml.etree.ElementTree import ParseError

import attrs
from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]  # it ships no annotations
from defusedxml.ElementTree import DefusedXMLParser  # type: ignore[import-untyped]

from was_daemon.model.errors import StoreFailed
from was_daemon.stores.http.answer import http_time

_ORIGIN = re.compile(r"https?://[^/]*", re.IGNORECASE)
_PROPERTIES = ("getcontentlength", "getetag", "getlastmodified")


@attrs.frozen
class Entry:
    """Entry of a listing. What the server was not asked for, or does not tell, is None."""

    path: bytes
    """Path as the server spells it, without percent-encoding."""
    is_directory: bool
    modified: float | None
    """Time of the last change in Unix seconds."""
    size: int | None = None
    """Size in bytes."""
    etag: str | None = None
    """ETag as HTTP writes it."""
    status: int = 200
    """Status of the entry itself: 404, for instance, for one that was deleted meanwhile."""


class Listing:
    """Parser of a PROPFIND response: `feed` it bytes, then `take` the entries.

    Raises `StoreFailed` for anything but plain XML: entities and document types are refused, and not resolved.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._parser = DefusedXMLParser(target=self, forbid_dtd=True)
        self._open: list[str] = []
        self._begin()

    def _begin(self) -> None:
        self._href = self._status = ""
        self._is_directory = False
        self._told = dict.fromkeys(_PROPERTIES, "")

    def feed(self, data: bytes) -> None:
        """Parse the next bytes of the response; no bytes at all stand for its end."""
        try:
            if data:
                self._parser.feed(data)
            else:
                self._parser.close()
        except (ParseError, DefusedXmlException, ValueError) as error:
            raise StoreFailed("the store sent a listing that cannot be read") from error

    def take(self) -> list[Entry]:
        """Return the entries that were completed since the last call."""
        entries, self._entries = self._entries, []
        return entries

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        """Begin an element; called by the XML parser."""
        self._open.append(tag)
        if tag == "{DAV:}response":
            self._begin()
        elif self._open[-2:] == ["{DAV:}resourcetype", "{DAV:}collection"]:
            self._is_directory = True

    def data(self, text: str) -> None:
        """Add text; called by the XML parser."""
        if self._open[-2:] == ["{DAV:}response", "{DAV:}href"]:
            self._href += text
        elif self._open[-2:] == ["{DAV:}response", "{DAV:}status"]:
            self._status += text
        elif self._open and (name := self._open[-1].removeprefix("{DAV:}")) in self._told:
            self._told[name] += text

    def end(self, tag: str) -> None:
        """End an element; called by the XML parser."""
        self._open.pop()
        if tag == "{DAV:}response":
            path = unquote_to_bytes(_ORIGIN.sub("", self._href.strip(), count=1))
            length, etag, modified = (self._told[name].strip() for name in _PROPERTIES)
            size = int(length) if length.isascii() and length.isdigit() else None
            told = re.search(r" (\d{3})\b", self._status)
            status = int(told[1]) if told else 200
            # A slash at the end says it, too, for servers without the property.
            is_directory = self._is_directory or path.endswith(b"/")
            self._entries.append(Entry(path, is_directory, http_time(modified), size, etag or None, status))

    def close(self) -> None:
        """End the document; called by the XML parser."""


async def parsed(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[Entry, None]:
    """Yield the entries of the PROPFIND response in `chunks`, which are closed. Raises as `Listing` does."""
    listing = Listing()
    async with aclosing(chunks):
        async for chunk in chunks:
            listing.feed(chunk)
            for entry in listing.take():
                yield entry
    listing.feed(b"")
