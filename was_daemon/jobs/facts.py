"""Facts about originals, read by workers when no request waits for one."""

import json
from contextlib import suppress
from io import FileIO

from was_daemon.derivatives.documents import LONGEST_DOCUMENT
from was_daemon.model.descriptions import Description
from was_daemon.model.errors import BrokenImage
from was_daemon.model.facts import NO_FACTS, Facts
from was_daemon.workers.commands import Describe
from was_daemon.workers.memory_files import AnswerFile
from was_daemon.workers.pool import WorkerPool


class FactsReader:
    """Reader of facts about files, in the background of `pool`."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    async def read(self, source: FileIO, name: str) -> Facts:
        """Fire with the facts about an open file; with no facts, if workers break of it or it takes too long.

        Raises `Interrupted`, `Overloaded` and `StoreUnavailable`, which say nothing of the file.
        """
        with AnswerFile(LONGEST_DOCUMENT) as document:
            try:
                job = self._pool.submit(Describe, "", [source, document], background=True, name=name)
                answer = await job.done
            except BrokenImage:
                return NO_FACTS
            with suppress(Exception):  # a worker that a file has taken over writes anything
                return Description.parse(json.loads(document.content(answer["length"]))).facts
            return NO_FACTS
