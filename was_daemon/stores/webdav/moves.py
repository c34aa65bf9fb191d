"""Trial of a server's MOVE: OPTIONS says little about it.

Some servers cut names at a percent-encoded `?`, some do not replace files, and some, behind proxies, do not know
themselves by the address in the header `Destination`.
"""

from enum import Enum

import attrs
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from was_daemon.model.errors import AssetError, AssetNotFound, StoreFailed
from was_daemon.stores.http.body import Upload
from was_daemon.stores.http.errors import Forbidden
from was_daemon.stores.webdav.tree import DavTree

_CONTENT = b"moved"


class Names(Enum):
    """Names to which a server can move files."""

    ALL = "any name"
    PLAIN = "names without ? ; #"
    NONE = "no name"


@attrs.frozen
class Moves:
    """Abilities of a server: which names it can move, and whether a moved file replaces another one."""

    names: Names
    replaces: bool


class MoveTrial:
    """Trial of MOVE and of names with a leading dot, which is made once, before the first upload."""

    _log = Logger()

    def __init__(self, tree: DavTree) -> None:
        self._tree = tree
        self._lock = DeferredLock()
        self._result: Moves | None = None

    async def result(self) -> Moves:
        """Fire with what works. Raises the store's errors, and is made again then."""
        async with self._lock:
            if self._result is None:
                self._result = await self._try()
                self._tell(self._result)
            return self._result

    def _tell(self, moves: Moves) -> None:
        url = self._tree.url("")
        if moves.names is Names.NONE:
            self._log.warn("The server of {url} moves no files", url=url)
        elif moves.names is Names.PLAIN:
            self._log.warn("The server of {url} moves files to {names} only", url=url, names=moves.names.value)
        elif not moves.replaces:
            self._log.warn("The server of {url} moves no file over another", url=url)
        if not self._tree.staging.is_hidden:
            self._log.info("The server of {url} refuses names with a leading dot", url=url)

    async def _try(self) -> Moves:
        """Try with a hidden staging directory, and with the other one if nothing works in that."""
        staging = self._tree.staging
        first: Moves | AssetError
        try:
            first = await self._try_here()
        except (StoreFailed, Forbidden) as error:
            first = error
        if isinstance(first, Moves) and first.names is not Names.NONE:
            return first
        staging.is_hidden = False
        try:
            second = await self._try_here()
        except (StoreFailed, Forbidden):
            second = Moves(Names.NONE, replaces=False)
            if isinstance(first, AssetError):
                staging.is_hidden = True
                raise first from None
        if isinstance(first, Moves) and second.names is Names.NONE:
            staging.is_hidden = True
        return second

    async def _try_here(self) -> Moves:
        tree = self._tree
        source = await self._new_file(_CONTENT)
        try:
            for destination in (tree.url, tree.url_path):
                tree.destination = destination
                for ending, names in (("?;#%25", Names.ALL), ("-", Names.PLAIN)):
                    target = source + ending
                    if await self._moves(source, target) and await self._is_there(target):
                        try:
                            return Moves(names, await self._replaces(target))
                        finally:
                            tree.staging.uploads.discard(target)
        finally:
            tree.staging.uploads.discard(source)
        return Moves(Names.NONE, replaces=False)

    async def _new_file(self, content: bytes) -> str:
        path = await self._tree.staging.new_path("")
        await self._tree.put(path, Upload(content))
        return path

    async def _moves(self, source: str, target: str) -> bool:
        answer = await self._tree.move_call(source, target)
        if answer.code in (401, 429, 503, 504):
            answer.expect(200)
        return answer.code in (200, 201, 204)

    async def _is_there(self, path: str) -> bool:
        try:
            return (await self._tree.look(self._tree.url(path))).size == len(_CONTENT)
        except (AssetNotFound, StoreFailed, Forbidden):
            return False

    async def _replaces(self, target: str) -> bool:
        """Fire with whether a file takes the place of the one at `target`."""
        content = b"replaced"
        source = await self._new_file(content)
        try:
            if not await self._moves(source, target):
                return False
            answer = await self._tree.get(self._tree.url(target))
            return await answer.content() == content and answer.code == 200
        finally:
            self._tree.staging.uploads.discard(source)
