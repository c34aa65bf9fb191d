"""Orientation of a picture by the EXIF block of its file, whatever the container format is."""

from contextlib import suppress
from typing import BinaryIO

from was_daemon.imaging.bounded_file import BoundedFile
from was_daemon.imaging.containers.block import BinaryFile, BlockKind
from was_daemon.imaging.containers.find import find_blocks
from was_daemon.imaging.containers.ifd import TiffFile

_ORIENTATION = 0x0112


def stated_orientation(file: BinaryIO) -> int | None:
    """Return the orientation in the EXIF of a file; None without one."""
    with suppress(Exception):  # damaged EXIF raises anything
        for block in find_blocks(BoundedFile(file)):
            if block.kind is BlockKind.TIFF and (found := _first_number(block.file, _ORIENTATION)) in range(1, 9):
                return found
    return None


def _first_number(file: BinaryFile, tag: int) -> int | None:
    tiff = TiffFile(file)
    for entry in tiff.directory(tiff.first)[0]:
        if entry.tag == tag:
            return int(tiff.numbers(entry)[0])
    return None
