"""Metadata in JPEG files: EXIF and XMP in APP1, IPTC in Photoshop's APP13 (Exif 3.0, 4.7.2; XMP part 3, 1.1.3)."""

from collections.abc import Iterator
from io import BytesIO

from was_daemon.imaging.containers.block import MAX_BLOCK_BYTES, BinaryFile, Block, BlockKind, FilePart
from was_daemon.imaging.containers.photoshop import resource_blocks

_APP1, _APP13 = 0xE1, 0xED
_START_OF_SCAN, _END = 0xDA, 0xD9
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_EXIF = b"Exif\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_GUID_BYTES = 32
_PHOTOSHOP = b"Photoshop 3.0\0"
_MAX_GARBAGE = 1 << 16
"""Bytes in which the next segment is looked for when a length was wrong."""


def jpeg_blocks(file: BinaryFile) -> Iterator[Block]:
    """Yield the blocks of a JPEG file, or of the first picture of an MPO file."""
    photoshop, packet, extended = b"", b"", _ExtendedXmp()
    for marker, start, size in _segments(file):
        file.seek(start)
        identifier = file.read(min(size, len(_EXTENDED_XMP)))
        if marker == _APP1 and identifier.startswith(_EXIF):
            yield Block(BlockKind.TIFF, FilePart(file, start + 6, size - 6))
        elif marker == _APP1 and identifier.startswith(_XMP):
            packet = packet or FilePart(file, start + len(_XMP), size - len(_XMP)).read()
            yield Block(BlockKind.XMP, FilePart(file, start + len(_XMP), size - len(_XMP)))
        elif marker == _APP1 and identifier == _EXTENDED_XMP:
            extended.add(FilePart(file, start + len(_EXTENDED_XMP), size - len(_EXTENDED_XMP)))
        elif marker == _APP13 and identifier.startswith(_PHOTOSHOP) and len(photoshop) < MAX_BLOCK_BYTES:
            # Resources that do not fit into one segment go on in the next.
            photoshop += FilePart(file, start + len(_PHOTOSHOP), size - len(_PHOTOSHOP)).read()
    yield from extended.blocks(packet)
    yield from resource_blocks(BytesIO(photoshop), 0, len(photoshop), is_jpeg=True)


class _ExtendedXmp:
    """Parts of packets that are too long for one segment (XMP specification, part 3, section 1.1.3.1)."""

    def __init__(self) -> None:
        self._parts: dict[bytes, dict[int, bytes]] = {}
        self._left = MAX_BLOCK_BYTES

    def add(self, segment: FilePart) -> None:
        """Add the part in a segment, until they are as much as is read of a block."""
        guid = segment.read(_GUID_BYTES)
        segment.seek(4, 1)
        offset = int.from_bytes(segment.read(4), "big")
        part = segment.read(self._left)
        self._left -= len(part)
        self._parts.setdefault(guid, {})[offset] = part

    def blocks(self, packet: bytes) -> Iterator[Block]:
        """Yield the block that the standard `packet` names, up to the first part that is missing."""
        for guid, parts in self._parts.items():
            if len(guid) < _GUID_BYTES or guid not in packet:
                continue
            data = b""
            while part := parts.get(len(data)):
                data += part
            yield Block(BlockKind.XMP, BytesIO(data))


def _segments(file: BinaryFile) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and size of each segment before the picture's data (ITU T.81, annex B.1.1)."""
    position = 2
    while True:
        file.seek(position)
        head = file.read(4)
        if len(head) < 4:
            return
        marker = head[1]
        if head[0] != 0xFF or marker == 0:
            file.seek(position)
            skipped = file.read(_MAX_GARBAGE).find(b"\xff", 1)
            if skipped < 0:
                return
            position += skipped
        elif marker == 0xFF:
            position += 1
        elif marker in _WITHOUT_LENGTH:
            position += 2
        elif marker in (_START_OF_SCAN, _END):
            return
        else:
            size = int.from_bytes(head[2:], "big")
            yield marker, position + 4, size - 2
            position += 2 + max(size, 2)
