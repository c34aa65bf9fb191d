"""XMP metadata: the properties that collections use (XMP specification, part 1 = ISO 16684-1; IPTC Photo Metadata).

The packet is read as it comes, up to a limit of size, without a tree in memory. A document type is refused: nothing
that is XMP has one, and entities come with it.
"""

from collections.abc import Iterator
from xml.parsers import expat

import attrs

from was_daemon.imaging.containers.block import MAX_BLOCK_BYTES, BinaryFile
from was_daemon.imaging.field import Field

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns# "
_DC = "http://purl.org/dc/elements/1.1/ "
_XMP = "http://ns.adobe.com/xap/1.0/ "
_RIGHTS = "http://ns.adobe.com/xap/1.0/rights/ "
_PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/ "
_IPTC_CORE = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/ "
_IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/ "
_TIFF = "http://ns.adobe.com/tiff/1.0/ "
_EXIF = "http://ns.adobe.com/exif/1.0/ "
_EXIF_EX = "http://cipa.jp/exif/1.0/ "
_AUX = "http://ns.adobe.com/exif/1.0/aux/ "

_NAMES = {
    **{_DC + name: name.capitalize() for name in ("title", "creator", "rights", "description", "contributor")},
    **{_DC + name: name.capitalize() for name in ("publisher", "source", "identifier", "coverage", "language")},
    _DC + "subject": "Keywords",
    **{_XMP + name: name for name in ("CreateDate", "Rating", "Label")},
    **{_RIGHTS + name: name for name in ("UsageTerms", "WebStatement", "Owner")},
    **{_PHOTOSHOP + name: name for name in ("Credit", "Headline", "Instructions", "DateCreated", "City", "State")},
    **{_PHOTOSHOP + name: name for name in ("Country", "TransmissionReference")},
    _PHOTOSHOP + "Source": "Source",
    _PHOTOSHOP + "AuthorsPosition": "CreatorTitle",
    _PHOTOSHOP + "CaptionWriter": "DescriptionWriter",
    **{_IPTC_CORE + name: name for name in ("Location", "CountryCode")},
    **{_IPTC_EXTENSION + name: name for name in ("LocationCreated", "LocationShown")},
    **{_TIFF + name: name for name in ("Make", "Model")},
    **{_EXIF + name: name for name in ("DateTimeOriginal", "GPSLatitude", "GPSLongitude", "GPSAltitude")},
    _EXIF_EX + "LensModel": "LensModel",
    _AUX + "Lens": "Lens",
}
"""Names of properties in the group XMP; what means the same has the same name in the group IPTC."""

_CHUNK = 1 << 16
_MAX_DEPTH = 100
_LANGUAGE = "http://www.w3.org/XML/1998/namespace lang"


class RefusedXml(ValueError):
    """The packet has a document type, or its elements are nested too deeply."""


def read_xmp(file: BinaryFile) -> Iterator[Field]:
    """Yield the fields of a packet; one with several values comes several times. Damage ends it."""
    packet = _Packet()
    parser = expat.ParserCreate(None, " ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = packet.start
    parser.EndElementHandler = packet.end
    parser.CharacterDataHandler = packet.text
    left = MAX_BLOCK_BYTES
    begun = False
    while left > 0 and (chunk := file.read(min(_CHUNK, left))):
        left -= len(chunk)
        # An XML declaration has to be the very first; some writers put a line before the packet.
        chunk = chunk if begun else chunk.lstrip(b"\0 \t\r\n")
        begun = begun or bool(chunk)
        try:
            parser.Parse(chunk)
        except (expat.ExpatError, RefusedXml, UnicodeError):
            break
        yield from packet.taken()
    yield from packet.taken()


def _refuse(*_: object) -> None:
    raise RefusedXml


@attrs.define
class _Property:
    """Property that is being read: its items so far, and the text of the one that is open."""

    name: str
    depth: int
    language: str = ""
    parts: list[str] = attrs.field(factory=list)
    items: list[tuple[str, str]] = attrs.field(factory=list)

    def close_item(self) -> None:
        """Take the parts read so far as an item; those of a structure, such as a place, become one."""
        text = ", ".join(part for part in map(str.strip, self.parts) if part)
        if text:
            self.items.append((self.language, text))
        self.parts.clear()

    def values(self) -> list[str]:
        """Return the items; of alternatives in several languages, the default one."""
        if not any(language for language, _ in self.items):
            return [text for _, text in self.items]
        return [dict(reversed(self.items)).get("x-default", self.items[0][1])]


class _Packet:
    """State of reading a packet: expat's handlers, and the fields found since they were taken."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._property: _Property | None = None
        self._found: list[Field] = []

    def taken(self) -> list[Field]:
        """Return the fields found since the last call."""
        found, self._found = self._found, []
        return found

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        if len(self._path) >= _MAX_DEPTH:
            raise RefusedXml
        within_description = bool(self._path) and self._path[-1] == _RDF + "Description"
        self._path.append(name)
        reading = self._property
        if reading is None and within_description and name in _NAMES:
            self._property = reading = _Property(_NAMES[name], len(self._path))
            reading.parts += _structure(attributes)
            return
        if reading is None:
            if name == _RDF + "Description":
                self._found += [Field("XMP", _NAMES[key], text) for key, text in attributes.items() if key in _NAMES]
            return
        if name == _RDF + "li" and len(self._path) == reading.depth + 2:
            reading.parts.clear()
            reading.language = attributes.get(_LANGUAGE, "")
        reading.parts += _structure(attributes)
        reading.parts.append("")

    def text(self, text: str) -> None:
        """Handle text."""
        if self._property:
            if not self._property.parts:
                self._property.parts.append("")
            self._property.parts[-1] += text

    def end(self, name: str) -> None:
        """Handle the end of an element."""
        depth, reading = len(self._path), self._property
        self._path.pop()
        if reading is None:
            return
        if name == _RDF + "li" and depth == reading.depth + 2:
            reading.close_item()
        elif depth == reading.depth:
            if not reading.items:
                reading.close_item()
            self._found += [Field("XMP", reading.name, text) for text in reading.values()]
            self._property = None
        else:
            reading.parts.append("")


def _structure(attributes: dict[str, str]) -> list[str]:
    """Return the fields of a structure that are written as attributes."""
    return [text for name, text in attributes.items() if name.startswith(_IPTC_EXTENSION)]
