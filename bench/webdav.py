"""The WebDAV store against curl: one large file to and from the same server, in turns.

    python -m bench.webdav [--server apache|nginx|wsgidav] [--megabytes 200] [--rounds 5]

Starts a server of its own on 127.0.0.1 and removes it afterwards. Prints the median of each and the ratio, which is
curl's time divided by ours: above 1 we are faster. curl's time is that of its process, without the start of the
interpreter that ours needs once.
"""

import argparse
import os
import statistics
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater, react

from storage_plugins.webdav import WebDAVOptions, webdav
from tests import davservers
from tests.davservers import DavServer
from was_daemon.interfaces import IAssetStore
from was_daemon.keys import AssetKey, Kind

KEY = AssetKey("", Kind.ORIGINAL, "large.bin")
CHUNK = 1 << 16


async def from_file(path: Path) -> AsyncIterator[bytes]:
    """The file as an upload would come in."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


async def upload(store: IAssetStore, path: Path) -> float:
    """Seconds to write the file to the store."""
    start = time.perf_counter()
    async with aclosing(from_file(path)) as chunks:
        await store.write(KEY, chunks)
    return time.perf_counter() - start


async def download(store: IAssetStore, size: int) -> float:
    """Seconds to read the file from the store."""
    start = time.perf_counter()
    reader = await store.open(KEY)
    async with aclosing(reader.read()) as chunks:
        async for chunk in chunks:
            size -= len(chunk)
    await reader.close()
    assert size == 0
    return time.perf_counter() - start


def curl(*arguments: str) -> float:
    """Seconds that curl needs."""
    start = time.perf_counter()
    subprocess.run(["curl", "--silent", "--fail", "--output", os.devnull, *arguments], check=True)
    return time.perf_counter() - start


async def compare(reactor: IReactorTime, server: DavServer, size: int, rounds: int) -> None:
    """Measure and print."""
    file = server.home / "large.bin"
    file.write_bytes(os.urandom(size))
    store = webdav.create(WebDAVOptions(url=server.url))
    await upload(store, file)
    times: dict[str, list[float]] = {"up ours": [], "up curl": [], "down ours": [], "down curl": []}
    url = f"{server.url}originals/large.bin"
    for _ in range(rounds):
        # The store waits out the second in which a version was written; that is no part of the transfer.
        await deferLater(reactor, 1.1)
        times["up ours"].append(await upload(store, file))
        times["up curl"].append(curl("--upload-file", str(file), f"{server.url}originals/curl.bin"))
        times["down ours"].append(await download(store, size))
        times["down curl"].append(curl(url))
    await store.close()
    for way in ("up", "down"):
        ours, theirs = statistics.median(times[f"{way} ours"]), statistics.median(times[f"{way} curl"])
        print(
            f"{way:>4}: ours {size / ours / 1e6:6.0f} MB/s, curl {size / theirs / 1e6:6.0f} MB/s, "
            f"ratio {theirs / ours:.2f}"
        )


def main() -> None:
    """Read the arguments, run, clean up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=("apache", "nginx", "wsgidav"), default="apache")
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    server: DavServer = getattr(davservers, arguments.server)()
    try:
        server.start()
        size = arguments.megabytes * 1_000_000
        react(lambda reactor: Deferred.fromCoroutine(compare(reactor, server, size, arguments.rounds)))
    finally:
        server.remove()


if __name__ == "__main__":
    main()
