"""The quotas of collections, kept by every process of a daemon, whichever of them has the counts."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from itertools import count

from was_daemon.concurrency.exclusion import Exclusion
from was_daemon.library.changes import Change
from was_daemon.library.counts import Counts, Home, size_of
from was_daemon.library.ledger import Account
from was_daemon.library.usage import Usage
from was_daemon.model.errors import Overloaded
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey
from was_daemon.telemetry.metrics import Metrics


class Reservation:
    """Bytes of a quota that are kept for an upload until `release`, under a `number` of the account's."""

    def __init__(self, account: Account, number: int, size: int) -> None:
        self.number = number
        self._account = account
        self._covered = size

    async def cover(self, size: int) -> None:
        """Have room for `size` bytes of upload; raises `QuotaExceeded`."""
        if size > self._covered:
            await self._account.ask("cover", room=self.number, size=size)
            self._covered = size

    def release(self) -> None:
        """The upload is stored, or came to nothing; a second call does nothing."""
        self._account.tell("release", room=self.number)


class Quotas:
    """The quotas of the configuration that it was told last by `follow`, by an account with who has the counts.

    That is this process, if `counts` are there. With `exclusion` another one changes no original at the same time.
    """

    def __init__(self, account: Account, counts: Counts | None, exclusion: Exclusion | None = None) -> None:
        self._account = account
        self._counts = counts
        self._exclusion = exclusion
        self._numbers = count(1)
        self._places: set[tuple[IAssetStore, str]] = set()

    @classmethod
    def alone(cls, metrics: Metrics) -> "Quotas":
        """Those of a daemon that is one process."""
        counts = Counts(metrics)
        return cls(counts.ledger(), counts)

    @property
    def named(self) -> Mapping[str, Usage]:
        """What there is, by the collections' names, in the process that has the counts; empty in others."""
        return self._counts.named if self._counts else {}

    def follow(self, homes: Mapping[str, Home], interval: float) -> None:
        """Keep these from now on, by the collections' names, and count them every `interval` seconds."""
        self._places = {(home.store, home.directory) for home in homes.values()}
        if self._counts:
            self._counts.follow(homes, interval)

    async def room(self, store: IAssetStore, key: AssetKey, size: int) -> Reservation | None:
        """Keep room for an upload of at least `size` bytes; None where there is no quota. Raises `QuotaExceeded`."""
        if (store, key.collection) not in self._places:
            return None
        replaced = await size_of(store, key)
        room = Reservation(self._account, next(self._numbers), size)
        try:
            await self._account.ask("reserve", room=room.number, directory=key.collection, replaced=replaced, size=size)
        except BaseException:
            # Whoever waits no longer may have got it.
            room.release()
            raise
        return room

    @asynccontextmanager
    async def changing(self, original: Change, room: Reservation | None = None) -> AsyncIterator[None]:
        """Count a change of an original, for which `room` was kept; raises `QuotaExceeded` before it."""
        key = original.key
        if (original.place.store, key.collection) not in self._places:
            yield
            return
        name = "\0".join(["quota", key.collection, key.name])
        # What is replaced has to be what was there when it was measured.
        async with self._exclusion.holding(name) if self._exclusion else nullcontext():
            previous = await original.previous()
            replaced = previous.size if previous else 0
            size = await original.staged.size() if original.staged else 0
            change, happened = next(self._numbers), False
            try:
                await self._account.ask(
                    "begin",
                    change=change,
                    directory=key.collection,
                    name=key.name,
                    replaced=replaced,
                    size=size,
                    room=room.number if room else None,
                )
                yield
                happened = True
            finally:
                # Told it is in any case; the answer makes sure that who comes next finds it told.
                with suppress(Overloaded):
                    await self._account.ask("end", change=change, happened=happened)

    def stop(self) -> None:
        """Count no more."""
        if self._counts:
            self._counts.stop()
