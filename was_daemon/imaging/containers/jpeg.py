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
_PHOTOSHOP = b"Photoshop 3.0\0"
_MAX_GARBAGE = 1 << 16
"""Bytes in which the next segment is looked for when a length was wrong."""


def jpeg_blocks(file: BinaryFile) -> Iterator[Block]:
    """Yield the blocks of a JPEG file, or of the first picture of an MPO file."""
    photoshop = b""
    for marker, start, size in _segments(file):
        file.seek(start)
        identifier = file.read(min(size, len(_XMP)))
        if marker == _APP1 and identifier.startswith(_EXIF):
            yield Block(BlockKind.TIFF, FilePart(file, start + 6, size - 6))
        elif marker == _APP1 and identifier == _XMP:
            yield Block(BlockKind.XMP, FilePart(file, start + len(_XMP), size - len(_XMP)))
        elif marker == _APP13 and identifier.startswith(_PHOTOSHOP) and len(photoshop) < MAX_BLOCK_BYTES:
            # Resources that do not fit into one segment go on in the next.
            photoshop += FilePart(file, start + len(_PHOTOSHOP), size - len(_PHOTOSHOP)).read()
    yield from resource_blocks(BytesIO(photoshop), 0, len(photoshop), is_jpeg=True)


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
