"""Bytes of files on an SFTP server."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from zope.interface import implementer

from was_daemon.model.errors import StoreFailed
from was_daemon.model.interfaces import AssetStat, IAssetReader
from was_daemon.stores.sftp.client import File, SFTPClient, drop


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


async def open_reader(client: SFTPClient, path: bytes) -> SFTPReader:
    """Open the regular file at `path`. Raises `AssetNotFound`."""
    file, version = await client.open_version(path)
    return SFTPReader(client, file, version)
