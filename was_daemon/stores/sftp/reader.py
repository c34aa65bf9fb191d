"""Versions of files on an SFTP server, and their bytes."""

import stat
from collections.abc import AsyncGenerator
from contextlib import aclosing

import asyncssh
from zope.interface import implementer

from was_daemon.model.errors import AssetNotFound, StoreFailed, VersionGone
from was_daemon.model.interfaces import AssetStat, IAssetReader
from was_daemon.stores.sftp.client import Attributes, File, SFTPClient, drop, file_type
from was_daemon.stores.sftp.session import REFUSALS


def asset_stat(attributes: Attributes) -> AssetStat:
    """Return the version that a file's attributes describe. Raises `AssetNotFound` when it is no regular file."""
    if file_type(attributes) not in (stat.S_IFREG, None):
        raise AssetNotFound("no such asset")
    size, modified = attributes.size or 0, attributes.mtime or 0
    return AssetStat(size, float(modified), f"{int(modified):x}-{size:x}")


@implementer(IAssetReader)
class SFTPReader:
    """Open file on the server. Deleting or replacing it leaves the open version readable."""

    def __init__(self, client: SFTPClient, file: File, version: AssetStat) -> None:
        self.stat = version
        self._client = client
        self._file = file
        self._open = True

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See `IAssetReader`."""
        self._check_open()
        end = self.stat.size if stop is None else min(stop, self.stat.size)
        async with aclosing(self._client.read(self._file, start, end)) as chunks:
            async for chunk in chunks:
                yield chunk
                # The server may have given the handle's number to another file by now.
                self._check_open()

    def _check_open(self) -> None:
        if not self._open:
            raise StoreFailed("the asset is not open any more")

    async def close(self) -> None:
        """See `IAssetReader`. Does not wait for the server."""
        if self._open:
            self._open = False
            drop([self._client.close(self._file)])


async def look(client: SFTPClient, path: bytes) -> AssetStat:
    """Fire with the version of the regular file at `path`. Raises `AssetNotFound`."""
    attributes = await client.lstat(path)
    version = asset_stat(attributes)
    if file_type(attributes) is None and await client.is_link(path):
        raise AssetNotFound("no such asset")
    return version


async def open_reader(client: SFTPClient, path: bytes) -> SFTPReader:
    """Open the regular file at `path`. Raises `AssetNotFound`."""
    # The look beforehand keeps links from leading out of the store; both requests make one trip.
    opened = client.open(path, asyncssh.FXF_READ)
    try:
        looked = await look(client, path)
    except BaseException:
        drop([opened.addCallback(client.close)])
        raise
    file = await opened
    try:
        return SFTPReader(client, file, await _opened_version(client, file, path, looked))
    except BaseException:
        drop([client.close(file)])
        raise


async def _opened_version(client: SFTPClient, file: File, path: bytes, looked: AssetStat) -> AssetStat:
    """Fire with the version that was opened, `looked` being that of just before."""
    try:
        return asset_stat(await client.fstat(file))
    except REFUSALS:
        # Some servers refuse it. The version is the one from before if it is still there.
        if await look(client, path) != looked:
            raise VersionGone("the asset was replaced while it was opened") from None
        return looked
