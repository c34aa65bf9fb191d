"""Conditional writes of one S3 server: whether it refuses to replace an object where it is asked to."""

from collections.abc import Awaitable, Callable, Mapping

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from was_daemon.model.errors import AssetExists, StoreFailed, StoreUnavailable
from was_daemon.stores.s3.bucket import Bucket
from was_daemon.stores.s3.errors import Conflict, problem_in
from was_daemon.stores.s3.integrity import Payload
from was_daemon.stores.s3.parts import completed_tag, write_as_one_part
from was_daemon.stores.s3.upload_records import UploadRecords

Condition = Mapping[str, str]
"""Headers of a request to write an object, for which the server may refuse it; see `AssetExists` and `Conflict`."""

NO_CONDITION: Condition = {}

IF_NEW: Condition = {"If-None-Match": "*"}
"""The condition that there is no object of the name (RFC 9110, section 13.1.2)."""


class Conditions:
    """Knowledge of whether a server keeps the condition `IF_NEW`, found out when it is needed first.

    Amazon S3 does. Others answer with an error, ignore the header and replace the object (s3rver), or take the asterisk
    for an ETag (older MinIO), and a proxy may drop the header. Ceph 16 keeps the condition for whole objects only. So
    both are tried, on objects that have names of their own.
    """

    _log = Logger()

    def __init__(self, bucket: Callable[[], Bucket], records: UploadRecords) -> None:
        self._bucket = bucket
        self._records = records
        self._trying = DeferredLock()
        self._are_kept: dict[bool, bool] = {}

    async def are_kept(self, in_parts: bool) -> bool:
        """Fire with whether the server keeps the condition for whole objects, or for objects `in_parts`.

        Raises the store's errors when that cannot be found out now.
        """
        async with self._trying:
            if in_parts not in self._are_kept:
                self._are_kept[in_parts] = kept = await self._try(in_parts)
                if not kept:
                    self._log.warn(
                        "The store has no conditional writes of {what}: if several daemons upload the same new name at "
                        "the same moment, overwrite = false may let both succeed",
                        what="objects in parts" if in_parts else "objects",
                    )
            return self._are_kept[in_parts]

    async def _try(self, in_parts: bool) -> bool:
        taken, free = await self._records.new_object(), await self._records.new_object()
        write = self._write_in_parts if in_parts else self._write
        try:
            await write(taken, NO_CONDITION)
            try:
                if not await self._is_refused(write(taken, IF_NEW)):
                    return False
                # Refused when it was sent again, it may have been written the first time.
                return not await self._is_refused(write(free, IF_NEW)) or await self._is_there(free)
            except Conflict:
                # The server knows the condition, and has its hands full.
                raise
            except (StoreFailed, StoreUnavailable):
                # If it works without the condition, that is what the server, or a proxy on the way, does not take.
                await write(taken, NO_CONDITION)
                return False
        finally:
            for path in (taken, free):
                self._records.uploads.discard(path)

    async def _is_refused(self, writing: Awaitable[None]) -> bool:
        try:
            await writing
        except AssetExists:
            return True
        return False

    async def _is_there(self, path: str) -> bool:
        return (await self._bucket().call("HEAD", self._records.name(path), accept=(200, 404))).code == 200

    async def _write(self, path: str, condition: Condition) -> None:
        await self._bucket().call("PUT", self._records.name(path), headers=condition, payload=Payload.now(b"check"))

    async def _write_in_parts(self, path: str, condition: Condition) -> None:
        name, payload = self._records.name(path), Payload.now(b"check")
        _part, answer, said = await write_as_one_part(self._bucket(), name, payload, condition)
        if completed_tag(said) is None:
            raise problem_in(said, answer).error
