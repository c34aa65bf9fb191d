"""Helpers of tests that write bytes to stores and read them again."""

import random
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

from twisted.internet.defer import Deferred

from was_daemon.model.interfaces import IAssetReader, IAssetStore
from was_daemon.model.keys import AssetKey

T = TypeVar("T")


def payload(size: int, seed: int = 0) -> bytes:
    """Return `size` pseudo-random bytes, the same for the same `seed`."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - test data


async def chunked(content: bytes, size: int = 65536) -> AsyncGenerator[bytes, None]:
    """Yield `content` in chunks of `size` bytes; no chunk when it is empty."""
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def collect(items: AsyncGenerator[T, None]) -> list[T]:
    """Return all items that `items` yields, and close it."""
    async with aclosing(items):
        return [item async for item in items]


async def read_reader(reader: IAssetReader, start: int = 0, stop: int | None = None) -> bytes:
    """Return the bytes [start, stop) of an open reader, which stays open."""
    return b"".join(await collect(reader.read(start, stop)))


async def read_asset(store: IAssetStore, key: AssetKey, start: int = 0, stop: int | None = None) -> bytes:
    """Return the bytes [start, stop) of the asset `key`."""
    reader = await store.open(key)
    try:
        return await read_reader(reader, start, stop)
    finally:
        await reader.close()


def deferred(awaitable: Awaitable[T]) -> Deferred[T]:
    """Return a Deferred that fires with the result of a store's method, which may be a coroutine."""

    async def wait() -> T:
        return await awaitable

    return Deferred.fromCoroutine(wait())
