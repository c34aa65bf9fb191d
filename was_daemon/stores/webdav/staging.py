"""Files on a WebDAV server that are no assets yet, and what becomes of those that nobody will finish.

They lie in `.was-staging` directories beside the assets, so that looking for old ones means no listing of a million
others. Each has a name that marks it as a daemon's. Nothing else is ever removed there, nor what a live daemon writes.
"""

from collections.abc import Callable
from contextlib import aclosing
from posixpath import basename, dirname

from twisted.logger import Logger

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.model.errors import AssetError
from was_daemon.stores.http.body import Upload
from was_daemon.stores.http.client import HTTPRemote, http_time
from was_daemon.stores.instances import Instance
from was_daemon.stores.sweeping import Sweeper
from was_daemon.stores.webdav.multistatus import parsed

DIRECTORY = ".was-staging"
"""A name no asset can have, and not the one that a filesystem store in the same place empties when it starts."""

_ENDING = "[?;#%25-]*"
"""What was added to a name when MOVE was tried out, as far as the server kept it."""

_PROPFIND = b"""<?xml version="1.0"?>
<propfind xmlns="DAV:"><prop><resourcetype/><getlastmodified/></prop></propfind>"""


class DavStaging:
    """The staging directories of one store; removing files keeps nobody waiting."""

    _log = Logger()

    def __init__(self, remote: Callable[[], HTTPRemote], url: Callable[[str], str], instance: Instance) -> None:
        """`url` gives the address of a path."""
        self._remote = remote
        self._url = url
        self._instance = instance
        self._removing = BackgroundTasks()
        self.sweeper = Sweeper(instance, self._sweep)
        self._left: set[str] = set()

    async def path(self, directory: str) -> str:
        """A new path in the staging directory of `directory`."""
        staging = f"{directory}/{DIRECTORY}".lstrip("/")
        await self._instance.begin(staging)
        return f"{staging}/{self._instance.new_name()}"

    async def beside(self, path: str) -> str:
        """Another one in the same staging directory, or in that of the directory that `path` is in."""
        directory = dirname(path)
        return await self.path(dirname(directory) if basename(directory) == DIRECTORY else directory)

    def remove(self, path: str) -> None:
        """Delete a file, if it is there; one that cannot be deleted now will be later."""
        self._removing.start(self._remove(path))

    def tidy(self, path: str) -> None:
        """`path` was written, so the server works: now those go that could not be deleted before, or that are over."""
        while self._left:
            self.remove(self._left.pop())
        self.sweeper.tidy(dirname(path))

    async def _remove(self, path: str) -> bool:
        """Whether it is gone."""
        try:
            answer = await self._remote().call("DELETE", self._url(path))
        except AssetError as error:
            self._log.warn("{path} could not be removed yet: {error}", path=path, error=error)
            self._left.add(path)
            return False
        return answer.code in (200, 204, 404)

    async def _sweep(self, directory: str) -> int:
        """Delete the files in a staging directory whose uploads are over; fires with how many are gone."""
        return [await self._remove(f"{directory}/{name}") for name in await self._over(directory)].count(True)

    async def _over(self, directory: str) -> list[str]:
        """The names of these files; none where the server does not list, and none old where it tells no time."""
        headers = {"Depth": "1", "Content-Type": "application/xml"}
        answer = await self._remote().request("PROPFIND", self._url(directory + "/"), headers, Upload(_PROPFIND))
        if answer.code in (404, 405, 501):
            await answer.drain()
            return []
        answer.expect(207)
        now = http_time(answer.header("Date"))
        itself: set[bytes] = set()
        found: list[tuple[bytes, str]] = []
        async with aclosing(parsed(answer.chunks())) as entries:
            async for entry in entries:
                above, _slash, name = entry.path.rpartition(b"/")
                if entry.is_directory:
                    itself.add(entry.path.rstrip(b"/"))
                    continue
                age = None if now is None or entry.modified is None else now - entry.modified
                text = name.decode("ascii", "replace")
                if self._instance.is_over(text, age, _ENDING):
                    found.append((above, text))
        # The path in front may be another one than ours, but is the same for the directory and for what is in it.
        itself = {path for path in itself if path.endswith(f"/{directory}".encode())}
        return [name for above, name in found if itself == {above}]

    async def close(self) -> None:
        """Wait until what was to be removed is, as far as it can be."""
        self.sweeper.cancel()
        await self._removing.finish()
        await self.sweeper.close()
