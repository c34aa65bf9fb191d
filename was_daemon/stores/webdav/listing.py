"""Listings of directories on a WebDAV server."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from was_daemon.model.errors import StoreFailed
from was_daemon.stores.http.body import Upload
from was_daemon.stores.webdav.members import Members
from was_daemon.stores.webdav.multistatus import Entry, parsed
from was_daemon.stores.webdav.staging import HIDDEN
from was_daemon.stores.webdav.tree import DavTree

_PROPFIND = b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/></prop></propfind>'


async def files(tree: DavTree, directory: str, depth: int) -> AsyncGenerator[tuple[str, int | None], None]:
    """Yield the paths of the files `depth` directories below `directory`, with their sizes if the server tells them."""
    below: list[str] = []
    async with aclosing(entries_of(tree, directory)) as entries:
        async for name, entry in entries:
            if entry.is_directory and depth and name != HIDDEN:
                below.append(f"{directory}/{name}")
            elif not entry.is_directory and not depth:
                yield f"{directory}/{name}", entry.size
    for subdirectory in below:
        async with aclosing(files(tree, subdirectory, depth - 1)) as listed:
            async for file in listed:
                yield file


async def entries_of(tree: DavTree, directory: str) -> AsyncGenerator[tuple[str, Entry], None]:
    """Yield the entries of `directory` with their names; none when it does not exist."""
    headers, url = {"Depth": "1", "Content-Type": "application/xml"}, tree.url(directory + "/")
    answer = await tree.remote().request("PROPFIND", url, headers, Upload(_PROPFIND))
    if answer.code == 404:
        await answer.drain()
        return
    if answer.code in (405, 501):
        await answer.drain()
        raise StoreFailed("the store cannot list its files")
    answer.expect(207)
    members = Members(url, directory)
    async with aclosing(parsed(answer.chunks())) as entries:
        async for entry in entries:
            name = members.name(entry)
            if name is None:
                continue
            try:
                yield name.decode(), entry
            except UnicodeDecodeError:
                continue
    members.end()
