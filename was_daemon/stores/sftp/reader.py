"""Bytes of files on an SFTP server."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from zope.interface import implementer

from was_daemon.model.errors import StoreFailed
from was_daemon.model.interfaces import IAssetReader
from was_daemon.stores.sftp.client import SFTPClient
from was_daemon.stores.sftp.versions import OpenVersion


@implementer(IAssetReader)
class SFTPReader:
    """Open version of a file on the server. Deleting or replacing the file leaves it readable."""

    def __init__(self, client: SFTPClient, version: OpenVersion) -> None:
        self.stat = version.stat
        self._client = client
        self._version = version
        self._open = True

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See `IAssetReader`."""
        self._check_open()
        end = self.stat.size if stop is None else min(stop, self.stat.size)
        if self._version.file is None:
            if start < end:
                yield (self._version.content or b"")[start:end]
            return
        async with aclosing(self._client.read(self._version.file, start, end)) as chunks:
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
            self._client.release(self._version)


async def open_reader(client: SFTPClient, path: bytes) -> SFTPReader:
    """Open the regular file at `path`. Raises `AssetNotFound`."""
    return SFTPReader(client, await client.open_version(path))
