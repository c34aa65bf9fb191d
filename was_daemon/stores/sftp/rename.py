"""Replacement of a file on an SFTP server, whatever its rename does.

OpenSSH's `posix-rename` replaces at once. Where it is missing or refused, and the plain rename refuses to replace, the
old version is moved aside first, to a name made from its path: after a crash in between it is put back. Requests that
look for the file meanwhile must be kept waiting.
"""

import posixpath
from contextlib import suppress
from hashlib import sha256

from was_daemon.model.errors import AssetError, AssetNotFound, StoreFailed
from was_daemon.stores.sftp.client import SFTPClient
from was_daemon.stores.sftp.session import REFUSALS, Denied


class Replacements:
    """Replacements of the files of one store."""

    def __init__(self) -> None:
        self._refused = False

    def are_at_once(self, client: SFTPClient) -> bool:
        """Return whether nothing can have been moved aside.

        Other servers than OpenSSH's announce `posix-rename` and refuse it when there is something to replace.
        """
        return client.is_openssh and client.can_replace and not self._refused

    async def replace(self, client: SFTPClient, new: bytes, path: bytes) -> None:
        """Move the file `new` to `path`. When this fails, the old version is still there."""
        try:
            await self._replace_at_once(client, new, path)
            return
        except REFUSALS:
            if not (await client.exists(new) and await client.exists(path)):
                raise
        self._refused = True
        await self.remove_old_version(client, path)
        await client.rename(path, _aside(path))
        try:
            await client.rename(new, path)
        except AssetError:
            await self.restore_old_version(client, path)
            raise
        await self.remove_old_version(client, path)

    async def _replace_at_once(self, client: SFTPClient, new: bytes, path: bytes) -> None:
        if client.can_replace and not self._refused:
            with suppress(StoreFailed, Denied):
                await client.replace(new, path)
                return
        await client.rename(new, path)

    async def restore_old_version(self, client: SFTPClient, path: bytes) -> None:
        """Put back the old version that was moved aside from `path`. Raises `AssetNotFound` when there is none."""
        await client.rename(_aside(path), path)

    async def remove_old_version(self, client: SFTPClient, path: bytes) -> None:
        """Remove the old version that was moved aside from `path`, as it will not be put back."""
        if not self.are_at_once(client):
            with suppress(AssetNotFound):
                await client.remove(_aside(path))


def _aside(path: bytes) -> bytes:
    return posixpath.join(posixpath.dirname(path), b".was-" + sha256(path).hexdigest()[:32].encode())
