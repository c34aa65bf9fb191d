"""Forms, read as they arrive: urlencoded, or multipart with files in them."""

import re
from codecs import lookup
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeAlias
from urllib.parse import parse_qsl

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from was_daemon.httpd.request import AssetRequest
from was_daemon.model.errors import BadRequest

_MAX_PARTS = 32
_MAX_FIELD_BYTES = 1 << 16

_SEPARATOR = re.compile("&(?:amp;)+", re.IGNORECASE)
"""The separator of fields in an address that was copied out of HTML as it is. In a value, "&" is percent-encoded."""

_CODECS = re.compile(r"utf-.+|ascii|(iso8859-|cp125|mac-).+")

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MAX_FILE_NAME = 255

FormEvent: TypeAlias = MultipartSegment | bytes | bytearray | None


async def read_form(request: AssetRequest) -> dict[str, str]:
    """Fire with the fields of a small form, urlencoded or multipart; files in it are skipped. Raises `BadRequest`."""
    kind, _ = parse_options_header(request.getHeader("Content-Type") or "")
    if kind == "multipart/form-data":
        fields = FormFields()
        async with aclosing(form_events(request)) as events:
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
    """Return the fields of an urlencoded form or query; raises `BadRequest`."""
    try:
        text = _SEPARATOR.sub("&", data.decode("ascii"))
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARTS)
    except UnicodeDecodeError:
        raise BadRequest("a field is not valid UTF-8") from None
    except ValueError:
        raise BadRequest("there are too many fields") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        # A proxy that checks the request on its way here might read the other one.
        raise BadRequest("a field occurs twice")
    return fields


async def form_events(request: AssetRequest) -> AsyncGenerator[FormEvent, None]:
    """Yield the parser's events of a multipart body: a segment, its bytes, None at its end; raises `BadRequest`."""
    kind, options = parse_options_header(request.getHeader("Content-Type") or "")
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise BadRequest("the request is not a multipart form")
    try:
        # Names of files may be in any charset; Latin-1 decodes all of them, see `file_name`.
        parser = PushMultipartParser(options["boundary"], max_segment_count=_MAX_PARTS, header_charset="latin1")
        while data := await request.body.read():
            if not parser.closed:
                for event in parser.parse(data):
                    yield event
        parser.close()
    except MultipartError as error:
        raise BadRequest(f"the form is malformed: {error}") from None


class FormFields:
    """The text fields of a multipart form; the bytes of files are ignored."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.in_file = False
        self._segment: MultipartSegment | None = None
        self._data = b""

    def feed(self, event: FormEvent) -> None:
        """Take the parser's next event; raises `BadRequest`."""
        if isinstance(event, MultipartSegment):
            # Specify 6 names the field after the file; a part with a file name is the file.
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


def file_name(segment: MultipartSegment) -> str | None:
    """Return the client's own name of a file, without its directories; None if it sends none."""
    sent = (segment.filename or "").encode("latin1")
    try:
        text = sent.decode()
    except UnicodeDecodeError:
        # As Specify 6 may send it.
        text = sent.decode("latin1")
    name = _UNPRINTABLE.sub("", re.split(r"[/\\]", text)[-1])
    return name[:_MAX_FILE_NAME] or None


def _codec(charset: str) -> str:
    """Return Python's name for a charset; raises LookupError for those that clients do not use: some are slow."""
    codec = lookup(charset).name
    if not _CODECS.fullmatch(codec):
        raise LookupError(charset)
    return codec
