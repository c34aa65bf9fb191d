"""One large file to and from a remote store, in turns with a public client."""

import os
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from statistics import median

import attrs
from twisted.internet import reactor
from twisted.internet.task import deferLater

from bench.report import Figure
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.stores.local.staging import CHUNK

KEY = AssetKey("", Kind.ORIGINAL, "ours.bin")
MEGABYTES = 200
ROUNDS = 5


@attrs.frozen
class Rival:
    """A public client of the same server: both calls fire with the seconds they took."""

    name: str
    upload: Callable[[Path], Awaitable[float]]
    download: Callable[[Path], Awaitable[float]]


async def compare(store: IAssetStore, rival: Rival, directory: Path, what: str, target: str) -> list[Figure]:
    """Megabytes per second each way, medians of `ROUNDS` turns; `directory` is where the files go."""
    directory.mkdir()
    source = directory / "source"
    with source.open("wb") as file:
        for _ in range(MEGABYTES):
            file.write(os.urandom(1_000_000))
    await _upload(store, source)
    seconds: dict[str, list[list[float]]] = {"upload": [[], []], "download": [[], []]}
    for _ in range(ROUNDS):
        # A server that tells time in whole seconds has the store wait until the last version's is over. That is no part
        # of the transfer, and nobody replaces a file twice in a second.
        await deferLater(reactor, 1.1)
        seconds["upload"][0].append(await _upload(store, source))
        seconds["upload"][1].append(await rival.upload(source))
        seconds["download"][0].append(await _download(store, directory / "ours"))
        seconds["download"][1].append(await rival.download(directory / "theirs"))
        assert (directory / "ours").stat().st_size == (directory / "theirs").stat().st_size
    await store.close()
    figures = []
    for way, (ours, theirs) in seconds.items():
        rate, yardstick = MEGABYTES / median(ours), MEGABYTES / median(theirs)
        figures.append(Figure(f"{what}, {way}", "MB/s", rate, rival.name, yardstick, rate / yardstick, target))
    return figures


async def _upload(store: IAssetStore, source: Path) -> float:
    begin = time.perf_counter()
    async with aclosing(_pieces(source)) as chunks:
        await store.write(KEY, chunks, source.stat().st_size)
    return time.perf_counter() - begin


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


async def _download(store: IAssetStore, target: Path) -> float:
    begin = time.perf_counter()
    reader = await store.open(KEY)
    with target.open("wb") as file:
        async with aclosing(reader.read()) as chunks:
            async for chunk in chunks:
                file.write(chunk)
    await reader.close()
    return time.perf_counter() - begin


def run(*command: str) -> float:
    """Run a command without output; return the seconds it took."""
    quiet = ["--silent", "--fail"] if command[0] == "curl" else []
    begin = time.perf_counter()
    subprocess.run([command[0], *quiet, *command[1:]], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin
