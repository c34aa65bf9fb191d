"""Renames of assets by the server, and further names for them."""

import posixpath
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from was_daemon.model.errors import AssetExists, AssetNotFound, CannotMove, StoreFailed
from was_daemon.model.interfaces import AssetStat
from was_daemon.stores.sftp.client import SFTPClient
from was_daemon.stores.sftp.session import REFUSALS
from was_daemon.stores.sftp.tree import SFTPTree


async def move(tree: SFTPTree, client: SFTPClient, source: str, target: str, version: AssetStat, replace: bool) -> None:
    """Rename a file, whose latest version was `version`, by paths. Raises as `IMoves.move`."""
    old, new = tree.path(source), tree.path(target)

    async def rename() -> None:
        await (tree.replacements.replace(client, old, new) if replace else client.rename(old, new))

    async with _both(tree, source, target):
        if not replace and await client.exists(new):
            raise AssetExists("an asset of this name exists")
        await tree.replacements.remove_old_version(client, old)
        await _relocate(tree, client, old, target, rename)
        if await client.exists(old):
            raise StoreFailed("the store did not move the asset")
        tree.remember_deleted(source, version)


async def link(tree: SFTPTree, client: SFTPClient, source: str, target: str) -> None:
    """Give a file a further name, by paths. Raises as `IMoves.copy`."""
    old, new = tree.path(source), tree.path(target)
    async with _both(tree, source, target):
        await _relocate(tree, client, old, target, lambda: client.link(old, new))


async def _relocate(
    tree: SFTPTree, client: SFTPClient, old: bytes, target: str, request: Callable[[], Awaitable[None]]
) -> None:
    """Send a request that gives the file `old` the name `target`, in a directory that may have to be made.

    Raises `AssetNotFound` when there is no such file, `CannotMove` when the server refuses, as between two disks.
    """
    try:
        await tree.with_directory(client, posixpath.dirname(target), request)
    except REFUSALS as refusal:
        if await client.exists(old):
            raise CannotMove("the server does not move the file") from refusal
        # It may have been done, whatever the server says.
        if not await client.exists(tree.path(target)):
            raise AssetNotFound("no such asset") from None


@asynccontextmanager
async def _both(tree: SFTPTree, source: str, target: str) -> AsyncIterator[None]:
    first, second = sorted((source, target))
    async with tree.locks.exclusive(first), tree.locks.exclusive(second):
        yield
