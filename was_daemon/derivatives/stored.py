"""Thumbnails as they lie in a store: opened, told apart, and found without listing them all."""

import os
import stat
from collections.abc import Iterable
from contextlib import aclosing, suppress
from io import FileIO

from was_daemon.imaging.formats import png_owner
from was_daemon.model.errors import AssetNotFound, StoreFailed
from was_daemon.model.interfaces import IAssetReader, IAssetStore, ILocalFiles, IStagingFile
from was_daemon.model.keys import MAX_DIGITS, THUMBNAIL_NAME, AssetKey, Kind
from was_daemon.stores.local.directories import Entry
from was_daemon.stores.memory_reader import MemoryReader

_OWNER_BYTES = 1024
_HELD_BYTES = 4 << 20


async def open_thumbnail(store: IAssetStore, thumbnail: AssetKey) -> IAssetReader:
    """Open a thumbnail; raises `AssetNotFound`, also when another one takes its place while it is fetched.

    A remote store's is fetched whole: its server may not keep a version that is open, and a thumbnail is replaced
    whenever two originals share its name.
    """
    reader = await store.open(thumbnail)
    if ILocalFiles.providedBy(store) or reader.stat.size > _HELD_BYTES:
        return reader
    try:
        return MemoryReader(await read_all(reader), reader.stat)
    except StoreFailed:
        raise AssetNotFound("the thumbnail was replaced") from None
    finally:
        await reader.close()


async def _read(reader: IAssetReader, size: int) -> bytes:
    async with aclosing(reader.read(0, size)) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def read_all(reader: IAssetReader) -> bytes:
    """The whole of a thumbnail."""
    return await _read(reader, reader.stat.size)


def in_memory(content: bytes) -> FileIO:
    """A file with these bytes, on no disk."""
    file = FileIO(os.memfd_create("thumbnail"), "r+b")
    file.write(content)
    file.seek(0)
    return file


async def content_of(staged: IStagingFile) -> bytes | None:
    """What is in a staging file; None when it is too much to be held."""
    content = b""
    async with aclosing(staged.read()) as chunks:
        async for chunk in chunks:
            content += chunk
            if len(content) > _HELD_BYTES:
                return None
    return content


def is_thumbnail_of(thumbnail: AssetKey, prefix: str, key: AssetKey) -> bool:
    """Whether the rest of a name that starts with `prefix` is a scale and the extension of thumbnails of `key`."""
    scale = thumbnail.name.removeprefix(prefix).removesuffix(key.thumbnail_extension)
    is_scale = scale.isascii() and scale.isdigit()
    return is_scale and thumbnail.name == f"{prefix}{scale}{key.thumbnail_extension}"


async def belongs_to(reader: IAssetReader, thumbnail: AssetKey, key: AssetKey) -> bool:
    """Whether a thumbnail is one of `key`'s: `a.tif`, `a.pdf` and `a.png` all have thumbnails called `a_123.png`.

    A PNG of ours says whose it is; what does not say so was made by the official server and belongs to any of them.
    """
    if not thumbnail.name.endswith(".png"):
        return True
    return png_owner(await _read(reader, _OWNER_BYTES)) in (None, key.name)


async def owner_of(store: IAssetStore, thumbnail: AssetKey) -> str | None:
    """The name of the original that a stored PNG says it belongs to; raises `AssetNotFound`."""
    reader = await open_thumbnail(store, thumbnail)
    try:
        return png_owner(await _read(reader, _OWNER_BYTES))
    finally:
        await reader.close()


async def remove(store: IAssetStore, thumbnail: AssetKey, key: AssetKey) -> None:
    """Remove a thumbnail, if there is one and it is one of `key`'s."""
    with suppress(AssetNotFound):
        reader = await open_thumbnail(store, thumbnail)
        try:
            mine = await belongs_to(reader, thumbnail, key)
        finally:
            await reader.close()
        if mine:
            await store.delete(thumbnail)


def beginning(key: AssetKey, digits: int) -> str:
    """How the names begin of the thumbnails of `key` whose scales have that many digits."""
    scale = 10 ** (digits - 1)
    return key.thumbnail(scale).name.removesuffix(f"{scale}{key.thumbnail_extension}")


def remove_files(files: ILocalFiles, key: AssetKey, scales: Iterable[int]) -> None:
    """Remove the thumbnails of `key` of these scales; blocks. What else has such a name, such as a link, stays."""
    beginnings = [beginning(key, digits) for digits in range(1, MAX_DIGITS + 1)]
    by_directory: dict[str, list[str]] = {}
    for scale in scales:
        number = str(scale)
        name = f"{beginnings[len(number) - 1]}{number}{key.thumbnail_extension}"
        # The directory depends on the first characters only, however the store arranges its files.
        by_directory.setdefault(name[:4], []).append(name)
    for names in by_directory.values():
        any_of_them = AssetKey(key.collection, Kind.THUMBNAIL, names[0])
        with suppress(FileNotFoundError, NotADirectoryError), files.directory(any_of_them) as directory:
            for name in names:
                _remove_file(Entry(directory, name), key)


def _remove_file(entry: Entry, key: AssetKey) -> None:
    try:
        is_file = stat.S_ISREG(entry.lstat().st_mode)
    except FileNotFoundError:
        # Nearly always: all scales are tried, as that costs the same however many thumbnails there are.
        return
    with suppress(FileNotFoundError):
        if is_file and (key.thumbnail_extension != ".png" or _file_owner(entry) in (None, key.name)):
            entry.unlink()


def remove_remains(files: ILocalFiles, key: AssetKey, in_use: Iterable[int], scales: Iterable[int]) -> None:
    """Remove those of the scales `in_use`, or of all `scales` where something else has the name of `key`; blocks."""
    remove_files(files, key, scales if os.path.lexists(files.path(key)) else in_use)


def scales_in(files: ILocalFiles, collection: str) -> set[int]:
    """The scales of which there are thumbnails in a collection; blocks."""
    names = (THUMBNAIL_NAME.fullmatch(entry.name) for entry in files.files(collection, Kind.THUMBNAIL))
    return {int(name["scale"]) for name in names if name}


def _file_owner(entry: Entry) -> str | None:
    fd = entry.open(os.O_RDONLY)
    try:
        return png_owner(os.read(fd, _OWNER_BYTES))
    finally:
        os.close(fd)
