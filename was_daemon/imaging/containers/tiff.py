"""Metadata in TIFF files, DNG and most camera RAW files: beside EXIF, XMP and IPTC in tags of the first directory."""

import struct
from collections.abc import Iterator
from io import BytesIO

from was_daemon.imaging.containers.block import MAX_BLOCK_BYTES, BinaryFile, Block, BlockKind, FilePart
from was_daemon.imaging.containers.ifd import LONG, TiffFile
from was_daemon.imaging.containers.jpeg import jpeg_blocks
from was_daemon.imaging.containers.photoshop import resource_blocks

_PANASONIC_JPEG, _XMP, _IPTC, _PHOTOSHOP = 0x2E, 0x2BC, 0x83BB, 0x8649
_IPTC_MARKER = 0x1C


def tiff_blocks(file: BinaryFile) -> Iterator[Block]:
    """Yield the blocks of a TIFF file; the file is itself an EXIF block."""
    yield Block(BlockKind.TIFF, file)
    tiff = TiffFile(file)
    for entry in tiff.directory(tiff.first)[0]:
        part = FilePart(file, entry.position, entry.size)
        if entry.tag == _XMP:
            yield Block(BlockKind.XMP, part)
        elif entry.tag == _IPTC:
            yield Block(BlockKind.IPTC, BytesIO(_iptc(part, entry.type, tiff.order)))
        elif entry.tag == _PHOTOSHOP:
            yield from resource_blocks(file, entry.position, entry.size, is_jpeg=True)
        elif entry.tag == _PANASONIC_JPEG:
            yield from jpeg_blocks(part)


def _iptc(part: FilePart, field_type: int, order: str) -> bytes:
    """Return the datasets of an entry, which some writers declare to be numbers of four bytes in the file's order."""
    data = part.read(MAX_BLOCK_BYTES)
    if field_type == LONG and data[:1] != bytes([_IPTC_MARKER]):
        words = len(data) // 4
        data = struct.pack(f">{words}I", *struct.unpack(f"{order}{words}I", data[: 4 * words]))
    return data
