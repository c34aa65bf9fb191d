"""Forms, read as they arrive: an upload's file goes to the disk while the client still sends it.

Specify 7 sends the file before the fields that say whether it is allowed, Specify 6 after them (contract, section 1).
What is known when the file begins is checked then, everything when the form is complete.
"""

import re
from codecs import lookup
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeAlias
from urllib.parse import parse_qsl

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header
from twisted.internet.defer import Deferred, ensureDeferred

from was_daemon.assets import Assets
from was_daemon.httpd.protocol import AssetRequest
from was_daemon.library.quotas import Reservation
from was_daemon.model.errors import BadRequest, NoSpace, UploadTooLarge
from was_daemon.model.interfaces import IStagingFile
from was_daemon.model.keys import AssetKey, check_name
from was_daemon.web.access import Access
from was_daemon.web.contract.admission import Admission, Permit

_MAX_PARTS = 32
_MAX_FIELD_BYTES = 1 << 16
_MAX_FORM_BYTES = 1 << 20
"""What the fields and headers of an upload may take beside the file."""

_FIELDS_BYTES = 1 << 16
"""What the fields of an upload, their headers included, are taken to take at the most before they have come."""

_WRITTEN_AT_ONCE = 1 << 17
"""Bytes of a file that are gathered before a thread is asked to write them: a thousand slow clients hold as many each.
What a quick one sends comes in larger pieces."""

_CHECKED_EACH = 16 << 20
"""Bytes of a file after which the free space is looked at again: others write there, too."""

_CODECS = re.compile(r"utf-.+|ascii|(iso8859-|cp125|mac-).+")

_Event: TypeAlias = MultipartSegment | bytes | bytearray | None


async def read_form(request: AssetRequest) -> dict[str, str]:
    """The fields of a small form, urlencoded or multipart; files in it are skipped. Raises `BadRequest`."""
    kind, _ = parse_options_header(request.getHeader("Content-Type") or "")
    if kind == "multipart/form-data":
        fields = Fields()
        async with aclosing(_events(request)) as events:
            async for event in events:
                fields.feed(event)
        return fields.values
    return await _read_urlencoded(request)


async def _read_urlencoded(request: AssetRequest) -> dict[str, str]:
    data = b""
    while chunk := await request.body.read():
        data += chunk
        if len(data) > _MAX_FIELD_BYTES:
            raise BadRequest("the form is too large")
    return parse_fields(data)


def parse_fields(data: bytes) -> dict[str, str]:
    """The fields of an urlencoded form or query; raises `BadRequest`."""
    try:
        pairs = parse_qsl(data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARTS)
    except UnicodeDecodeError:
        raise BadRequest("a field is not valid UTF-8") from None
    except ValueError:
        raise BadRequest("there are too many fields") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        # Whoever looks at the request on its way here might look at the other one.
        raise BadRequest("a field occurs twice")
    return fields


async def _events(request: AssetRequest) -> AsyncGenerator[_Event, None]:
    """The parser's events of a multipart body: a segment, its bytes, None at its end; raises `BadRequest`."""
    kind, options = parse_options_header(request.getHeader("Content-Type") or "")
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise BadRequest("the request is not a multipart form")
    try:
        # Names of files, which nothing here uses, come in any charset; Latin-1 reads them all.
        parser = PushMultipartParser(options["boundary"], max_segment_count=_MAX_PARTS, header_charset="latin1")
        while data := await request.body.read():
            if not parser.closed:
                for event in parser.parse(data):
                    yield event
        parser.close()
    except MultipartError as error:
        raise BadRequest(f"the form is malformed: {error}") from None


class Fields:
    """The text fields of a multipart form. Files pass by unread."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.in_file = False
        self._segment: MultipartSegment | None = None
        self._data = b""

    def feed(self, event: _Event) -> None:
        """Take the parser's next event; raises `BadRequest`."""
        if isinstance(event, MultipartSegment):
            # Specify 6 names the field after the file; what has a file name is the file.
            self.in_file = event.filename is not None or event.name == "file"
            self._segment = event
            self._data = b""
        elif self.in_file:
            self.in_file = event is not None
        elif event is not None:
            self._data += event
            if len(self._data) > _MAX_FIELD_BYTES:
                raise BadRequest("a field is too long")
        else:
            self._end_field()

    def _end_field(self) -> None:
        assert self._segment is not None  # noqa: S101  # the parser begins a segment before it ends one
        name = self._segment.name
        if not name:
            raise BadRequest("a field has no name")
        if name in self.values:
            raise BadRequest("a field occurs twice")
        if (self._segment.content_type or "").startswith("multipart/"):
            raise BadRequest("a field is a form of its own")
        try:
            # A part's own charset counts; Specify 6 sends ISO-8859-1.
            self.values[name] = self._data.decode(_codec(self._segment.charset or "utf-8"))
        except (LookupError, ValueError):
            raise BadRequest("a field's text does not match its charset") from None


def _codec(charset: str) -> str:
    """Python's name for a charset; raises LookupError for one that nobody writes names in, and some are slow."""
    codec = lookup(charset).name
    if not _CODECS.fullmatch(codec):
        raise LookupError(charset)
    return codec


class Upload:
    """One upload: receive it, then store it; `discard` cleans up whatever happened."""

    def __init__(self, assets: Assets, access: Access, admission: Admission) -> None:
        self._assets = assets
        self._access = access
        self._admission = admission
        self._limits = admission.limits
        self._fields = Fields()
        self._permit: Permit | None = None
        self._has_file = False
        self._staged: IStagingFile | None = None
        self._writing: Deferred[None] | None = None
        self._room: Reservation | None = None
        self._size = 0
        self._checked = 0
        self._pending: list[bytes] = []
        self._pending_size = 0

    async def receive(self, request: AssetRequest) -> None:
        """Read the form; the file ends up in a staging file. Raises as soon as something shows to be wrong."""
        declared = int(request.getHeader("Content-Length") or 0)
        if declared > self._limits.max_size + _MAX_FORM_BYTES:
            raise UploadTooLarge("the upload is too large")
        async with aclosing(_events(request)) as events:
            async for event in events:
                was_in_file = self._fields.in_file
                self._fields.feed(event)
                if isinstance(event, MultipartSegment):
                    if self._fields.in_file:
                        await self._begin_file(request, declared)
                elif was_in_file and event is not None:
                    await self._append(bytes(event))
        await self._flush()
        await self._written()

    async def store(self) -> bool:
        """Make the upload an asset; False when it is a thumbnail, which is ignored."""
        key = self._check(complete=True)
        self._leave()
        if self._is_thumbnail():
            return False
        if not key or not self._staged:
            raise BadRequest("the file is missing")
        await self._assets.put(key, self._staged, self._room)
        return True

    def discard(self) -> None:
        """Remove what was received and not stored."""
        self._leave()
        if self._room:
            self._room.release()
        if self._writing:
            # Whoever gave the upload up has been told why.
            self._writing.addErrback(lambda _: None)
        if self._staged:
            self._staged.discard()

    def _leave(self) -> None:
        if self._permit:
            self._permit.release()

    def _is_thumbnail(self) -> bool:
        return self._fields.values.get("type") == "T"

    @property
    def _is_decided(self) -> bool:
        return self._fields.values.keys() >= self._access.deciding_fields

    def _check(self, complete: bool) -> AssetKey | None:
        """Check the fields known so far; the key, as soon as they name one that may be written."""
        fields = self._fields.values
        name = fields.get("store")
        if name is None and complete:
            raise BadRequest("the field store is missing")
        if name is None:
            return None
        check_name(name)
        if not complete and "token" not in fields:
            return None
        if not complete and not self._is_decided:
            # A token of nobody's is refused at once, whatever the collection will be.
            self._access.require_some_token(name, fields["token"])
            return None
        self._access.require_token(fields.get("coll"), name, fields.get("token"))
        return self._access.original(fields.get("coll"), name) if complete or "coll" in fields else None

    async def _begin_file(self, request: AssetRequest, declared: int) -> None:
        """Make room for the file, of an upload of `declared` bytes in all; 0 when the client did not say."""
        if self._has_file:
            raise BadRequest("the form has more than one file")
        self._has_file = True
        key = self._check(complete=False)
        if self._is_thumbnail():
            return
        if not self._is_decided:
            self._permit = self._admission.enter(self._access.client(request), request.give_up)
        if key:
            self._room = await self._assets.reserve(key, max(0, declared - _FIELDS_BYTES))
        self._staged = await self._assets.stage(key)
        await self._check_space(declared)

    async def _check_space(self, needed: int) -> None:
        assert self._staged is not None  # noqa: S101  # there is a file
        if await self._staged.free() - needed < self._limits.min_free:
            raise NoSpace("no space left for the upload")

    async def _append(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limits.max_size:
            raise UploadTooLarge("the upload is too large")
        if not self._staged:
            return
        if self._permit:
            self._permit.grow(len(data))
        self._pending.append(data)
        self._pending_size += len(data)
        if self._pending_size >= _WRITTEN_AT_ONCE:
            await self._flush()

    async def _flush(self) -> None:
        pending, self._pending, self._pending_size = self._pending, [], 0
        if not self._staged or not pending:
            return
        if self._room:
            await self._room.cover(self._size)
        await self._written()
        # While the disk has this, the next piece arrives.
        self._writing = ensureDeferred(self._write(self._staged, pending))

    async def _write(self, staged: IStagingFile, pending: list[bytes]) -> None:
        await staged.write(pending)
        if self._size - self._checked >= _CHECKED_EACH:
            self._checked = self._size
            await self._check_space(0)

    async def _written(self) -> None:
        """Wait for the piece that is being written."""
        writing, self._writing = self._writing, None
        if writing:
            await writing
