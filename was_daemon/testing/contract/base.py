"""Fixtures, limits and helpers that all parts of the store contract share."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytest
import pytest_twisted  # type: ignore[import-untyped]  # it ships no annotations
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime

from was_daemon.model.errors import StoreFailed, StoreTimeout, StoreUnavailable
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.streams import chunked, collect

P = ParamSpec("P")
S = TypeVar("S", bound="ContractBase")
T = TypeVar("T")

GONE = (StoreUnavailable, StoreFailed, StoreTimeout)
"""Errors that an open reader may raise when its version is gone."""


class Interrupted(Exception):
    """The client of an upload has disconnected."""


class ContractBase:
    """Fixtures that a plugin's author supplies, and limits that a subclass may change."""

    patience = 60.0
    """Time limit of each test, in seconds."""

    timeout = 35.0
    """Seconds within which a store must fail when its server is down, or work again when the server is back."""

    big = 70_000_000
    """Size of the largest asset in bytes: more than all buffers on its way."""

    many = 2_000
    """Number of assets in the longest listing."""

    kinds: Sequence[Kind] = tuple(Kind)
    """The kinds of assets that the store keeps; originals are one of them."""

    holds_assets_in_memory = False
    """True for a store that keeps its assets, or its server, in this process: memory is not measured then."""

    @pytest.fixture
    def store(self) -> IAssetStore:
        """Return a fresh and empty store; the fixture closes it after the test."""
        raise NotImplementedError("give your test class a fixture called store")

    @pytest.fixture
    def restart(self) -> Callable[[], Awaitable[None]]:
        """Return an async function that stops the server of `store`, cutting its connections, and starts it again."""
        pytest.skip("no fixture called restart")

    @pytest.fixture
    def down(self) -> IAssetStore:
        """Return a store whose server is down; the fixture closes it after the test."""
        pytest.skip("no fixture called down")


def promise(
    test: Callable[Concatenate[S, P], Coroutine[Any, Any, None]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, None]]:
    """Decorate an `async def` method as a test that fails when it takes longer than `patience`."""

    @functools.wraps(test)
    async def limited(self: S, *args: P.args, **kwargs: P.kwargs) -> None:
        started = clock().seconds()
        running = Deferred.fromCoroutine(test(self, *args, **kwargs))
        try:
            await running.addTimeout(self.patience, clock())
        finally:
            # A test of cancellation may mistake the timeout's cancellation for its own, and pass.
            assert clock().seconds() - started < self.patience, f"it took longer than {self.patience} seconds"

    marked: Callable[Concatenate[S, P], Coroutine[Any, Any, None]] = pytest_twisted.ensureDeferred(limited)
    return marked


def original(name: str, collection: str = "") -> AssetKey:
    """Return the key of an original."""
    return AssetKey(collection, Kind.ORIGINAL, name)


async def original_names(store: IAssetStore, prefix: str = "") -> list[str]:
    """Return the sorted names of the originals in the collection ""."""
    return sorted(key.name for key in await collect(store.list("", Kind.ORIGINAL, prefix)))


async def breaks_off(content: bytes) -> AsyncIterator[bytes]:
    """Yield `content` in chunks, then raise `Interrupted`."""
    async for chunk in chunked(content):
        yield chunk
    raise Interrupted


def gather_all(tasks: list[Deferred[T]]) -> Deferred[list[T]]:
    """Fire with the results of all `tasks`; fail with the first error, as soon as it is raised."""

    async def wait() -> list[T]:
        try:
            return await gatherResults(tasks, consumeErrors=True)
        except Exception as error:
            raise getattr(error, "subFailure").value from error  # noqa: B009 - FirstError, as gatherResults promises

    return Deferred.fromCoroutine(wait())


def clock() -> IReactorTime:
    """Return the reactor as a clock."""
    return IReactorTime(reactor)
