"""Bytes for trying out a store: made, cut into chunks, collected again."""

import random
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

from twisted.internet.defer import Deferred

from was_daemon.model.interfaces import IAssetReader, IAssetStore
from was_daemon.model.keys import AssetKey

T = TypeVar("T")


def payload(size: int, seed: int = 0) -> bytes:
    """`size` bytes in which every place looks different; the same for the same `seed`."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - test data


async def chunked(content: bytes, size: int = 65536) -> AsyncGenerator[bytes, None]:
    """`content` in chunks of `size` bytes; no chunk at all when it is empty."""
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def collect(chunks: AsyncGenerator[T, None]) -> list[T]:
    """Everything `chunks` yields; closes it."""
    async with aclosing(chunks):
        return [chunk async for chunk in chunks]


async def read_reader(reader: IAssetReader, start: int = 0, stop: int | None = None) -> bytes:
    """The bytes [start, stop) of an open reader, which stays open."""
    return b"".join(await collect(reader.read(start, stop)))


async def read_asset(store: IAssetStore, key: AssetKey, start: int = 0, stop: int | None = None) -> bytes:
    """The bytes [start, stop) of what is stored under `key` now."""
    reader = await store.open(key)
    try:
        return await read_reader(reader, start, stop)
    finally:
        await reader.close()


def deferred(awaitable: Awaitable[T]) -> Deferred[T]:
    """A Deferred for what a store's method returned, which may be a coroutine."""

    async def wait() -> T:
        return await awaitable

    return Deferred.fromCoroutine(wait())
