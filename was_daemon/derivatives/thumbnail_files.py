"""Names and owners of stored thumbnails: found by their original's name, without listing all of them."""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress

from was_daemon.derivatives.marks import has_mark
from was_daemon.derivatives.stored import open_stored, read_beginning
from was_daemon.imaging.png_owner import png_owner
from was_daemon.model.interfaces import IAssetReader, IAssetStore, ILocalFiles
from was_daemon.model.keys import MAX_DIGITS, THUMBNAIL_NAME, AssetKey, Kind
from was_daemon.stores.local.directories import Entry

_OWNER_BYTES = 1024
"""Bytes at the beginning of a PNG in which its owner is recorded."""


def is_thumbnail_of(thumbnail: AssetKey, prefix: str, original: AssetKey, max_scale: int | None = None) -> bool:
    """Return whether a name is `prefix`, a scale up to `max_scale`, and the extension of thumbnails of `original`."""
    scale = thumbnail.name.removeprefix(prefix).removesuffix(original.thumbnail_extension)
    is_scale = (
        scale.isascii() and scale.isdigit() and len(scale) <= MAX_DIGITS and (not max_scale or int(scale) <= max_scale)
    )
    return is_scale and thumbnail.name == f"{prefix}{scale}{original.thumbnail_extension}"


async def belongs_to(reader: IAssetReader, thumbnail: AssetKey, original: AssetKey) -> bool:
    """Fire with whether a thumbnail is of `original`: `a.tif`, `a.pdf` and `a.png` share the name `a_123.png`.

    A PNG made by this daemon names its original. A PNG without a name was made by the official server, and is taken to
    be a thumbnail of any of them.
    """
    if not thumbnail.name.endswith(".png"):
        return True
    return png_owner(await read_beginning(reader, _OWNER_BYTES)) in (None, original.name)


async def owner_of(store: IAssetStore, thumbnail: AssetKey) -> str | None:
    """Fire with the original's name that is recorded in a stored PNG; raises `AssetNotFound`."""
    reader = await open_stored(store, thumbnail)
    try:
        return png_owner(await read_beginning(reader, _OWNER_BYTES))
    finally:
        await reader.close()


def beginning(original: AssetKey, digits: int) -> str:
    """Return the common beginning of the names of an original's thumbnails whose scales have `digits` digits."""
    scale = 10 ** (digits - 1)
    return original.thumbnail(scale).name.removesuffix(f"{scale}{original.thumbnail_extension}")


def remove_files(files: ILocalFiles, original: AssetKey, scales: Iterable[int], only_marked: bool = False) -> None:
    """Remove the thumbnails of an original of these scales, but no links and directories of such names; blocks.

    With `only_marked`, where no original tells that they are thumbnails, only files that carry a mark.
    """
    beginnings = [beginning(original, digits) for digits in range(1, MAX_DIGITS + 1)]
    by_directory: dict[str, list[str]] = {}
    for scale in scales:
        number = str(scale)
        name = f"{beginnings[len(number) - 1]}{number}{original.thumbnail_extension}"
        # The directory depends on the first characters only, however the store arranges its files.
        by_directory.setdefault(name[:4], []).append(name)
    for names in by_directory.values():
        any_of_them = AssetKey(original.collection, Kind.THUMBNAIL, names[0])
        with suppress(FileNotFoundError, NotADirectoryError), files.directory(any_of_them) as directory:
            for name in names:
                _remove_file(Entry(directory, name), original, only_marked)


def _remove_file(entry: Entry, original: AssetKey, only_marked: bool) -> None:
    try:
        is_file = stat.S_ISREG(entry.lstat().st_mode)
    except FileNotFoundError:
        # Nearly always: all scales are tried, as that costs the same however many thumbnails there are.
        return
    # A file that this daemon may not read is not its own.
    with suppress(FileNotFoundError, PermissionError):
        is_own = is_file and (original.thumbnail_extension != ".png" or _file_owner(entry) in (None, original.name))
        if is_own and (not only_marked or has_mark(entry)):
            entry.unlink()


def remove_remains(files: ILocalFiles, original: AssetKey, in_use: Iterable[int], scales: Iterable[int]) -> None:
    """Remove marked thumbnails of the scales `in_use`, or of all `scales` if a file has the original's name; blocks."""
    remove_files(files, original, scales if os.path.lexists(files.path(original)) else in_use, only_marked=True)


def scales_in(files: ILocalFiles, collection: str) -> set[int]:
    """Return the scales of the thumbnails stored in a collection; blocks."""
    names = (THUMBNAIL_NAME.fullmatch(entry.name) for entry in files.files(collection, Kind.THUMBNAIL))
    return {int(name["scale"]) for name in names if name}


def _file_owner(entry: Entry) -> str | None:
    fd = entry.open(os.O_RDONLY)
    try:
        return png_owner(os.read(fd, _OWNER_BYTES))
    finally:
        os.close(fd)
