"""Versions of files on an SFTP server, and their bytes."""

import stat
from collections.abc import AsyncGenerator
from contextlib import aclosing

from twisted.conch.ssh.filetransfer import FXF_READ
from zope.interface import implementer

from was_daemon.model.errors import AssetNotFound, StoreFailed
from was_daemon.model.interfaces import AssetStat, IAssetReader
from was_daemon.stores.sftp.client import Attributes, SFTPClient
from was_daemon.stores.sftp.session import drop


def asset_stat(attributes: Attributes) -> AssetStat:
    """Return the version that a file's attributes describe. Raises `AssetNotFound` when it is no regular file."""
    if not stat.S_ISREG(attributes.get("permissions", stat.S_IFREG)):
        raise AssetNotFound("no such asset")
    size, modified = attributes.get("size", 0), attributes.get("mtime", 0)
    return AssetStat(size, float(modified), f"{modified:x}-{size:x}")


@implementer(IAssetReader)
class SFTPReader:
    """Open file on the server. Deleting or replacing it leaves the open version readable."""

    def __init__(self, client: SFTPClient, handle: bytes, version: AssetStat) -> None:
        self.stat = version
        self._client = client
        self._handle = handle
        self._open = True

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See `IAssetReader`."""
        self._check_open()
        end = self.stat.size if stop is None else min(stop, self.stat.size)
        async with aclosing(self._client.read(self._handle, start, end)) as chunks:
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
            drop([self._client.close(self._handle)])


async def look(client: SFTPClient, path: bytes) -> AssetStat:
    """Fire with the version of the regular file at `path`. Raises `AssetNotFound`."""
    return asset_stat(await client.lstat(path))


async def open_reader(client: SFTPClient, path: bytes) -> SFTPReader:
    """Open the regular file at `path`. Raises `AssetNotFound`."""
    # The look beforehand keeps links from leading out of the store; both requests make one trip.
    looked, opened = client.lstat(path), client.open(path, FXF_READ)
    try:
        asset_stat(await looked)
    except BaseException:
        drop([opened.addCallback(client.close)])
        raise
    handle = await opened
    try:
        return SFTPReader(client, handle, asset_stat(await client.fstat(handle)))
    except BaseException:
        drop([client.close(handle)])
        raise
