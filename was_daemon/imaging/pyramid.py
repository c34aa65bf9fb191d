"""Writing of zoom pyramids: all tiles of a picture in one file that is also a zip archive."""

import os
import resource
from array import array
from collections.abc import Sequence
from io import BytesIO
from itertools import product
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import attrs
from PIL import Image

from was_daemon.imaging.full_size import Reader, readers
from was_daemon.imaging.libvips import builtin_errors, pyvips
from was_daemon.imaging.picture import is_uniform
from was_daemon.imaging.strips import FullSize
from was_daemon.model.errors import AssetNotFound, BrokenImage, NoThumbnail, UnreadableImage
from was_daemon.model.pyramids import TILE_SIZE, Geometry, PyramidIndex, Tile


@attrs.frozen
class _Tiles:
    """Tiles of one kind: the name of their directory in the archive, their format, and libvips' options for it."""

    name: str
    format: str
    options: str


_TILES = _Tiles("tiles", "jpg", "Q=82,keep=none")
_ALPHA = _Tiles("alpha", "png", "compression=1,keep=none")
"""Without loss: a colour that is shown through an alpha that is not its own is another one."""

_SPACE = 1 << 16
"""Bytes that libvips writes at a time at least."""

_LOCAL_HEADER = 30
"""Bytes of an entry's header before its name (APPNOTE.TXT, section 4.3.7)."""


def write_pyramid(source: BinaryIO, name: str, page: int, target: BinaryIO, max_pixels: int) -> None:
    """Write the pyramid of a page of the file `source` to `target`, replacing what it holds.

    `name` is the asset's name; the first page is 1. Raises `AssetNotFound` when there is no such page, `NoThumbnail`,
    and `BrokenImage`, also for a picture that does not fit into the memory this process may use.
    """
    short_of_memory = False
    uniform: Reader | None = None
    for read in readers(source, name, page, max_pixels):
        try:
            index = _write(read, target)
            if not _shows_nothing(target, index):
                return
            # As of thumbnails: a picture of one colour is believed when no other reader shows more.
            uniform = uniform or read
        except UnreadableImage:
            if not uniform:
                raise
        except (AssetNotFound, BrokenImage, NoThumbnail):
            raise
        except MemoryError:
            short_of_memory = True
        except Exception as error:  # damaged files make decoders raise anything; the next reader tries
            _require_space(target)
            short_of_memory = short_of_memory or "memory" in str(error).lower()
    if uniform:
        _write(uniform, target)
        return
    if short_of_memory:
        raise UnreadableImage(f"the picture needs more memory than the limit of {_memory_limit() >> 20} MiB")
    raise UnreadableImage("the picture is damaged or ends too early to show anything")


def _require_space(target: BinaryIO) -> None:
    """Raise OSError when the disk is full: libvips does not tell that from a damaged picture."""
    target.seek(0, os.SEEK_END)
    target.write(bytes(_SPACE))
    target.flush()


def _shows_nothing(target: BinaryIO, index: PyramidIndex) -> bool:
    """Return whether the smallest version of the picture is of one colour."""
    start, stop = index.span(index.geometry.tile(index.geometry.count - 1))
    target.seek(start)
    content = target.read(stop - start)
    # The daemon appends to the file, whose position it shares.
    target.seek(0, os.SEEK_END)
    with Image.open(BytesIO(content), formats=["JPEG"]) as image:
        return is_uniform(image)


def _write(read: Reader, target: BinaryIO) -> PyramidIndex:
    target.seek(0)
    target.truncate()
    picture = read()
    geometry = Geometry(picture.image.width, picture.image.height)
    _write_tiles(picture, pyvips.Target.new_to_descriptor(target.fileno()), _TILES)
    target.seek(0)
    if picture.has_alpha:
        _add_alpha(read(alpha=True), target)
    index = _index(target, geometry, picture, [_TILES, _ALPHA] if picture.has_alpha else [_TILES])
    target.seek(0, os.SEEK_END)
    target.write(index.pack())
    target.flush()
    return index


def _write_tiles(picture: FullSize, target: Any, tiles: _Tiles) -> None:
    image = picture.image
    # The names of its fields would come into the archive.
    image = image.copy(interpretation="srgb" if image.bands > 1 else "b-w", xres=1, yres=1)
    try:
        with builtin_errors():
            image.dzsave_target(
                target,
                layout="iiif3",
                container="zip",
                tile_size=TILE_SIZE,
                overlap=0,
                suffix=f".{tiles.format}[{tiles.options}]",
                basename=tiles.name,
            )
    finally:
        picture.end()
        picture.check()


def _add_alpha(alpha: FullSize, archive: BinaryIO) -> None:
    """Add the tiles of an alpha channel to an archive."""
    written = pyvips.Target.new_to_memory()
    _write_tiles(alpha, written, _ALPHA)
    with ZipFile(BytesIO(written.get("blob"))) as tiles, ZipFile(archive, "a", ZIP_STORED) as whole:
        for entry in tiles.infolist():
            if entry.filename.endswith(_ALPHA.format):
                whole.writestr(ZipInfo(entry.filename), tiles.read(entry))


def _index(archive: BinaryIO, geometry: Geometry, picture: FullSize, kinds: Sequence[_Tiles]) -> PyramidIndex:
    """Return the index of the tiles of a picture in an archive, of one kind after the other."""
    entries = {entry.filename: entry for entry in ZipFile(archive).infolist()}
    offsets, lengths, checksums = array("Q"), array("I"), array("I")
    for kind, tile in product(kinds, geometry.tiles()):
        entry = entries[_entry_name(tile, geometry, kind)]
        if entry.compress_type != ZIP_STORED:
            raise ValueError("a tile is compressed")
        archive.seek(entry.header_offset)
        header = archive.read(_LOCAL_HEADER)
        names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        offsets.append(entry.header_offset + _LOCAL_HEADER + names)
        lengths.append(entry.file_size)
        checksums.append(entry.CRC)
    return PyramidIndex(geometry, picture.pages, picture.mode == "L", offsets, lengths, checksums)


def _entry_name(tile: Tile, geometry: Geometry, kind: _Tiles) -> str:
    """Return the name that libvips gives to a tile: its canonical address in version 3 of the Image API."""
    region = tile.region
    is_all = region.size == (geometry.width, geometry.height)
    part = "full" if is_all else f"{region.x},{region.y},{region.width},{region.height}"
    return f"{kind.name}/{part}/{tile.size[0]},{tile.size[1]}/0/default.{kind.format}"


def _memory_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_AS)[0]
