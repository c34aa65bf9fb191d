"""Versions of files on an SFTP server: looked at, and opened. Runs in the event loop."""

import asyncio
import stat

import asyncssh

from was_daemon.model.errors import AssetError, AssetNotFound, VersionGone
from was_daemon.model.interfaces import AssetStat
from was_daemon.stores.sftp.session import REFUSALS, SFTPSession, ignore


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
        await session.request("read a link", lambda: session.sftp.readlink(path))
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


async def open_version(session: SFTPSession, path: bytes) -> tuple[asyncssh.SFTPClientFile, AssetStat]:
    """Open the regular file at `path`. Raises `AssetNotFound`."""
    # The look beforehand keeps links from leading out of the store; both requests make one trip.
    opening = asyncio.create_task(session.open(path, asyncssh.FXF_READ))
    opening.add_done_callback(ignore)
    try:
        looked = await look(session, path)
    except AssetError:
        # An error of the opening is no news.
        (opened,) = await asyncio.gather(opening, return_exceptions=True)
        if isinstance(opened, asyncssh.SFTPClientFile):
            await session.request("close a file", opened.close)
        raise
    file = await opening
    try:
        return file, await _opened_version(session, file, path, looked)
    except AssetError:
        await session.request("close a file", file.close)
        raise


async def _opened_version(
    session: SFTPSession, file: asyncssh.SFTPClientFile, path: bytes, looked: AssetStat
) -> AssetStat:
    """Return the version that was opened, `looked` being that of just before."""
    try:
        return asset_stat(await session.request("look at an open file", file.stat))
    except REFUSALS:
        # Some servers refuse it. The version is the one from before if it is still there.
        if await look(session, path) != looked:
            raise VersionGone("the asset was replaced while it was opened") from None
        return looked
