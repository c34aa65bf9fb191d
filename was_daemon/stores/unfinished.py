"""Removal of unfinished uploads from a remote store: of failed ones at once, of abandoned ones now and then."""

import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path

from twisted.logger import Logger

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.model.errors import AssetError
from was_daemon.stores.instances import StoreInstance

_SWEEP_SECONDS = 3600
"""Interval between two sweeps of a directory, which find what other daemons have left meanwhile."""


class UnfinishedUploads:
    """Files at a remote store that are being uploaded and are no assets yet.

    The path of such a file consists of a staging directory and a name that tells the process that writes it; see
    `StoreInstance`. An upload is abandoned when its process has ended, or when it is a day old.
    """

    _log = Logger()

    def __init__(
        self,
        store: str,
        find: Callable[[str], Awaitable[Iterable[tuple[str, float | None]]]],
        remove: Callable[[str], Awaitable[bool]],
        endings: str = "",
    ) -> None:
        """Make the uploads of one store object.

        `store` tells the store apart from others of the machine. `find` fires with the names of the files in a staging
        directory, each with its age in seconds if the store tells it. `remove` removes the file at a path, and fires
        with whether that was done. `endings` is a pattern of what the names of files may end with.
        """
        self._instance = StoreInstance(store)
        self._find = find
        self._remove = remove
        self._endings = endings
        self._sweeping = BackgroundTasks()
        self._removing = BackgroundTasks()
        self._swept: dict[str, float] = {}
        self._left: set[str] = set()

    async def new_path(self, directory: str, ending: str = "") -> str:
        """Return the path of a new file in a staging directory."""
        await self._instance.begin(directory)
        return f"{directory}/{self._instance.new_name()}{ending}"

    def discard(self, path: str, remove: Callable[[str], Awaitable[object]] | None = None) -> None:
        """Begin to remove the file at `path`, by another step than the store's if `remove` is given.

        A file that cannot be removed now is removed after a later `sweep_if_due`.
        """
        self._removing.start(self._discard(path, remove or self._remove))

    async def _discard(self, path: str, remove: Callable[[str], Awaitable[object]]) -> None:
        try:
            await remove(path)
        except AssetError as error:
            self._log.warn("{path} could not be removed yet: {error}", path=path, error=error)
            self._left.add(path)

    def sweep_if_due(self, directory: str) -> None:
        """Begin to remove what is due to be removed. To be called after a write, when the store is known to work."""
        while self._left:
            self.discard(self._left.pop())
        if self._instance.has_ended_instances:
            self._sweep_once_an_hour("what ended daemons left", self.clean)
        self._sweep_once_an_hour(directory, partial(self._sweep, directory))

    def _sweep_once_an_hour(self, what: str, sweep: Callable[[], Awaitable[int]]) -> None:
        now = time.monotonic()
        if what not in self._swept or now - self._swept[what] >= _SWEEP_SECONDS:
            self._swept[what] = now
            self._sweeping.start(self._log_sweep(what, sweep))

    async def _log_sweep(self, what: str, sweep: Callable[[], Awaitable[int]]) -> None:
        try:
            removed = await sweep()
        except AssetError as error:
            self._log.warn("{what} could not be tidied up: {error}", what=what, error=error)
            return
        if removed:
            self._log.info("{what}: removed {removed} unfinished uploads", what=what, removed=removed)

    async def _sweep(self, directory: str) -> int:
        """Remove the abandoned uploads of a staging directory, and fire with their number.

        Raises the first error after an attempt at each.
        """
        removed, problem = 0, None
        for name, age in await self._find(directory):
            if self._instance.is_abandoned(name, age, self._endings):
                try:
                    removed += await self._remove(f"{directory}/{name}")
                except AssetError as error:
                    problem = problem or error
        if problem:
            raise problem
        return removed

    async def register(self, directory: Path) -> None:
        """See `IUnfinished`."""
        await self._instance.register(directory)

    async def clean(self) -> int:
        """See `IUnfinished`."""
        return await self._instance.clean(self._sweep)

    async def finish(self) -> None:
        """Stop all sweeps, and wait until the files that were to be removed are removed, or cannot be."""
        self._sweeping.cancel()
        await self._removing.finish()

    async def close(self) -> None:
        """Do what `finish` does, and let later processes know that no upload is under way here any more."""
        await self.finish()
        await self._instance.close()
