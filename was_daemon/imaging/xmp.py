"""XMP metadata: the properties that collections use (XMP specification, part 1 = ISO 16684-1; IPTC Photo Metadata).

The packet is read as it comes, up to a limit of size, without a tree in memory. A document type is refused: nothing
that is XMP has one, and entities come with it.
"""

import codecs
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from xml.parsers import expat

import attrs

from was_daemon.imaging.containers.block import MAX_BLOCK_BYTES, BinaryFile
from was_daemon.imaging.field import Field

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DESCRIPTION, _ITEM = f"{_RDF} Description", f"{_RDF} li"
_LANGUAGE = "http://www.w3.org/XML/1998/namespace lang"
_IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"

_PROPERTIES = {
    "http://purl.org/dc/elements/1.1/": {
        **{name: name.capitalize() for name in ("title", "creator", "contributor", "rights", "description", "source")},
        **{name: name.capitalize() for name in ("publisher", "identifier", "coverage", "language")},
        "subject": "Keywords",
    },
    "http://ns.adobe.com/photoshop/1.0/": {
        **{name: name for name in ("Credit", "Headline", "Source", "Instructions", "TransmissionReference")},
        **{name: name for name in ("City", "State", "Country", "DateCreated")},
        "AuthorsPosition": "CreatorTitle",
        "CaptionWriter": "DescriptionWriter",
    },
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": {name: name for name in ("Location", "CountryCode")},
    _IPTC_EXTENSION: {name: name for name in ("LocationCreated", "LocationShown")},
    "http://ns.adobe.com/xap/1.0/rights/": {name: name for name in ("UsageTerms", "WebStatement", "Owner")},
    "http://ns.adobe.com/xap/1.0/": {name: name for name in ("CreateDate", "Rating", "Label")},
    "http://ns.adobe.com/tiff/1.0/": {name: name for name in ("Make", "Model")},
    "http://ns.adobe.com/exif/1.0/": {
        **{name: name for name in ("DateTimeOriginal", "ExposureTime", "FNumber", "FocalLength")},
        **{name: name for name in ("GPSLatitude", "GPSLongitude", "GPSAltitude")},
    },
    "http://cipa.jp/exif/1.0/": {"LensModel": "LensModel"},
    "http://ns.adobe.com/exif/1.0/aux/": {"Lens": "Lens"},
}
_NAMES = {f"{space} {name}": field for space, names in _PROPERTIES.items() for name, field in names.items()}
"""Names of properties in the group XMP; what means the same has the same name in the group IPTC."""

_DATES = frozenset({"CreateDate", "DateCreated", "DateTimeOriginal"})
_ISO_DATE = re.compile(r"\d{4}(-\d\d){0,2}(T|$)", re.ASCII)
_RATIONALS = frozenset({"ExposureTime", "FNumber", "FocalLength", "GPSAltitude"})
_FRACTION = re.compile(r"-?\d{1,12}/\d{1,12}", re.ASCII)

_OTHER_ENCODING = re.compile(
    rb"""\xff\xfe|\xfe\xff|.?\0|<\?xml[^>]{0,100}\sencoding\s*=\s*["'](?!utf-?8["'])""", re.IGNORECASE | re.DOTALL
)
"""Beginnings of packets that are not in UTF-8."""

_INVALID = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\ufffd-\uffff]|&#(?:x(?P<hex>[0-9A-Fa-f]{1,8})|(?P<decimal>[0-9]{1,8}));", re.ASCII
)
"""Characters that XML 1.0 does not allow (section 2.2), the mark of bytes that are not UTF-8, and references."""

_MAX_REFERENCE = 12
_SURROGATES = (0xD800, 0xDFFF)

_CHUNK = 1 << 16
_MAX_DEPTH = 100


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
    for piece in _pieces(file):
        try:
            parser.Parse(piece)
        except (expat.ExpatError, RefusedXml, UnicodeError):
            break
        yield from packet.taken()
    yield from packet.taken()


def _pieces(file: BinaryFile) -> Iterator[str | bytes]:
    """Yield a packet in pieces, up to the limit: in UTF-8 as text, in another encoding as it is.

    Bytes that are not UTF-8, and characters that XML does not allow, are replaced: some programs write Latin-1, or what
    a scanner of bar codes has sent.
    """
    # An XML declaration has to be the very first; some writers put an empty line before the packet.
    chunk = file.read(_CHUNK).lstrip()
    left = MAX_BLOCK_BYTES
    decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
    is_utf8 = not _OTHER_ENCODING.match(chunk)
    rest = ""
    while chunk and left > 0:
        left -= len(chunk)
        if is_utf8:
            text = rest + decode(chunk)
            # A reference may continue in the next chunk.
            end = text.rfind("&", -_MAX_REFERENCE)
            text, rest = (text, "") if end < 0 else (text[:end], text[end:])
            yield _INVALID.sub(_replacement, text)
        else:
            yield chunk
        chunk = file.read(_CHUNK)
    yield _INVALID.sub(_replacement, rest + decode(b"", final=True))


def _replacement(match: re.Match[str]) -> str:
    """Return what XML allows instead of an invalid character, or a reference unless it is to one."""
    if match["hex"] or match["decimal"]:
        code = int(match["hex"], 16) if match["hex"] else int(match["decimal"])
        is_valid = code < _SURROGATES[0] or _SURROGATES[1] < code <= sys.maxunicode
        return match[0] if is_valid and not _INVALID.match(chr(code)) else " "
    return "?" if match[0] == "\ufffd" else " "


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

    def open(self, attributes: dict[str, str], is_item: bool) -> None:
        """Begin an element of this property, maybe an item; fields of a structure may be written as attributes."""
        if is_item:
            self.parts.clear()
            self.language = attributes.get(_LANGUAGE, "")
        self.parts += [text for name, text in attributes.items() if name.startswith(_IPTC_EXTENSION)]
        self.parts.append("")

    def close_item(self) -> None:
        """Take the parts read so far as an item; those of a structure, such as a place, become one."""
        text = ", ".join(part for part in map(str.strip, self.parts) if part)
        if text:
            self.items.append((self.language, text))
        self.parts[:] = [""]

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
        is_property = self._path[-1:] == [_DESCRIPTION] and name in _NAMES
        self._path.append(name)
        if self._property:
            is_item = name == _ITEM and len(self._path) == self._property.depth + 2
            self._property.open(attributes, is_item)
        elif is_property:
            self._property = _Property(_NAMES[name], len(self._path))
            self._property.open(attributes, is_item=False)
        elif name == _DESCRIPTION:
            # A simple property may be written as an attribute.
            for key, text in attributes.items():
                if key in _NAMES:
                    self._add(_NAMES[key], text)

    def text(self, text: str) -> None:
        """Handle text."""
        if self._property:
            self._property.parts[-1] += text

    def end(self, name: str) -> None:
        """Handle the end of an element."""
        depth, reading = len(self._path), self._property
        self._path.pop()
        if reading is None:
            return
        if name == _ITEM and depth == reading.depth + 2:
            reading.close_item()
        elif depth == reading.depth:
            if not reading.items:
                reading.close_item()
            for text in reading.values():
                self._add(reading.name, text)
            self._property = None
        else:
            reading.parts.append("")

    def _add(self, name: str, text: str) -> None:
        self._found.append(Field("XMP", name, _form(name, text.strip())))


def _form(name: str, text: str) -> str:
    """Return dates and rational numbers in the form that they have in EXIF; all else as it is."""
    if name in _DATES and _ISO_DATE.match(text):
        date, _, time = text.partition("T")
        return f"{date.replace('-', ':')} {time}".strip()
    if name in _RATIONALS and _FRACTION.fullmatch(text):
        with suppress(ZeroDivisionError):
            return str(Fraction(text))
    return text
