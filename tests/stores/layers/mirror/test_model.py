"""A mirror against a model, by random changes, losses, failures and kills."""

import itertools
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import pytest_twisted
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread, deferToThread

from tests.support.mirrors import DOWN, Mirrored, mirrored
from was_daemon.model.errors import AssetExists, AssetNotFound, StoreFailed, StoreUnavailable
from was_daemon.model.mirror import Action
from was_daemon.stores.layers.mirror.changes import Step
from was_daemon.stores.layers.mirror.journal import MirrorJournal
from was_daemon.stores.layers.mirror.store import MirrorStore
from was_daemon.testing.contract import original
from was_daemon.testing.streams import chunked, read_asset

NAMES = st.sampled_from(["a.jpg", "b.jpg", "c.jpg"])
COPIES = st.sampled_from(["copy1", "copy2"])


def run(work: Any) -> Any:
    return blockingCallFromThread(reactor, lambda: Deferred.fromCoroutine(work))


class Mirroring(RuleBasedStateMachine):
    """What was acknowledged of each name; `lost` are files that the primary has lost."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = AsyncExitStack()
        self._directory = TemporaryDirectory()
        self._versions = itertools.count()
        self.museum: Mirrored = run(self._stack.enter_async_context(mirrored(Path(self._directory.name), copies=2)))
        self.expected: dict[str, bytes | None] = {}
        self.copied: dict[str, bytes] = {}
        self.lost: set[str] = set()

    def teardown(self) -> None:
        run(self._stack.aclose())
        self._directory.cleanup()

    @property
    def store(self) -> MirrorStore:
        return self.museum.store

    @rule(name=NAMES)
    def upload(self, name: str) -> None:
        content = b"version %d of %s" % (next(self._versions), name.encode())
        run(self.museum.put(name, content))
        self._now(name, content)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        if name in self.lost:
            return
        if self.expected.get(name) is None:
            with pytest.raises(AssetNotFound):
                run(self.store.delete(original(name)))
        else:
            run(self.store.delete(original(name)))
            self._now(name, None)

    @rule(name=NAMES)
    def create(self, name: str) -> None:
        async def work() -> None:
            staged = await self.store.stage(original(name))
            try:
                await staged.write([content])
                await self.store.create(staged, original(name))
            finally:
                staged.discard()

        if name in self.lost:
            return
        content = b"new %d" % next(self._versions)
        if self.expected.get(name) is None:
            run(work())
            self._now(name, content)
        else:
            with pytest.raises(AssetExists):
                run(work())

    @rule(name=NAMES, to=NAMES, replace=st.booleans())
    def move(self, name: str, to: str, replace: bool) -> None:
        if name == to or {name, to} & self.lost or self.expected.get(name) is None:
            return
        if self.expected.get(to) is not None and not replace:
            with pytest.raises(AssetExists):
                run(self.store.move(original(name), original(to)))
            return
        run(self.store.move(original(name), original(to), replace))
        self._now(to, self.expected[name])
        self._now(name, None)

    @rule(name=NAMES)
    def fail_to_upload(self, name: str) -> None:
        self.museum.primary.trouble, self.museum.primary.only = StoreFailed("nonsense"), {"write"}
        with pytest.raises(StoreFailed):
            run(self.store.write(original(name), chunked(b"never")))
        self.museum.primary.trouble = None
        # It is noted a moment later.
        run(self.museum.settle())

    @rule(name=NAMES, action=st.sampled_from(Action), is_made=st.booleans())
    def be_killed(self, name: str, action: Action, is_made: bool) -> None:
        """Another process of the machine is killed before or after the primary's step."""
        if name in self.lost:
            return

        async def work() -> None:
            journal = MirrorJournal(self.store.journal.path, list(self.museum.copies), self.museum.clock.seconds)
            await journal.begin([Step(original(name), action)])
            if is_made and action is Action.WRITE:
                await self.museum.primary.write(original(name), chunked(content))
            elif is_made:
                await self.museum.primary.delete(original(name))
            await journal.close()

        if self.expected.get(name) is None and action is Action.DELETE:
            return
        content = b"killed %d" % next(self._versions)
        run(work())
        if is_made:
            self._now(name, content if action is Action.WRITE else None)

    @rule(copy=COPIES)
    def go_down(self, copy: str) -> None:
        self.museum.copies[copy].trouble = DOWN

    @rule(copy=COPIES)
    def come_back(self, copy: str) -> None:
        self.museum.copies[copy].trouble = None

    @rule()
    def wait(self) -> None:
        run(self.museum.settle(3))

    @rule()
    def reload(self) -> None:
        async def work() -> None:
            before = self.museum
            await before.store.close()
            journal = MirrorJournal(before.store.journal.path, list(before.copies), before.clock.seconds)
            before.store = MirrorStore("main", before.primary, before.copies, journal, clock=before.clock)
            before.store.start()

        run(work())

    @precondition(lambda self: not self.lost)
    @rule(name=NAMES)
    def lose(self, name: str) -> None:
        """The primary loses a file that both copies have."""
        self.catch_up()
        if self.expected.get(name) is not None:
            self.museum.lose(name)
            self.lost.add(name)

    @rule()
    def catch_up(self) -> None:
        for copy in self.museum.copies.values():
            copy.trouble = None
        run(self.museum.settle(420))
        for copy in self.museum.copies.values():
            for name, content in self.expected.items():
                assert run(_content(copy, name)) == content

    @invariant()
    def what_was_acknowledged_is_read(self) -> None:
        for name, content in self.expected.items():
            if name in self.lost and all(copy.trouble for copy in self.museum.copies.values()):
                with pytest.raises(StoreUnavailable):
                    run(_content(self.store, name))
            else:
                assert run(_content(self.store, name)) == content

    def _now(self, name: str, content: bytes | None) -> None:
        self.expected[name] = content
        self.lost.discard(name)


async def _content(store: Any, name: str) -> bytes | None:
    try:
        return await read_asset(store, original(name))
    except AssetNotFound:
        return None


QUICK = settings(max_examples=3, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("how", [QUICK, pytest.param(LONG, marks=pytest.mark.slow)], ids=["quick", "long"])
@pytest_twisted.ensureDeferred
async def test_what_was_acknowledged_is_read_and_reaches_every_copy(how: settings) -> None:
    await deferToThread(run_state_machine_as_test, Mirroring, settings=how)
