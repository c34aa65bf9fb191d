"""Documents that workers write about originals, such as metadata: read anew each time, and not kept."""

import json
from typing import Any

from twisted.protocols import amp

from was_daemon.derivatives.refusals import REFUSALS, Refusals
from was_daemon.library.collections import Collections
from was_daemon.library.spool import Spool
from was_daemon.model.keys import AssetKey
from was_daemon.workers.memory_files import AnswerFile
from was_daemon.workers.pool import WorkerPool

LONGEST_DOCUMENT = 4 << 20
"""Bytes of what a worker writes about an original, as JSON."""


class DocumentReader:
    """Reader of documents, which remembers the originals that workers could not read."""

    def __init__(self, collections: Collections, spool: Spool, pool: WorkerPool) -> None:
        self._collections = collections
        self._spool = spool
        self._pool = pool
        self._unreadable = Refusals()

    async def read(self, key: AssetKey, client: str, command: type[amp.Command], **arguments: Any) -> Any:
        """Fire with the document that a worker's `command` writes about an original, parsed from JSON.

        `client` takes turns with other clients. Raises `AssetNotFound`, `BrokenImage`, `Interrupted`, `Overloaded`.
        """
        original = await self._collections.find(key)
        self._unreadable.check(original)
        with await self._spool.open(original) as source, AnswerFile(LONGEST_DOCUMENT) as document:
            try:
                answer = await self._pool.submit(command, client, [source, document], **arguments).done
            except REFUSALS as refusal:
                # A file that was deleted meanwhile cannot be read either: then this raises `AssetNotFound`.
                if not await original.is_replaced():
                    self._unreadable.add(original, refusal)
                raise
            return json.loads(document.content(answer["length"]))
