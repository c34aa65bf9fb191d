"""Marks: objects that name the uploads in parts which a daemon has begun.

A bucket tells of an upload in parts under which name it was begun, when, and with whose credentials, but not by which
program. So each upload of a daemon has a mark with its name and number, from before its first part until its end. An
upload without a mark, such as one whose daemon was killed before it had one, and which has no part that takes up room,
is left alone.
"""

import json
import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import datetime

from was_daemon.stores.http.answer import http_time
from was_daemon.stores.s3.bucket import Bucket
from was_daemon.stores.s3.integrity import Payload
from was_daemon.stores.s3.listing import Listed, objects
from was_daemon.stores.unfinished import UnfinishedUploads

DIRECTORY = ".was-staging"
"""Name that no asset can have."""

_ENDING = ".upload"
"""Ending of the names of marks; objects without it are written by checks of the store."""

_ENDINGS = f"({re.escape(_ENDING)})?"

_LONGEST = 1 << 16
"""Bytes of a mark, at most."""


class Marks:
    """Marks of one store's uploads, and the objects that its checks write."""

    def __init__(
        self, store: str, bucket: Callable[[], Bucket], folder: str, abort: Callable[[str, str], Awaitable[None]]
    ) -> None:
        """Make the marks of `store`, below `folder`, the beginning of all its names.

        `abort` gives up an upload, told by its name and number.
        """
        self._bucket = bucket
        self._folder = folder
        self._abort = abort
        self.uploads = UnfinishedUploads(store, self._find, self._remove, _ENDINGS)

    async def new_mark(self) -> str:
        """Return the path of a new mark."""
        return await self.uploads.new_path(DIRECTORY, _ENDING)

    async def new_object(self) -> str:
        """Return the path of a new object that is neither an asset nor a mark."""
        return await self.uploads.new_path(DIRECTORY)

    def name(self, path: str) -> str:
        """Return the name of the object at a path."""
        return self._folder + path

    async def write(self, mark: str, name: str, upload: str) -> None:
        """Write the mark of `upload`, which is of the object `name`."""
        content = json.dumps({"name": name, "upload": upload}).encode()
        await self._bucket().call("PUT", self.name(mark), payload=Payload.now(content))

    async def delete(self, path: str) -> None:
        """Delete a mark or another object, and leave the upload that it names as it is."""
        await self._bucket().call("DELETE", self.name(path), accept=(200, 204, 404))

    def sweep_if_due(self) -> None:
        """Begin to remove what is due to be removed; see `UnfinishedUploads`."""
        self.uploads.sweep_if_due(DIRECTORY)

    async def _find(self, directory: str) -> list[tuple[str, float | None]]:
        """Fire with the names and ages of all marks and objects of checks."""
        folder = self.name(f"{directory}/")
        async with aclosing(objects(self._bucket(), folder, flat=True)) as listed:
            return [(each.name.removeprefix(folder), _age(each)) async for each in listed]

    async def _remove(self, path: str) -> bool:
        """Give up the upload that a mark names, and delete the mark; fire with whether that is done."""
        if path.endswith(_ENDING):
            answer = await self._bucket().request("GET", self.name(path), accept=(200, 404))
            content = await answer.content(_LONGEST)
            if answer.code == 404:
                return False
            upload = _named_in(content)
            # A mark may have been written by somebody who may write nothing else: uploads outside of the folder stay.
            if not upload or not upload[0].startswith(self._folder):
                return False
            await self._abort(*upload)
        await self.delete(path)
        return True


def _named_in(mark: bytes) -> tuple[str, str] | None:
    """Return the name and number of the upload that a mark names; None when it names none."""
    try:
        told = json.loads(mark)
        return str(told["name"]), str(told["upload"])
    except (ValueError, TypeError, KeyError):
        return None


def _age(listed: Listed) -> float | None:
    """Return the age of an object in seconds, by the server's clock; None where it does not tell."""
    now = http_time(listed.told)
    try:
        return None if now is None else now - datetime.fromisoformat(listed.modified).timestamp()
    except ValueError:
        return None
