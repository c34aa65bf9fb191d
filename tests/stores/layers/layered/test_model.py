"""Several daemons change originals in layers, step by step and killed at any step: readers see what a variable says."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, cast

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import directlyProvides, providedBy

from tests.support.killed import Killed
from tests.support.moving import MovingStore
from tests.support.slow import slow_but
from was_daemon.library.trash.relocation import move
from was_daemon.model.errors import AssetError, AssetNotFound, StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.lookup import find_stat
from was_daemon.stores.layers.layered.layer import Layer
from was_daemon.stores.layers.layered.store import LayeredStore
from was_daemon.stores.layers.read_only import read_only
from was_daemon.testing.streams import chunked, collect, read_asset

KEY = AssetKey("", Kind.ORIGINAL, "a.jpg")
ORDERS = [("old", "older", "masters"), ("masters", "old", "older")]

Value = bytes | None
"""The bytes that a reader gets, None when there is no such original."""


class Stepped:
    """A layer as one operation sees it, which waits before and after each step until `gate` lets it."""

    def __init__(self, store: MovingStore, gate: Callable[[], Deferred[None]]) -> None:
        self._store = store
        self._gate = gate

    @classmethod
    def over(cls, store: MovingStore, gate: Callable[[], Deferred[None]]) -> IAssetStore:
        stepped = cls(store, gate)
        directlyProvides(stepped, providedBy(store))
        return cast(IAssetStore, stepped)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def stat(self, key: AssetKey) -> AssetStat:
        await self._gate()
        return await self._store.stat(key)

    async def open(self, key: AssetKey) -> IAssetReader:
        await self._gate()
        return await self._store.open(key)

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        await self._gate()
        stat = await self._store.write(key, chunks, size)
        await self._gate()
        return stat

    async def delete(self, key: AssetKey) -> None:
        await self._gate()
        await self._store.delete(key)
        await self._gate()

    async def move(self, source: AssetKey, target: AssetKey, replace: bool = False) -> None:
        await self._gate()
        await self._store.move(source, target, replace)
        await self._gate()


class Breakable(MovingStore):
    """A layer that can be down."""

    is_down = False

    def _find(self, key: AssetKey) -> Any:
        if self.is_down:
            raise StoreUnavailable("down")
        return super()._find(key)

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        if self.is_down:
            raise StoreUnavailable("down")
        return await super().write(key, chunks, size)


@attrs.define(eq=False)
class Operation:
    """Something that one daemon does; `change` holds what it makes of the original, if it changes it.

    `others` are the values that other changes may leave which overlap with this one; a reader may get any
    of `seen`.
    """

    what: str
    change: list[Value]
    others: set[Value] = attrs.field(factory=set)
    seen: set[Value] = attrs.field(factory=set)
    waiting: Deferred[None] | None = None
    running: Deferred[Any] | None = None

    is_killed: bool = False

    def gate(self) -> Deferred[None]:
        if self.is_killed:
            return fail(Killed())
        self.waiting = Deferred()
        return self.waiting

    def kill(self) -> None:
        self.is_killed = True
        if self.waiting:
            self.waiting.errback(Killed())


class LayersModel(RuleBasedStateMachine):
    """`possible` has the values that the original may have: after an acknowledged change only what it has made."""

    def __init__(self, order: tuple[str, ...], breaks: bool) -> None:
        super().__init__()
        self.layers = {name: Breakable() for name in ("new", *order)}
        self.breaks = breaks
        self.reader = self.store(lambda: succeed(None))
        self.possible: set[Value] = {None}
        self.operations: list[Operation] = []
        self.contents: dict[str, bytes] = {}
        self.number = 0

    def store(self, gate: Callable[[], Deferred[None]]) -> LayeredStore:
        """The layered store of one daemon."""
        first, *below = ((name, Stepped.over(layer, gate)) for name, layer in self.layers.items())
        layers = [Layer(name, read_only(layer) if name == "masters" else layer) for name, layer in below]
        return LayeredStore(first[1], layers)

    @initialize(filled=st.sampled_from(({"old", "older", "masters"}, {"old", "older"}, {"masters"}, set())))
    def fill(self, filled: set[str]) -> None:
        holders = [name for name in self.layers if name in filled]
        for name in holders:
            now(self.layers[name].put(KEY, f"in {name}".encode(), modified=1_700_000_000.0))
        if holders:
            self.possible = {f"in {holders[0]}".encode()}

    # -- what daemons do -----------------------------------------------------------------------------------------------

    def begin(self, what: str, work: Callable[[LayeredStore], Coroutine[Any, Any, Any]], *change: Value) -> None:
        operation = Operation(what, list(change), seen={*self.possible, *change})
        for other in self.operations:
            other.others |= set(change)
            other.seen |= set(change)
            operation.others |= set(other.change)
        self.possible |= set(change)
        self.operations.append(operation)
        operation.running = Deferred.fromCoroutine(work(self.store(operation.gate)))
        operation.running.addBoth(lambda result: self.end(operation, result))

    def end(self, operation: Operation, result: Any) -> None:
        self.operations.remove(operation)
        error = getattr(result, "value", None)
        if error is not None and not isinstance(error, AssetError | Killed):
            raise error
        if operation.what == "read":
            assert error is not None or result in operation.seen, (operation, result)
            if isinstance(error, AssetNotFound):
                assert None in operation.seen, operation
        elif operation.change and (error is None or isinstance(error, AssetNotFound)):
            # What is reported as not found was not there at some moment, and is nowhere now.
            self.possible = set(operation.change) | operation.others

    @rule(what=st.sampled_from(("write", "delete", "delete", "throw away", "promote", "promote", "read")))
    def begin_something(self, what: str) -> None:
        self.number += 1
        content, trashed = b"number %d" % self.number, AssetKey("", Kind.TRASH, f"{self.number}.file")
        if what == "write":
            self.begin(what, lambda store: store.write(KEY, chunked(content)), content)
        elif what == "delete":
            self.begin(what, lambda store: store.delete(KEY), None)
        elif what == "promote":
            self.begin(what, lambda store: store.promote(KEY))
        elif what == "read":
            self.begin(what, lambda store: read_asset(store, KEY))
        elif not any(each.change for each in self.operations):
            # Of two changes at the same moment, the trash refuses one.
            self.begin(what, lambda store: move(store, KEY, trashed), None)

    @precondition(lambda self: self.operations)
    @rule(which=st.integers(0, 5), steps=st.integers(1, 12))
    def go_on(self, which: int, steps: int) -> None:
        operation = self.operations[which % len(self.operations)]
        for _ in range(steps):
            if operation in self.operations and operation.waiting:
                waiting, operation.waiting = operation.waiting, None
                waiting.callback(None)
                self.readers_see_what_may_be_seen()

    @precondition(lambda self: self.operations)
    @rule(which=st.integers(0, 5), steps=st.integers(1, 3))
    def go_on_a_little(self, which: int, steps: int) -> None:
        self.go_on(which, steps)

    @precondition(lambda self: self.operations)
    @rule(which=st.integers(0, 5))
    def kill(self, which: int) -> None:
        """End it: what it has begun is left as it is, and either value may be there for ever."""
        self.operations[which % len(self.operations)].kill()

    @precondition(lambda self: self.breaks)
    @rule(layer=st.sampled_from(("new", "old", "older", "masters")), is_down=st.sampled_from((False, False, True)))
    def break_or_mend(self, layer: str, is_down: bool) -> None:
        self.layers[layer].is_down = is_down

    # -- what readers see ----------------------------------------------------------------------------------------------

    @invariant()
    def readers_see_what_may_be_seen(self) -> None:
        try:
            stat = now(self.reader.stat(KEY))
            value: Value = now(read_asset(self.reader, KEY))
        except AssetNotFound:
            value = None
        except StoreUnavailable:
            assert any(layer.is_down for layer in self.layers.values())
            return
        assert value in self.possible, value
        if value is not None:
            # A version is told apart from all others, wherever it is.
            assert self.contents.setdefault(stat.etag, value) == value

    @invariant()
    def the_list_has_what_is_seen(self) -> None:
        if not any(layer.is_down for layer in self.layers.values()):
            assert now(collect(self.reader.list("", Kind.ORIGINAL))) == ([KEY] if self.is_there() else [])

    def is_there(self) -> bool:
        return now(find_stat(self.reader, KEY)) is not None

    def teardown(self) -> None:
        for layer in self.layers.values():
            layer.is_down = False
        self.readers_see_what_may_be_seen()
        for operation in list(self.operations):
            operation.kill()
        # Whatever was killed, what is deleted now is gone for good.
        for work in (self.reader.promote, self.reader.delete, self.reader.promote):
            with suppress(AssetNotFound):
                now(work(KEY))
        assert not self.is_there()


def now(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of work that waits for nothing."""
    results: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(results.append)
    (result,) = results
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


def try_out(order: tuple[str, ...], breaks: bool, examples: int) -> None:
    run_state_machine_as_test(
        lambda: LayersModel(order, breaks),
        settings=settings(max_examples=examples, stateful_step_count=40, deadline=None, derandomize=True),
    )


@pytest.mark.parametrize("breaks", slow_but([False], [False, True]))
@pytest.mark.parametrize("order", slow_but(ORDERS[:1], ORDERS))
def test_readers_see_what_a_variable_would_hold(order: tuple[str, ...], breaks: bool) -> None:
    try_out(order, breaks, 30)


@pytest.mark.slow
@pytest.mark.parametrize("breaks", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_readers_see_it_however_long_it_is_tried(order: tuple[str, ...], breaks: bool) -> None:
    try_out(order, breaks, 300)
