"""Mirrors of a directory in memory, with a clock that tests set."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock, deferLater
from zope.interface import directlyProvides, providedBy

from storage_plugins.filesystem import FilesystemStore
from was_daemon.model.errors import AssetError, StoreUnavailable
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.stores.layers.mirror.journal import MirrorJournal
from was_daemon.stores.layers.mirror.store import MirrorStore
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import collect


class FaultyStore:
    """A store in front of another that raises `trouble`, while there is one, instead of doing what is asked of it.

    `calls` has the operations that were tried, `only` those that fail; None for all. While it `hangs`, none
    of them ends.
    """

    def __init__(self, store: IAssetStore) -> None:
        self._store: Any = store
        self.trouble: AssetError | None = None
        self.only: set[str] | None = None
        self.hangs = False
        self.calls: list[str] = []
        self.before: Callable[[str], None] = lambda _operation: None

    @classmethod
    def over(cls, store: IAssetStore) -> Any:
        """Return it, with the interfaces of `store`."""
        faulty = cls(store)
        directlyProvides(faulty, providedBy(store))
        return cast(Any, faulty)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in ("stat", "open", "write", "delete", "adopt", "create", "move", "copy", "check"):
            return found

        async def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            self.before(name)
            if self.hangs:
                await Deferred()
            if self.trouble and (self.only is None or name in self.only):
                raise self.trouble
            return await found(*arguments, **options)

        return call


@attrs.define
class Mirrored:
    """A mirror, its parts, and its clock, which is also the time that the journal knows."""

    store: MirrorStore
    primary: Any
    copies: Mapping[str, Any]
    clock: Clock
    root: Path

    @property
    def copy(self) -> Any:
        """The first copy."""
        return next(iter(self.copies.values()))

    async def put(self, name: str, content: bytes, kind: Kind = Kind.ORIGINAL) -> AssetKey:
        """Upload as the daemon does."""
        key = AssetKey("", kind, name)
        staged = await self.store.stage(key)
        await staged.write([content])
        await self.store.adopt(staged, key)
        return key

    async def settle(self, seconds: float = 0.0) -> None:
        """Let so many seconds pass, and all work be done that can be done then."""
        passed = 0.0
        # What has ended is noted a moment later.
        self.clock.advance(0.1)
        while True:
            await self._idle()
            if passed >= seconds:
                return
            step = min(max(1.0, min(seconds / 20, 30.0)), seconds - passed)
            passed += step
            self.clock.advance(step)

    async def _idle(self) -> None:
        """Wait until the threads have nothing to do: nothing has changed in the journal for some turns."""
        quiet = 0
        while quiet < 3:
            before = self._state()
            while any(follower._taken for follower in self.store._following._followers.values()):
                await _turn()
            # A read of the journal waits for all that was asked of it before.
            with suppress(StoreUnavailable):
                await self.store.journal.states()
            await _turn()
            quiet = quiet + 1 if self._state() == before else 0

    def _state(self) -> tuple[Any, ...]:
        return (
            dict(self.store.copied),
            dict(self.store.failures),
            len(self.primary.calls),
            [len(copy.calls) for copy in self.copies.values()],
        )

    async def names(self, kind: Kind = Kind.ORIGINAL) -> list[list[str]]:
        """Return the names in each copy."""
        return [sorted(key.name for key in await collect(copy.list("", kind))) for copy in self.copies.values()]

    def lose(self, name: str) -> None:
        """Lose a file of the primary."""
        (self.root / "originals" / name).unlink()


async def _turn() -> None:
    from twisted.internet import reactor

    await deferLater(IReactorTime(reactor), 0.002)


@asynccontextmanager
async def mirrored(
    directory: Path, copies: int = 1, start: bool = True, compared: bool = True, **options: Any
) -> AsyncIterator[Mirrored]:
    """Open a mirror of `directory` / "files" in so many copies in memory, known to be empty if `compared`."""
    clock = Clock()
    clock.advance(1_000_000)
    root = directory / "files"
    primary = FaultyStore.over(FilesystemStore(root, Layout.FLAT))
    targets = {f"copy{number}": FaultyStore.over(MemoryStore()) for number in range(1, copies + 1)}
    journal = MirrorJournal(directory / "journal" / "main.sqlite", list(targets), clock.seconds)
    store = MirrorStore("main", primary, targets, journal, clock=clock, **options)
    found = Mirrored(store, primary, targets, clock, root)
    try:
        await primary.check()
        for name in targets if compared else ():
            await journal.begin_run(name, False, [])
            await journal.end_run(name, True)
        if start:
            store.start()
            while not journal.lead.is_held:
                await _turn()
        yield found
    finally:
        # Tests may have put another process in its place.
        await found.store.close()
        for each in (primary, *targets.values()):
            await each.close()


DOWN = StoreUnavailable("the store cannot be reached")
