"""The WebDAV store beside curl, on Apache and on nginx. curl's time is that of its process."""

import os
import subprocess
import time
from pathlib import Path

from bench.report import Figure
from bench.transfers import Rival, compare
from storage_plugins.webdav import WebDAVOptions, WebDAVStore
from tests.support import davservers
from tests.support.davservers import DavServer


async def webdav(directory: Path) -> list[Figure]:
    """Megabytes per second."""
    directory.mkdir()
    return [
        *await _compare(davservers.apache(), directory / "apache", "WebDAV on Apache"),
        *await _compare(davservers.nginx(), directory / "nginx", "WebDAV on nginx"),
    ]


async def _compare(server: DavServer, directory: Path, what: str) -> list[Figure]:
    try:
        server.start()
        url = f"{server.url}originals/theirs.bin"

        async def upload(source: Path) -> float:
            return _curl("--output", os.devnull, "--upload-file", str(source), url)

        async def download(target: Path) -> float:
            return _curl("--output", str(target), url)

        store = WebDAVStore(WebDAVOptions(url=server.url))
        return await compare(store, Rival("curl", upload, download), directory, what, "at least 0.8")
    finally:
        server.remove()


def _curl(*arguments: str) -> float:
    begin = time.perf_counter()
    subprocess.run(["curl", "--silent", "--fail", *arguments], check=True)
    return time.perf_counter() - begin
