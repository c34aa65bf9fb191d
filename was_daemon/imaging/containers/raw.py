"""Metadata in camera RAW files that are no TIFF files: Fujifilm RAF, Minolta MRW, Sigma X3F."""

from collections.abc import Iterator

from was_daemon.imaging.containers.block import BinaryFile, Block, BlockKind, FilePart
from was_daemon.imaging.containers.jpeg import jpeg_blocks
from was_daemon.imaging.containers.tiff import tiff_blocks

_RAF_JPEG = 84
_IMAGE_HEADER = 28
_JPEG_FORMAT = 18
_MAX_SECTIONS = 100


def raf_blocks(file: BinaryFile) -> Iterator[Block]:
    """Yield the blocks of a Fujifilm file, which are those of the JPEG in it."""
    file.seek(_RAF_JPEG)
    start, size = int.from_bytes(file.read(4), "big"), int.from_bytes(file.read(4), "big")
    yield from jpeg_blocks(FilePart(file, start, size))


def mrw_blocks(file: BinaryFile) -> Iterator[Block]:
    """Yield the blocks of the TIFF file that a Minolta file has before the sensor's data."""
    file.seek(4)
    position, end = 8, 8 + int.from_bytes(file.read(4), "big")
    while position + 8 <= end:
        file.seek(position)
        name, size = file.read(4), int.from_bytes(file.read(4), "big")
        if not name:
            return
        if name == b"\0TTW":
            yield from tiff_blocks(FilePart(file, position + 8, size))
        position += 8 + size


def x3f_blocks(file: BinaryFile) -> Iterator[Block]:
    """Yield the blocks of a Sigma file: EXIF in its JPEG, if it has one, and its list of properties."""
    end = file.seek(0, 2)
    file.seek(end - 4)
    file.seek(int.from_bytes(file.read(4), "little"))
    if file.read(4) != b"SECd":
        return
    file.seek(4, 1)
    directory = file.read(12 * min(int.from_bytes(file.read(4), "little"), _MAX_SECTIONS))
    properties = []
    for entry in range(0, len(directory) - 11, 12):
        start, size = (int.from_bytes(directory[at : at + 4], "little") for at in (entry, entry + 4))
        name, part = directory[entry + 8 : entry + 12], FilePart(file, start, size)
        if name == b"PROP":
            properties.append(Block(BlockKind.SIGMA, part))
        elif name in (b"IMAG", b"IMA2") and _image_format(part) == _JPEG_FORMAT:
            yield from jpeg_blocks(FilePart(file, start + _IMAGE_HEADER, size - _IMAGE_HEADER))
    yield from properties


def _image_format(part: FilePart) -> int:
    part.seek(12)
    return int.from_bytes(part.read(4), "little")
