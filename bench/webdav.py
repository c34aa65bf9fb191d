"""The WebDAV store beside curl, on Apache and on nginx. curl's time is that of its process."""

from pathlib import Path

from bench.report import Figure
from bench.transfers import Rival, compare, run
from storage_plugins.webdav import WebDAVOptions, WebDAVStore
from tests.support import davservers
from tests.support.davservers import DavServer


async def webdav(directory: Path) -> list[Figure]:
    """Megabytes per second."""
    directory.mkdir()
    return [
        *await apache(directory / "apache"),
        *await _compare(davservers.nginx(), directory / "nginx", "WebDAV on nginx"),
    ]


async def apache(directory: Path) -> list[Figure]:
    """Megabytes per second, on Apache."""
    return await _compare(davservers.apache(), directory, "WebDAV on Apache")


async def _compare(server: DavServer, directory: Path, what: str) -> list[Figure]:
    try:
        server.start()
        url = f"{server.url}originals/theirs.bin"

        async def upload(source: Path) -> float:
            return run("curl", "--upload-file", str(source), url)

        async def download(target: Path) -> float:
            return run("curl", "--output", str(target), url)

        store = WebDAVStore(WebDAVOptions(url=server.url))
        return await compare(store, Rival("curl", upload, download), directory, what, "at least 0.8")
    finally:
        server.remove()
