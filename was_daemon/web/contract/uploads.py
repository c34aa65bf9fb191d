"""Uploads, whose files are written to disk while the client still sends them.

Specify 7 sends the file before the fields that say whether it is allowed, Specify 6 after them (contract, section 1).
The fields known when the file begins are checked then, all of them when the form is complete.
"""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TypeAlias

from multipart import MultipartSegment
from twisted.internet.defer import Deferred

from was_daemon.assets import Assets
from was_daemon.httpd.request import AssetRequest
from was_daemon.library.quotas.quotas import Reservation
from was_daemon.model.errors import BadRequest, NoSpace, UploadTooLarge
from was_daemon.model.interfaces import IStagingFile
from was_daemon.model.keys import AssetKey, check_name
from was_daemon.model.origins import Origin
from was_daemon.model.sizes import readable
from was_daemon.web.access import AccessRules
from was_daemon.web.contract.forms import FormFields, file_name, form_events
from was_daemon.web.contract.pending_uploads import PendingUpload, PendingUploads

_MAX_FORM_BYTES = 1 << 20
"""Bytes that the fields and headers of an upload may have beside the file."""

_FIELDS_BYTES = 1 << 16
"""Bytes that the fields of an upload and their headers are assumed to have at most, before they have arrived."""

_WRITE_BYTES = 1 << 17
"""Bytes of a file that are gathered before a thread is asked to write them: a thousand slow clients hold as many each.
The bytes of a quick client arrive in larger pieces."""

_SPACE_CHECK_BYTES = 16 << 20
"""Bytes of a file after which the free space is checked again: other programs write to the disk, too."""

Hide: TypeAlias = Callable[[str, AssetKey], Awaitable[None]]
"""Function that makes an original private that is about to be stored; the first argument is the name of its store."""

_PRIVATE = {None: False, "": False, "0": False, "1": True}
"""Values of the field `private` of an upload."""


class UploadForm:
    """One upload of `client`: receive it, then store it; `discard` cleans up whatever happened.

    `arrived` is when the head of its request was complete, in Unix seconds. `hide` makes an original private; None
    where nothing is kept private.
    """

    def __init__(
        self,
        assets: Assets,
        access: AccessRules,
        pending: PendingUploads,
        client: str,
        arrived: float,
        hide: Hide | None = None,
    ) -> None:
        self._assets = assets
        self._access = access
        self._pending_uploads = pending
        self._client = client
        self._arrived = arrived
        self._hide = hide
        self._limits = pending.limits
        self._fields = FormFields()
        self._pending_upload: PendingUpload | None = None
        self._has_file = False
        self._file_name: str | None = None
        self._staged: IStagingFile | None = None
        self._writing: Deferred[None] | None = None
        self._reservation: Reservation | None = None
        self._size = 0
        self._checked = 0
        self._unwritten: list[bytes] = []
        self._unwritten_size = 0

    async def receive(self, request: AssetRequest) -> None:
        """Read the form, and write the file in it to a staging file; raises as soon as a field shows to be wrong."""
        declared = int(request.getHeader("Content-Length") or 0)
        if declared > self._limits.max_size + _MAX_FORM_BYTES:
            raise UploadTooLarge("the upload is too large")
        async with aclosing(form_events(request)) as events:
            async for event in events:
                was_in_file = self._fields.in_file
                self._fields.feed(event)
                if isinstance(event, MultipartSegment):
                    if self._fields.in_file:
                        self._file_name = file_name(event)
                        await self._begin_file(request, declared)
                elif was_in_file and event is not None:
                    await self._append(bytes(event))
        await self._flush()
        await self._wait_for_write()

    async def store(self) -> bool:
        """Make the upload an asset; False when it is a thumbnail, which is ignored."""
        key = self._check(complete=True)
        self._stop_pending()
        if self._is_thumbnail():
            return False
        if not key or not self._staged:
            raise BadRequest("the file is missing")
        if self._is_private():
            await self._make_private(key)
        origin = Origin(self._file_name, self._client)
        await self._assets.put(key, self._staged, self._reservation, origin)
        return True

    def _is_private(self) -> bool:
        value = self._fields.values.get("private")
        if value not in _PRIVATE:
            raise BadRequest("private is neither 1 nor 0")
        return _PRIVATE[value]

    async def _make_private(self, key: AssetKey) -> None:
        """Have the original private before anybody can read it, also if it cannot be stored then."""
        if not self._hide:
            # Stored all the same, it would be public, and whoever has sent it would not know.
            raise BadRequest("this server keeps no file private")
        await self._hide(self._access.collections.place(key).name, key)

    def discard(self) -> None:
        """Remove the bytes that were received and not stored, and give back the place and the reservation."""
        self._stop_pending()
        if self._reservation:
            self._reservation.release()
        if self._writing:
            # The error that ended the upload has been raised already.
            self._writing.addErrback(lambda _: None)
        if self._staged:
            self._staged.discard()

    def _stop_pending(self) -> None:
        if self._pending_upload:
            self._pending_upload.release()

    def _is_thumbnail(self) -> bool:
        return self._fields.values.get("type") == "T"

    @property
    def _is_authorisation_known(self) -> bool:
        return self._fields.values.keys() >= self._access.deciding_fields

    def _check(self, complete: bool) -> AssetKey | None:
        """Check the fields known so far; return the key, as soon as they name one that may be written."""
        fields = self._fields.values
        name = fields.get("store")
        if name is None and complete:
            raise BadRequest("the field store is missing")
        if name is None:
            return None
        check_name(name)
        if not complete and "token" not in fields:
            return None
        if not complete and not self._is_authorisation_known:
            # A token that no key signs is refused at once, whatever the collection will be.
            self._access.require_token_of_any_key(name, fields["token"], self._arrived)
            return None
        self._access.require_token(fields.get("coll"), name, fields.get("token"), self._arrived)
        return self._access.original(fields.get("coll"), name) if complete or "coll" in fields else None

    async def _begin_file(self, request: AssetRequest, declared: int) -> None:
        """Open a staging file for an upload of `declared` bytes in all, 0 when the client did not say how many."""
        if self._has_file:
            raise BadRequest("the form has more than one file")
        self._has_file = True
        key = self._check(complete=False)
        if self._is_thumbnail():
            return
        if not self._is_authorisation_known:
            self._pending_upload = self._pending_uploads.add(self._client, request.give_up)
        if key:
            self._reservation = await self._assets.reserve(key, max(0, declared - _FIELDS_BYTES))
        self._staged = await self._assets.stage(key)
        await self._check_space(declared)

    async def _check_space(self, needed: int) -> None:
        assert self._staged is not None  # noqa: S101  # there is a file
        free, min_free = await self._staged.free(), self._limits.min_free
        if free - needed < min_free:
            size = f" for an upload of {readable(needed)}" if needed else ""
            reason = f"{readable(free)} free{size}, and min_free = {readable(min_free)}"
            raise NoSpace("no space left for the upload", reason)

    async def _append(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limits.max_size:
            raise UploadTooLarge("the upload is too large")
        if not self._staged:
            return
        if self._pending_upload:
            self._pending_upload.grow(len(data))
        self._unwritten.append(data)
        self._unwritten_size += len(data)
        if self._unwritten_size >= _WRITE_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        chunks, self._unwritten, self._unwritten_size = self._unwritten, [], 0
        if not self._staged or not chunks:
            return
        if self._reservation:
            await self._reservation.cover(self._size)
        await self._wait_for_write()
        # While the disk has this, the next piece arrives.
        self._writing = Deferred.fromCoroutine(self._write(self._staged, chunks))

    async def _write(self, staged: IStagingFile, chunks: list[bytes]) -> None:
        await staged.write(chunks)
        if self._size - self._checked >= _SPACE_CHECK_BYTES:
            self._checked = self._size
            await self._check_space(0)

    async def _wait_for_write(self) -> None:
        """Wait for the piece that is being written."""
        writing, self._writing = self._writing, None
        if writing:
            await writing
