"""Versions of files on an SFTP server: looked at, and opened. Runs in the event loop."""

import asyncio
import stat

import asyncssh
import attrs

from was_daemon.model.errors import AssetError, AssetNotFound, VersionGone
from was_daemon.model.interfaces import AssetStat
from was_daemon.stores.sftp.session import REFUSALS, SFTPSession, ignore, read, write

SMALL = 32768
"""Size of files that are read as they are opened; every server reads as much at a time."""


def file_type(attributes: asyncssh.SFTPAttrs) -> int | None:
    """Return `stat.S_IFREG` or another type; None when the server does not tell, as many on Windows do not."""
    return stat.S_IFMT(attributes.permissions or 0) or None


def asset_stat(attributes: asyncssh.SFTPAttrs) -> AssetStat:
    """Return the version that a file's attributes describe. Raises `AssetNotFound` when it is no regular file."""
    if file_type(attributes) not in (stat.S_IFREG, None):
        raise AssetNotFound("no such asset")
    size, modified = attributes.size or 0, attributes.mtime or 0
    return AssetStat(size, float(modified), f"{int(modified):x}-{size:x}")


async def is_link(session: SFTPSession, path: bytes) -> bool:
    """Return whether `path` is a link, for servers whose attributes do not tell."""
    try:
        await session.request("read a link (READLINK)", lambda: session.sftp.readlink(path), path)
    except REFUSALS:
        return False
    return True


async def look(session: SFTPSession, path: bytes) -> AssetStat:
    """Return the version of the regular file at `path`. Raises `AssetNotFound`."""
    attributes = await session.lstat(path)
    version = asset_stat(attributes)
    if file_type(attributes) is None and await is_link(session, path):
        raise AssetNotFound("no such asset")
    return version


@attrs.frozen
class OpenVersion:
    """Version of a file, and either all of its `content` or the open `file`."""

    stat: AssetStat
    content: bytes | None
    file: asyncssh.SFTPClientFile | None


async def open_version(session: SFTPSession, path: bytes) -> OpenVersion:
    """Open the regular file at `path`, and read it if it is small. Raises `AssetNotFound`."""
    # The look beforehand keeps links from leading out of the store; both requests make one trip.
    opening = asyncio.create_task(session.open(path, asyncssh.FXF_READ))
    opening.add_done_callback(ignore)
    try:
        looked = await look(session, path)
    except AssetError:
        # An error of the opening is no news.
        (opened,) = await asyncio.gather(opening, return_exceptions=True)
        if isinstance(opened, asyncssh.SFTPClientFile):
            session.close_soon(opened)
        raise
    file = await opening
    reading = asyncio.create_task(_read_small(session, file, looked.size))
    try:
        version = await _opened_version(session, file, path, looked)
        content = await reading
    except AssetError:
        session.close_soon(file)
        raise
    if content is None or len(content) != version.size:
        return OpenVersion(version, None, file)
    session.close_soon(file)
    return OpenVersion(version, content, None)


async def _read_small(session: SFTPSession, file: asyncssh.SFTPClientFile, size: int) -> bytes | None:
    """Return the first `size` bytes; None when they are more than a small file has, or cannot be read."""
    if size == 0:
        return b""
    if size > SMALL:
        return None
    try:
        return await read(session, file, 0, size)
    except (AssetError, EOFError):
        return None


async def _opened_version(
    session: SFTPSession, file: asyncssh.SFTPClientFile, path: bytes, looked: AssetStat
) -> AssetStat:
    """Return the version that was opened, `looked` being that of just before."""
    try:
        return asset_stat(await session.request("look at an open file (FSTAT)", file.stat, path))
    except REFUSALS:
        # Some servers refuse it. The version is the one from before if it is still there.
        if await look(session, path) != looked:
            raise VersionGone("the asset was replaced while it was opened") from None
        return looked


async def write_again(session: SFTPSession, path: bytes) -> None:
    """Write the first byte of a file once more."""
    file = await session.open(path, asyncssh.FXF_READ | asyncssh.FXF_WRITE)
    try:
        await write(session, file, 0, await read(session, file, 0, 1))
    finally:
        await session.request("close a file (CLOSE)", file.close)
