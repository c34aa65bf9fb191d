"""Trial of a server's MOVE: OPTIONS says little about it, and some servers cut names at a percent-encoded `?`."""

from enum import Enum

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from was_daemon.stores.http.body import Upload
from was_daemon.stores.webdav.tree import DavTree


class Moves(Enum):
    """Names to which a server can move files."""

    ALL = "any name"
    PLAIN = "names without ? ; #"
    NONE = "nothing"


class MoveTrial:
    """Trial of MOVE, which is made once, before the first upload."""

    _log = Logger()

    def __init__(self, tree: DavTree) -> None:
        self._tree = tree
        self._lock = DeferredLock()
        self._result: Moves | None = None

    async def result(self) -> Moves:
        """Fire with the names that work. Raises the store's errors, and is made again then."""
        async with self._lock:
            if self._result is None:
                self._result = await self._try()
                if self._result is not Moves.ALL:
                    self._log.warn(
                        "The server of {url} moves {names} only", url=self._tree.url(""), names=self._result.value
                    )
            return self._result

    async def _try(self) -> Moves:
        source = await self._tree.staging.new_path("")
        await self._tree.put(source, Upload(b""))
        try:
            return await self._move(source)
        finally:
            self._tree.staging.uploads.discard(source)

    async def _move(self, source: str) -> Moves:
        remote = self._tree.remote()
        for ending, moves in (("?;#%25", Moves.ALL), ("-", Moves.PLAIN)):
            url, target = self._tree.url(source), self._tree.url(source + ending)
            answer = await remote.call("MOVE", url, {"Destination": target, "Overwrite": "T"})
            if answer.code in (200, 201, 204) and (await remote.call("HEAD", target)).code == 200:
                self._tree.staging.uploads.discard(source + ending)
                return moves
            if answer.code in (401, 429, 500, 503, 504):
                answer.expect(200)
        return Moves.NONE
