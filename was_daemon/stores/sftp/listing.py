"""Listings of the files of assets on an SFTP server."""

import stat
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

import asyncssh

from was_daemon.stores.sftp.client import SFTPClient
from was_daemon.stores.sftp.staging import DIRECTORY as STAGING
from was_daemon.stores.sftp.versions import file_type

_NO_SHARDS = (b".", b"..", STAGING.encode())

_LONG_TYPES = {b"-": stat.S_IFREG, b"d": stat.S_IFDIR, b"l": stat.S_IFLNK}
"""First characters of the lines of `ls -l`, which servers send beside the attributes."""


async def files(client: SFTPClient, directory: bytes, depth: int) -> AsyncGenerator[tuple[str, int | None], None]:
    """Yield the names of the files `depth` levels below `directory`, with their sizes if the server tells them."""
    wanted = stat.S_IFREG if depth == 1 else stat.S_IFDIR
    async with aclosing(client.entries(directory)) as entries:
        async for found in entries:
            entry = _bytes(found.filename)
            # A shard may begin with a dot; an asset may not.
            if entry in _NO_SHARDS or (depth == 1 and entry.startswith(b".")):
                continue
            if _listed_type(found, wanted) != wanted:
                continue
            if depth == 1:
                with suppress(UnicodeDecodeError):
                    yield entry.decode(), found.attrs.size
            else:
                async with aclosing(files(client, directory + b"/" + entry, depth - 1)) as below:
                    async for file in below:
                        yield file


def _listed_type(found: asyncssh.SFTPName, unknown: int) -> int:
    """Return the type of what was listed, from its attributes or its line of `ls -l`; `unknown` when neither tells."""
    return file_type(found.attrs) or _LONG_TYPES.get(_bytes(found.longname or b"")[:1], unknown)


def _bytes(name: bytes | str) -> bytes:
    return name if isinstance(name, bytes) else name.encode(errors="surrogateescape")
