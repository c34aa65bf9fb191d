"""Reading and writing the bytes of derivatives."""

from contextlib import aclosing

from was_daemon.model.errors import AssetNotFound, StoreFailed
from was_daemon.model.interfaces import IAssetReader, IAssetStore, ILocalFiles, IStagingFile
from was_daemon.model.keys import AssetKey
from was_daemon.stores.memory_reader import MemoryReader

_HELD_BYTES = 4 << 20
"""The largest derivative that is kept in memory while it is sent."""


async def open_stored(store: IAssetStore, derivative: AssetKey) -> IAssetReader:
    """Open a stored derivative; raises `AssetNotFound`, also when it is replaced while it is fetched.

    The derivative of a remote store is fetched whole: its server may not keep a version that is open, and a thumbnail
    is replaced whenever two originals share its name.
    """
    reader = await store.open(derivative)
    if ILocalFiles.providedBy(store) or reader.stat.size > _HELD_BYTES:
        return reader
    try:
        return MemoryReader(await read_all(reader), reader.stat)
    except StoreFailed:
        raise AssetNotFound("the derivative was replaced") from None
    finally:
        await reader.close()


async def read_all(reader: IAssetReader) -> bytes:
    """Fire with all bytes of a derivative."""
    return await read_beginning(reader, reader.stat.size)


async def read_beginning(reader: IAssetReader, size: int) -> bytes:
    """Fire with the first `size` bytes of a derivative."""
    async with aclosing(reader.read(0, size)) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def content_of(staged: IStagingFile) -> bytes | None:
    """Fire with the content of a staging file; None when it is too large to be kept in memory."""
    content = b""
    async with aclosing(staged.read()) as chunks:
        async for chunk in chunks:
            content += chunk
            if len(content) > _HELD_BYTES:
                return None
    return content
