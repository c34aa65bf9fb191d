"""WebDAV listings (RFC 4918, section 13), taken apart while they arrive: a directory may hold a million files."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import unquote_to_bytes, urlsplit
from xml.etree.ElementTree import ParseError

import attrs
from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]  # it ships no annotations
from defusedxml.ElementTree import DefusedXMLParser  # type: ignore[import-untyped]

from was_daemon.model.errors import StoreFailed
from was_daemon.stores.http.answer import http_time


@attrs.frozen
class Entry:
    """One line of a listing."""

    path: bytes
    """As the server spells it, without percent-encoding."""
    is_directory: bool
    modified: float | None
    """In Unix seconds, if the server was asked and says."""
    size: int | None = None
    """In bytes, likewise."""


class Listing:
    """Takes a PROPFIND response apart as it arrives: `feed` bytes, then `take` the entries.

    `StoreFailed` for anything but plain XML: entities, document types and what they refer to are refused unread.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._parser = DefusedXMLParser(target=self, forbid_dtd=True)
        self._open: list[str] = []
        self._href = ""
        self._is_directory = False
        self._modified = ""
        self._size = ""

    def feed(self, data: bytes) -> None:
        """Take in the next bytes of the response; none at all for its end."""
        try:
            if data:
                self._parser.feed(data)
            else:
                self._parser.close()
        except (ParseError, DefusedXmlException, ValueError) as error:
            raise StoreFailed("the store sent a listing that cannot be read") from error

    def take(self) -> list[Entry]:
        """The entries that are complete since the last call."""
        entries, self._entries = self._entries, []
        return entries

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        """An element begins; called by the parser."""
        self._open.append(tag)
        if tag == "{DAV:}response":
            self._href, self._is_directory, self._modified, self._size = "", False, "", ""
        elif self._open[-2:] == ["{DAV:}resourcetype", "{DAV:}collection"]:
            self._is_directory = True

    def data(self, text: str) -> None:
        """Text; called by the parser."""
        if self._open[-2:] == ["{DAV:}response", "{DAV:}href"]:
            self._href += text
        elif self._open[-1:] == ["{DAV:}getlastmodified"]:
            self._modified += text
        elif self._open[-1:] == ["{DAV:}getcontentlength"]:
            self._size += text

    def end(self, tag: str) -> None:
        """An element ends; called by the parser."""
        self._open.pop()
        if tag == "{DAV:}response":
            path = unquote_to_bytes(urlsplit(self._href.strip()).path)
            size = int(self._size) if self._size.isascii() and self._size.isdigit() else None
            self._entries.append(Entry(path, self._is_directory, http_time(self._modified), size))

    def close(self) -> None:
        """The document ends; called by the parser."""


async def parsed(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[Entry, None]:
    """The entries of the PROPFIND response that consists of `chunks`, which are closed; raises as `Listing` does."""
    listing = Listing()
    async with aclosing(chunks):
        async for chunk in chunks:
            listing.feed(chunk)
            for entry in listing.take():
                yield entry
    listing.feed(b"")
