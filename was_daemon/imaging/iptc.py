"""IPTC metadata: the datasets of records 1 and 2 (IPTC-NAA Information Interchange Model 4.2)."""

from collections.abc import Iterator

from was_daemon.imaging.containers.block import MAX_BLOCK_BYTES, BinaryFile
from was_daemon.imaging.field import Field

_MARKER = 0x1C
_CHARACTER_SET = (1, 90)
_UTF8 = b"\x1b%G"
_DATE, _TIME = "DateCreated", "TimeCreated"
_NAMES = {
    5: "Title",
    25: "Keywords",
    40: "Instructions",
    55: _DATE,
    60: _TIME,
    80: "Creator",
    85: "CreatorTitle",
    90: "City",
    92: "Location",
    95: "State",
    100: "CountryCode",
    101: "Country",
    103: "TransmissionReference",
    105: "Headline",
    110: "Credit",
    115: "Source",
    116: "Rights",
    118: "Contact",
    120: "Description",
    122: "DescriptionWriter",
}
"""Names of the datasets of record 2; what means the same has the same name in the group XMP."""


def read_iptc(file: BinaryFile) -> Iterator[Field]:
    """Yield the fields of a block; one that is repeated, as keywords are, comes several times."""
    is_utf8 = False
    for dataset, value in _datasets(file.read(MAX_BLOCK_BYTES)):
        record, number = dataset
        if dataset == _CHARACTER_SET:
            is_utf8 = value == _UTF8
        elif record == 2 and number in _NAMES:
            yield Field("IPTC", _NAMES[number], _form(_NAMES[number], _decoded(value, is_utf8)))


def _datasets(data: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield record and number of each dataset, and its value (IIM, section 1.5)."""
    position = 0
    while data[position : position + 1] == bytes([_MARKER]) and position + 5 <= len(data):
        size, start = int.from_bytes(data[position + 3 : position + 5], "big"), position + 5
        if size & 0x8000:
            digits = size & 0x7FFF
            size, start = int.from_bytes(data[start : start + digits], "big"), start + digits
        yield (data[position + 1], data[position + 2]), data[start : start + size]
        position = start + size


def _decoded(value: bytes, is_utf8: bool) -> str:
    """Return the text; few writers say that it is UTF-8, and those before 2000 mean Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("utf-8" if is_utf8 else "latin-1", "replace")


def _form(name: str, text: str) -> str:
    """Return dates and times in EXIF's form instead of `CCYYMMDD` and `HHMMSS±HHMM`."""
    if name == _DATE and len(text) == 8:
        return f"{text[:4]}:{text[4:6]}:{text[6:]}"
    if name == _TIME and len(text) in (6, 11):
        zone = f"{text[6:9]}:{text[9:]}" if text[6:] else ""
        return f"{text[:2]}:{text[2:4]}:{text[4:6]}{zone}"
    return text
