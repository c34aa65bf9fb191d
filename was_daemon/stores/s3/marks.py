"""Objects that say which uploads in parts are a daemon's, and what becomes of those that nobody will finish.

A bucket tells of an upload in parts under which name it was begun, when, and by whose key: nothing in that tells a
daemon's from those of other programs. So each has an object of ours beside it, with its name and number, from before
its first part until its end. What no such object names, such as an upload that was killed before it had one, and has
no part that takes up room, is left alone.
"""

import json
import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import datetime

from was_daemon.stores.http.client import http_time
from was_daemon.stores.instances import Instance
from was_daemon.stores.s3.bucket import Bucket
from was_daemon.stores.s3.integrity import Payload
from was_daemon.stores.s3.listing import Listed, objects
from was_daemon.stores.sweeping import Sweeper

DIRECTORY = ".was-staging"
"""A name no asset can have."""

_ENDING = ".upload"
"""What the names of these objects end with; those without it are written by checks of the store."""

_ENDINGS = f"({re.escape(_ENDING)})?"

_LONGEST = 1 << 16
"""Bytes of a mark, at most."""


class Marks:
    """The marks of one store's uploads."""

    def __init__(
        self,
        bucket: Callable[[], Bucket],
        folder: str,
        instance: Instance,
        abort: Callable[[str, str], Awaitable[bool]],
    ) -> None:
        """`folder` is what all names begin with.

        `abort` gives up an upload, told by its name and number, and fires with whether it is no more.
        """
        self._bucket = bucket
        self._root = folder
        self._folder = f"{folder}{DIRECTORY}/"
        self._instance = instance
        self._abort = abort
        self.sweeper = Sweeper(instance, self._sweep)

    async def new_name(self, ending: str = "") -> str:
        """A new name for an object that is no asset."""
        await self._instance.begin(DIRECTORY)
        return f"{self._folder}{self._instance.new_name()}{ending}"

    async def mark(self, name: str, upload: str) -> str:
        """Have the bucket say that `upload`, of `name`, is ours; fires with the mark's own name."""
        mark, said = await self.new_name(_ENDING), json.dumps({"name": name, "upload": upload})
        await self._bucket().call("PUT", mark, payload=Payload.now(said.encode()))
        return mark

    async def remove(self, mark: str) -> None:
        """Remove a mark, or another object that `new_name` named."""
        await self._bucket().call("DELETE", mark, accept=(200, 204, 404))

    def tidy(self) -> None:
        """The server works: now and then those uploads go that nobody will finish."""
        self.sweeper.tidy(DIRECTORY)

    async def _sweep(self, _place: str) -> int:
        over = []
        async with aclosing(objects(self._bucket(), self._folder, flat=True)) as listed:
            async for each in listed:
                name = each.name.removeprefix(self._folder)
                if self._instance.is_over(name, _age(each), _ENDINGS):
                    over.append(each.name)
        return [await self._give_up(name) for name in over].count(True)

    async def _give_up(self, mark: str) -> bool:
        """Give up the upload that `mark` names, and remove the mark; fires with whether that is done."""
        if mark.endswith(_ENDING):
            answer = await self._bucket().request("GET", mark, accept=(200, 404))
            said = await answer.content(_LONGEST)
            if answer.code == 404:
                return False
            upload = _named(said)
            # Who may write marks only must not have us give up what lies elsewhere in the bucket.
            if not upload or not upload[0].startswith(self._root) or not await self._abort(*upload):
                return False
        await self.remove(mark)
        return True


def _named(mark: bytes) -> tuple[str, str] | None:
    """The name and number of the upload that a mark tells of; None when it tells of none."""
    try:
        told = json.loads(mark)
        return str(told["name"]), str(told["upload"])
    except (ValueError, TypeError, KeyError):
        return None


def _age(listed: Listed) -> float | None:
    """How old an object is in seconds, by the server's clock; None where it does not tell."""
    now = http_time(listed.told)
    try:
        return None if now is None else now - datetime.fromisoformat(listed.modified).timestamp()
    except ValueError:
        return None
