"""Files on a WebDAV server that are no assets yet, and what becomes of those that nobody will finish.

They lie in `.was-staging` directories beside the assets, so that looking for old ones means no listing of a million
others. Each has a random name; none is touched before its time has come, as another daemon may be writing it.
"""

import re
import secrets
import time
from collections.abc import Callable
from contextlib import aclosing
from posixpath import basename, dirname

from twisted.logger import Logger

from was_daemon.errors import AssetError
from was_daemon.stores.background import Background
from was_daemon.stores.http import HTTPRemote, http_time
from was_daemon.stores.http_body import Upload
from was_daemon.stores.multistatus import parsed

DIRECTORY = ".was-staging"
"""A name no asset can have, and not the one that a filesystem store in the same place empties when it starts."""

_STALE = 24 * 3600
"""Seconds after which a file that nobody wrote to belongs to an upload that broke off."""

_SWEPT_EACH = 3600
"""Seconds after which those are looked for again: of another daemon, or where the server was not able to say."""

_NAME = re.compile(b"[0-9a-f]{32}[?;#%0-9a-f-]*")
"""The names that are given here, and those with an ending that MOVE was tried out with."""

_PROPFIND = b"""<?xml version="1.0"?>
<propfind xmlns="DAV:"><prop><resourcetype/><getlastmodified/></prop></propfind>"""


class DavStaging:
    """The staging directories of one store; removing files keeps nobody waiting."""

    _log = Logger()

    def __init__(self, remote: Callable[[], HTTPRemote], url: Callable[[str], str]) -> None:
        """`url` gives the address of a path."""
        self._remote = remote
        self._url = url
        self._removing = Background()
        self._sweeping = Background()
        self._swept: dict[str, float] = {}
        self._left: set[str] = set()

    def path(self, directory: str) -> str:
        """A new path in the staging directory of `directory`."""
        return f"{directory}/{DIRECTORY}/{secrets.token_hex(16)}".lstrip("/")

    def beside(self, path: str) -> str:
        """Another one in the same staging directory, or in that of the directory that `path` is in."""
        directory = dirname(path)
        return self.path(dirname(directory) if basename(directory) == DIRECTORY else directory)

    def remove(self, path: str) -> None:
        """Delete a file, if it is there; one that cannot be deleted now will be later."""
        self._removing.start(self._remove(path))

    def tidy(self, path: str) -> None:
        """`path` was written, so the server works: now those go that could not be deleted before, or are very old."""
        while self._left:
            self.remove(self._left.pop())
        directory, now = dirname(path), time.monotonic()
        if directory not in self._swept or now - self._swept[directory] >= _SWEPT_EACH:
            self._swept[directory] = now
            self._sweeping.start(self._sweep(directory))

    async def _remove(self, path: str) -> bool:
        """Whether it is gone."""
        try:
            answer = await self._remote().call("DELETE", self._url(path))
        except AssetError as error:
            self._log.warn("{path} could not be removed yet: {error}", path=path, error=error)
            self._left.add(path)
            return False
        return answer.code in (200, 204, 404)

    async def _sweep(self, directory: str) -> None:
        try:
            old = await self._stale(directory)
        except AssetError as error:
            self._log.warn("{path} could not be tidied up: {error}", path=directory, error=error)
            return
        removed = [await self._remove(path) for path in old].count(True)
        if removed:
            self._log.info("{path}: removed {count} unfinished uploads", path=directory, count=removed)

    async def _stale(self, directory: str) -> list[str]:
        """The files that are old by the server's own clock; none where it does not list, or tell the time."""
        headers = {"Depth": "1", "Content-Type": "application/xml"}
        answer = await self._remote().request("PROPFIND", self._url(directory + "/"), headers, Upload(_PROPFIND))
        now = http_time(answer.header("Date"))
        if answer.code != 207 or now is None:
            await answer.drain()
            return []
        old = []
        async with aclosing(parsed(answer.chunks())) as entries:
            async for entry in entries:
                above, _slash, name = entry.path.rpartition(b"/")
                if not above.endswith(f"/{directory}".encode()) or entry.is_directory or entry.modified is None:
                    continue
                if entry.modified < now - _STALE and _NAME.fullmatch(name):
                    old.append(f"{directory}/{name.decode()}")
        return old

    async def close(self) -> None:
        """Wait until what was to be removed is, as far as it can be."""
        self._sweeping.cancel()
        await self._removing.finish()
