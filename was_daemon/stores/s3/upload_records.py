"""Upload records: objects that name the multipart uploads which a daemon has begun.

A bucket tells the key of a multipart upload, when it was begun and with whose credentials, but not by which program. So
each upload of a daemon has a record with its name and number, from before its first part until its end. An upload
without a record, such as one whose daemon was killed before it wrote one, has no part yet, and is left alone.
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
"""Ending of the names of records; objects without it are written by checks of the store."""

_ENDINGS = f"({re.escape(_ENDING)})?"

_LONGEST = 1 << 16
"""Bytes of a record, at most."""


class UploadRecords:
    """Records of one store's uploads, and the objects that its checks write."""

    def __init__(
        self, store: str, bucket: Callable[[], Bucket], folder: str, abort: Callable[[str, str], Awaitable[None]]
    ) -> None:
        """Make the records of `store`, below `folder`, the beginning of all its names.

        `abort` gives up an upload, told by its name and number.
        """
        self._bucket = bucket
        self._folder = folder
        self._abort = abort
        self.uploads = UnfinishedUploads(store, self._find, self._remove, _ENDINGS)

    async def new_record(self) -> str:
        """Return the path of a new record."""
        return await self.uploads.new_path(DIRECTORY, _ENDING)

    async def new_object(self) -> str:
        """Return the path of a new object that is neither an asset nor a record."""
        return await self.uploads.new_path(DIRECTORY)

    def name(self, path: str) -> str:
        """Return the name of the object at a path."""
        return self._folder + path

    async def write(self, record: str, name: str, upload: str) -> None:
        """Write the record of `upload`, which is of the object `name`."""
        content = json.dumps({"name": name, "upload": upload}).encode()
        await self._bucket().call("PUT", self.name(record), payload=Payload.now(content))

    async def delete(self, path: str) -> None:
        """Delete a record or another object, and leave the upload that it names as it is."""
        await self._bucket().call("DELETE", self.name(path), accept=(200, 204, 404))

    def sweep_if_due(self) -> None:
        """Begin to remove what is due to be removed; see `UnfinishedUploads`."""
        self.uploads.sweep_if_due(DIRECTORY)

    async def _find(self, directory: str) -> list[tuple[str, float | None]]:
        """Fire with the names and ages of all records and objects of checks."""
        folder = self.name(f"{directory}/")
        async with aclosing(objects(self._bucket(), folder, flat=True)) as listed:
            return [(each.name.removeprefix(folder), _age(each)) async for each in listed]

    async def _remove(self, path: str) -> bool:
        """Give up the upload that a record names, and delete the record; fire with whether that is done."""
        if path.endswith(_ENDING):
            answer = await self._bucket().request("GET", self.name(path), accept=(200, 404))
            content = await answer.content(_LONGEST)
            if answer.code == 404:
                return False
            upload = _named_in(content)
            # A record may have been written by somebody who may write nothing else: uploads outside of the folder stay.
            if not upload or not upload[0].startswith(self._folder):
                return False
            await self._abort(*upload)
        await self.delete(path)
        return True


def _named_in(record: bytes) -> tuple[str, str] | None:
    """Return the name and number of the upload that a record names; None when it names none."""
    try:
        told = json.loads(record)
        return str(told["name"]), str(told["upload"])
    except (ValueError, TypeError, KeyError):
        return None


def _age(listed: Listed) -> float | None:
    """Return the age of an object in seconds, by the server's clock; None where it does not tell."""
    now = http_time(listed.server_date)
    try:
        return None if now is None else now - datetime.fromisoformat(listed.modified).timestamp()
    except ValueError:
        return None
