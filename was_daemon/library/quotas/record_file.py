"""The file of the record of quotas, in the spool."""

import sqlite3
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from twisted.logger import Logger

from was_daemon.concurrency.sqlite import Database
from was_daemon.library.quotas.record import SCHEMA, QuotaRecord
from was_daemon.library.spool import Spool
from was_daemon.model.errors import StoreUnavailable
from was_daemon.stores.local.process_lock import ProcessLock

P = ParamSpec("P")
T = TypeVar("T")

_DIRECTORY = "quotas"
"""The directory in the spool, with the record and the lock files of processes."""


class RecordFile:
    """The record of quotas in `spool`, for all daemons of the machine with the same one; `steps` are what to run."""

    _log = Logger()

    def __init__(self, spool: Spool) -> None:
        directory = spool.root / _DIRECTORY
        self.steps = QuotaRecord(ProcessLock(directory))
        self.spool = spool
        self._database = Database(directory / "quotas.sqlite", SCHEMA, "the record of quotas")
        self._directory_made = False

    async def run(self, step: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Fire with the result of a step, which runs as one transaction; raises `StoreUnavailable`."""
        if not self._directory_made:
            await self.spool.directory(_DIRECTORY)
            self._directory_made = True
        return await self._database.run(step, *args, **kwargs)

    async def close(self) -> None:
        """Remove this process's rows and close the file."""
        try:
            await self._database.run(self.steps.leave)
        except StoreUnavailable as error:
            # Other processes will see that this one is dead.
            self._log.error("{error}", error=error)
        await self._database.close()
