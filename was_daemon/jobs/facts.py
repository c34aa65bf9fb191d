"""Facts about originals, read by workers when no request waits for one."""

import json
from io import FileIO

from was_daemon.derivatives.stored import content_of
from was_daemon.library.spool import Spool
from was_daemon.model.descriptions import Description
from was_daemon.model.errors import BrokenImage
from was_daemon.model.facts import NO_FACTS, Facts
from was_daemon.workers.commands import Describe
from was_daemon.workers.pool import WorkerPool


class FactsReader:
    """Reader of facts about files, in the background of `pool`."""

    def __init__(self, spool: Spool, pool: WorkerPool) -> None:
        self._spool = spool
        self._pool = pool

    async def read(self, source: FileIO, name: str) -> Facts:
        """Fire with the facts about an open file; with no facts, if workers break of it or it takes too long.

        Raises `StoreUnavailable`, `Overloaded` and `NoSpace`, which say nothing of the file.
        """
        answer = await self._spool.stage()
        try:
            await self._pool.submit(Describe, "", [source, answer], background=True, name=name).done
            document = await content_of(answer)
        except BrokenImage:
            return NO_FACTS
        finally:
            answer.discard()
        return Description.parse(json.loads(document)).facts if document else NO_FACTS
