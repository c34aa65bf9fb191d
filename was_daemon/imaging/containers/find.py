"""Choice of the container format, by the first bytes of a file."""

from collections.abc import Callable, Iterator

from was_daemon.imaging.containers.block import BinaryFile, Block, BlockKind
from was_daemon.imaging.containers.boxes import box_blocks
from was_daemon.imaging.containers.chunks import gif_blocks, png_blocks, webp_blocks
from was_daemon.imaging.containers.jpeg import jpeg_blocks
from was_daemon.imaging.containers.pdf import pdf_blocks
from was_daemon.imaging.containers.photoshop import psd_blocks
from was_daemon.imaging.containers.raw import mrw_blocks, raf_blocks, x3f_blocks
from was_daemon.imaging.containers.tiff import tiff_blocks

Walker = Callable[[BinaryFile], Iterator[Block]]


def _ciff_blocks(file: BinaryFile) -> Iterator[Block]:
    yield Block(BlockKind.CIFF, file)


_WALKERS: tuple[tuple[int, bytes, Walker], ...] = (
    (0, b"\xff\xd8", jpeg_blocks),
    (0, b"\x89PNG\r\n\x1a\n", png_blocks),
    (8, b"WEBP", webp_blocks),
    (0, b"GIF8", gif_blocks),
    (0, b"8BPS", psd_blocks),
    (4, b"ftyp", box_blocks),
    (4, b"jP  ", box_blocks),
    (4, b"JXL ", box_blocks),
    (0, b"FUJIFILMCCD-RAW", raf_blocks),
    (0, b"\0MRM", mrw_blocks),
    (0, b"FOVb", x3f_blocks),
    (6, b"HEAPCCDR", _ciff_blocks),
    (0, b"%PDF-", pdf_blocks),
    (0, b"II", tiff_blocks),
    (0, b"MM", tiff_blocks),
)
"""Walkers by the bytes at a position; the first that fits is used."""


def find_blocks(file: BinaryFile) -> Iterator[Block]:
    """Yield the metadata blocks of a file, the most important first; damaged files raise anything."""
    file.seek(0)
    head = file.read(16)
    for position, magic, walker in _WALKERS:
        if head[position : position + len(magic)] == magic:
            return walker(file)
    return iter(())
