"""Journal of a mirror: the changes that its copies do not have yet, and the versions that they have.

A SQLite file on a disk of this machine, which all daemons and commands of the machine share. A change is entered before
the primary makes it. If the process is killed before it has noted the end, the change counts as made: whoever carries
it out looks at the primary, so that one that was not made does no harm.
"""

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from pathlib import Path

import attrs
from twisted.internet.defer import DeferredLock
from zope.interface import implementer

from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.concurrency.sqlite import Database, Together
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.keys import AssetKey
from was_daemon.model.mirror import Action, CopiedVersion, CopyState, IMirrorJournal, Known
from was_daemon.stores.layers.mirror import knowledge, statements
from was_daemon.stores.layers.mirror.changes import (
    Begun,
    Ended,
    Found,
    Outcome,
    Step,
    Waiting,
    place_of,
    row_of,
    waiting_of,
)
from was_daemon.stores.layers.mirror.lead import Lead
from was_daemon.stores.local.disk import free_bytes, free_near
from was_daemon.stores.local.process_lock import ProcessLock


@implementer(IMirrorJournal)
class MirrorJournal:
    """The journal in the file `path` of a mirror with `copies`; every method may raise `StoreUnavailable`.

    `now` returns the Unix time. `settings` describes the mirror: the same for all processes that belong together.
    """

    def __init__(
        self, path: Path, copies: Sequence[str], now: Callable[[], float] = time.time, settings: str = ""
    ) -> None:
        self.path = path
        self._copies = copies
        self._settings = settings
        self._has_announced = False
        self._now = now
        self._database = Database(path, statements.SCHEMA, "the journal of the mirror", statements.upgrade)
        self._beginning = Together(self._database, self._begin)
        self._syncing = DeferredLock()
        self._entered = self._synced = 0
        self._threads = DiskThreads(f"journal {path}", "journal of the mirror")
        self._processes = path.with_name(f"{path.name}.processes")
        self._lock = ProcessLock(self._processes)
        self.lead = Lead(path.with_name(f"{path.name}.lock"))

    # -- changes -------------------------------------------------------------------------------------------------------

    async def begin(self, steps: Sequence[Step]) -> Begun:
        """Enter that a change begins."""
        at = self._now()
        numbers = await self._beginning.add((steps, at))
        self._entered += 1
        return Begun(numbers, steps, at)

    def _begin(
        self, connection: sqlite3.Connection, changes: Sequence[tuple[Sequence[Step], float]]
    ) -> Sequence[Sequence[int]]:
        self._show_alive()
        rows = [(at, row_of(step)) for steps, at in changes for step in steps]
        numbers = iter(statements.add_changes(connection, self._lock.identifier, rows))
        return [list(islice(numbers, len(steps))) for steps, _ in changes]

    def _show_alive(self) -> None:
        if not self._lock.is_held:
            self._processes.mkdir(mode=0o700, exist_ok=True)
            self._lock.acquire()

    async def sync(self) -> None:
        """Have the disk write what was entered: unlike a kill, a power cut may cost SQLite the last entries."""
        number = self._entered
        async with self._syncing:
            # Who had to wait for another's turn may be served by it.
            if self._synced < number:
                number = self._entered
                await self._threads.run(_sync, self.path)
                self._synced = number

    async def end(self, ended: Sequence[Ended]) -> None:
        """Have the copies follow changes that have ended, unless they were not made."""
        await self._database.run(self._end, ended)

    def _end(self, connection: sqlite3.Connection, ended: Sequence[Ended]) -> None:
        for each in ended:
            if each.outcome is not Outcome.NOT_MADE:
                for number, step in zip(each.begun.numbers, each.begun.steps, strict=True):
                    size = each.size if step.action is Action.WRITE else 0
                    # Another process may have noted the end of a later change before.
                    is_late = statements.is_overtaken(connection, number)
                    is_done = each.outcome is Outcome.MADE and not is_late
                    self._enqueue(connection, row_of(step), each.begun.at, size, is_done, is_late=is_late)
                    statements.overtake(connection, number, *place_of(step.key))
            statements.remove_changes(connection, each.begun.numbers)

    def _enqueue(
        self,
        connection: sqlite3.Connection,
        row: statements.StepRow,
        at: float,
        size: int,
        is_done: bool,
        copies: Sequence[str] = (),
        is_late: bool = False,
    ) -> None:
        for copy in copies or self._copies:
            statements.add_waiting(connection, copy, *row, at, size, is_done, is_late)

    async def recover(self) -> int:
        """Have the copies follow the changes of processes that have ended; fire with their number."""
        return await self._database.run(self._recover)

    def _recover(self, connection: sqlite3.Connection) -> int:
        ended = [
            each
            for each in statements.processes(connection)
            if each != self._lock.identifier and not self._lock.is_alive(each)
        ]
        rows = [row for process in ended for row in statements.changes_of(connection, process)]
        for process in statements.users(connection).keys() - {self._lock.identifier}:
            if not self._lock.is_alive(process):
                statements.remove_user(connection, process)
        for number, at, *row in rows:
            collection, kind, name, action, source = row
            self._enqueue(connection, (collection, kind, name, action, source), at, 0, is_done=False)
            statements.remove_changes(connection, [number])
        return len(rows)

    async def announce(self) -> None:
        """Tell other processes of the settings of this one, once."""
        if not self._has_announced:
            await self._database.run(self._announce)
            self._has_announced = True

    def _announce(self, connection: sqlite3.Connection) -> None:
        self._show_alive()
        statements.set_user(connection, self._lock.identifier, self._settings)

    async def other_settings(self) -> Sequence[str]:
        """Fire with the settings of processes that use this journal with others than this one."""
        return await self._database.read(self._other_settings)

    def _other_settings(self, connection: sqlite3.Connection) -> Sequence[str]:
        others = [each for each in statements.users(connection).items() if each[1] != self._settings]
        return sorted({settings for process, settings in others if self._lock.is_alive(process)})

    # -- what the copies do --------------------------------------------------------------------------------------------

    async def try_lead(self) -> bool:
        """Fire with whether this process is the one that has the copies follow, until `close` or its end."""
        return await self._threads.run(self.lead.try_take)

    async def next(self, copy: str, taken: Collection[AssetKey]) -> Waiting | None:
        """Fire with the oldest change that a copy lacks and that is due, of none of the assets in `taken`."""
        rows = await self._database.read(statements.due, copy, self._now(), len(taken) + 1)
        return next((each for each in map(waiting_of, rows) if each.key not in taken), None)

    async def settle(self, waiting: Waiting, version: CopiedVersion | None) -> None:
        """Note that a copy has `version`, None for no such asset, and remove the change unless there is a later one."""
        await self._database.run(_settle, waiting, version)

    async def defer(self, waiting: Waiting, seconds: float) -> None:
        """Have a change wait for `seconds`, through no fault of its own."""
        await self._database.run(statements.defer, waiting.number, self._now() + seconds)

    async def is_deleted_since(self, waiting: Waiting) -> bool:
        """Fire with whether a later change has taken the place of this one, or a deletion is about to."""
        return await self._database.snapshot(knowledge.is_deleted_since, waiting.number, waiting.key)

    async def postpone(self, waiting: Waiting, problem: str, seconds: float, is_lost: bool = False) -> None:
        """Have a change wait for `seconds`: it has failed by itself, or the primary has lost what was to be copied."""
        await self._database.run(statements.postpone, waiting.number, problem, self._now() + seconds, is_lost)

    async def tell_problem(self, copy: str, problem: str) -> None:
        """Note why the last attempt at a change failed, or "" if it did not."""
        await self._database.run(statements.set_problem, copy, problem)

    # -- what is known -------------------------------------------------------------------------------------------------

    async def find(self, key: AssetKey, apart_from: Sequence[int] = ()) -> Found:
        """Fire with where an asset may be read that the primary does not give; see `Begun.numbers` for `apart_from`."""
        return await self._database.snapshot(knowledge.find, self._copies, key, apart_from)

    async def version(self, copy: str, key: AssetKey) -> CopiedVersion | None:
        """Fire with the version of an asset that a copy has, as far as that is known."""
        return (await self.look(copy, key)).version

    async def states(self) -> Mapping[str, CopyState]:
        """Fire with what each copy lacks."""
        return await self._database.snapshot(knowledge.states, self._copies, self._now())

    # -- comparisons: see `IMirrorJournal` -----------------------------------------------------------------------------

    async def begin_run(self, copy: str, deep: bool, scope: Sequence[str]) -> int:
        """See `IMirrorJournal`."""
        return await self._database.run(statements.begin_run, copy, f"{'deep' if deep else 'sizes'} {sorted(scope)}")

    async def end_run(self, copy: str, is_whole: bool) -> None:
        """See `IMirrorJournal`."""
        await self._database.run(statements.end_run, copy, self._now() if is_whole else None)

    async def look(self, copy: str, key: AssetKey) -> Known:
        """See `IMirrorJournal`."""
        return await self._database.snapshot(knowledge.look, copy, key)

    async def note(self, copy: str, key: AssetKey, before: Known, version: CopiedVersion, run: int) -> bool:
        """See `IMirrorJournal`."""
        return await self._database.run(knowledge.note, copy, key, before, version, run)

    async def current(self, key: AssetKey) -> Sequence[str]:
        """See `IMirrorJournal`."""
        return [copy for copy, version in (await self.find(key)).current if version]

    async def enqueue(self, copy: str, key: AssetKey, size: int) -> None:
        """See `IMirrorJournal`."""
        row = row_of(Step(key, Action.WRITE))
        await self._database.run(self._enqueue, row, self._now(), size, True, [copy])

    async def check(self) -> None:
        """Raise `StoreUnavailable` if nothing can be entered; a file that is not there yet is not made."""
        if not await self._threads.run(self._is_to_be_made):
            await self._database.check()

    def _is_to_be_made(self) -> bool:
        """Return whether the file is not there yet, and raise `StoreUnavailable` if it cannot be made."""
        if self.path.exists():
            return False
        directory = next(each for each in self.path.parents if each.exists())
        if not free_bytes(directory):
            raise StoreUnavailable("the disk of the mirror's journal is full")
        if not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
            raise StoreUnavailable("the directory of the mirror's journal cannot be written to by this user")
        return True

    async def free(self) -> int | None:
        """See `IMirrorJournal`."""
        free = await self._threads.run(free_near, self.path)
        return free if free < sys.maxsize else None

    async def close(self) -> None:
        """Close the file. Changes that are under way count as those of a process that has ended from then on."""
        await self._database.close()
        await self._threads.run(self._release)
        await self._threads.close()

    def _release(self) -> None:
        self._lock.release()
        self.lead.release()


def _sync(path: Path) -> None:
    # What is not in the log has been written by a checkpoint, which SQLite syncs itself.
    for name in (f"{path.name}-wal", path.name):
        try:
            fd = os.open(path.with_name(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)
        return


def _settle(connection: sqlite3.Connection, waiting: Waiting, version: CopiedVersion | None) -> None:
    statements.set_copied(connection, waiting.copy, *place_of(waiting.key), attrs.astuple(version) if version else None)
    statements.remove_waiting(connection, waiting.number)
