"""Replacement of a file on an SFTP server, whatever its rename does.

OpenSSH's `posix-rename` replaces at once. Where it is missing, and the plain rename refuses to replace, the old version
is moved aside first, to a name made from its path: after a crash in between it is put back. Requests that look for the
file meanwhile must be kept waiting.
"""

import posixpath
from contextlib import suppress
from hashlib import sha256

from was_daemon.model.errors import AssetError, AssetNotFound, StoreFailed
from was_daemon.stores.sftp.client import SFTPClient


def replaces_at_once(client: SFTPClient) -> bool:
    """Return whether the server replaces at once."""
    return b"posix-rename@openssh.com" in client.extensions


async def replace(client: SFTPClient, new: bytes, path: bytes) -> None:
    """Move the file `new` to `path`. When this fails, the old version is still there."""
    if replaces_at_once(client):
        await client.replace(new, path)
        return
    try:
        await client.rename(new, path)
        return
    except StoreFailed:
        await remove_old_version(client, path)
    await client.rename(path, _aside(path))
    try:
        await client.rename(new, path)
    except AssetError:
        await restore_old_version(client, path)
        raise
    await remove_old_version(client, path)


async def restore_old_version(client: SFTPClient, path: bytes) -> None:
    """Put back the old version that was moved aside from `path`. Raises `AssetNotFound` when there is none."""
    await client.rename(_aside(path), path)


async def remove_old_version(client: SFTPClient, path: bytes) -> None:
    """Remove the old version that was moved aside from `path`, as it will not be put back."""
    if not replaces_at_once(client):
        with suppress(AssetNotFound):
            await client.remove(_aside(path))


def _aside(path: bytes) -> bytes:
    return posixpath.join(posixpath.dirname(path), b".was-" + sha256(path).hexdigest()[:32].encode())
