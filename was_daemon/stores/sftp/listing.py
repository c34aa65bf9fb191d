"""Listings of the files of assets on an SFTP server."""

import stat
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from was_daemon.stores.sftp.client import SFTPClient
from was_daemon.stores.sftp.staging import DIRECTORY as STAGING

_NO_SHARDS = (b".", b"..", STAGING.encode())


async def files(client: SFTPClient, directory: bytes, depth: int) -> AsyncGenerator[tuple[str, int | None], None]:
    """Yield the names of the files `depth` levels below `directory`, with their sizes if the server tells them."""
    wanted = stat.S_IFREG if depth == 1 else stat.S_IFDIR
    async with aclosing(client.entries(directory)) as entries:
        async for entry, attributes in entries:
            # A shard may begin with a dot; an asset may not.
            if entry in _NO_SHARDS or (depth == 1 and entry.startswith(b".")):
                continue
            if stat.S_IFMT(attributes.get("permissions", wanted)) != wanted:
                continue
            if depth == 1:
                with suppress(UnicodeDecodeError):
                    yield entry.decode(), attributes.get("size")
            else:
                async with aclosing(files(client, directory + b"/" + entry, depth - 1)) as below:
                    async for file in below:
                        yield file
