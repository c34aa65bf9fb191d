"""Uploads to a server in one or several steps: `begin`, `put`, `commit`; or `replace`."""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
from twisted.logger import Logger

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.model.errors import AssetError, AssetNotFound, StoreFailed
from was_daemon.model.keys import AssetKey
from was_daemon.model.media import media_type
from was_daemon.stores.http.body import Upload
from was_daemon.stores.rest.client import RestClient
from was_daemon.stores.rest.finding import Found
from was_daemon.stores.rest.matching import asset_variables
from was_daemon.stores.rest.options import FILE
from was_daemon.stores.rest.settings import RestSettings
from was_daemon.stores.rest.values import MISSING, Checksum, Pointer

if TYPE_CHECKING:
    from hashlib import _Hash


class Source:
    """Bytes of an upload on their way to a server, counted, and hashed if the server tells a checksum."""

    def __init__(self, chunks: AsyncIterator[bytes], checksum: Checksum | None) -> None:
        self.size = 0
        """Number of bytes so far."""
        self.hash: _Hash | None = checksum.begin() if checksum else None
        self._chunks = chunks

    async def bytes(self) -> AsyncGenerator[bytes, None]:
        """Yield the chunks."""
        async for chunk in self._chunks:
            self.size += len(chunk)
            if self.hash:
                self.hash.update(chunk)
            yield chunk


@attrs.frozen
class Sent:
    """Upload that the server has received; `variables` and `document` are what its answers told."""

    key: AssetKey
    variables: dict[str, Any] = attrs.field(repr=False)
    document: Any = attrs.field(repr=False)
    id: str | None = None
    """The id of the new asset, if the server has told it."""


class Uploads:
    """Steps of uploads. One that fails half-way is given up at the server by `abort`, if that is configured."""

    _log = Logger()

    def __init__(self, settings: RestSettings, client: RestClient) -> None:
        self._settings = settings
        self._client = client
        self._checksum = Checksum.parse(settings.checksum) if settings.checksum else None
        self._aborting = BackgroundTasks()

    def source(self, chunks: AsyncIterator[bytes]) -> Source:
        """Return the source of an upload."""
        return Source(chunks, self._checksum)

    async def replace(self, found: Found, source: Source, size: int | None) -> None:
        """Give an asset of the server new bytes. Raises the errors of the source and of the store."""
        async with self._body(found.key, source, size) as body:
            variables = found.variables | {"size": body.size}
            request = self._client.prepare("replace", variables, found.document)
            await self._client.step(request, self._headers(body, variables), body.upload)
            self._check_size(source, size)

    async def create(self, key: AssetKey, source: Source, size: int | None) -> Sent:
        """Send a new asset; fire when the server has confirmed the last step. Raises as `replace` does."""
        async with self._body(key, source, size) as body:
            variables = asset_variables(key) | {"size": body.size, "location": None}
            document = MISSING
            if "begin" in self._settings.requests:
                reply = await self._client.step(self._client.prepare("begin", variables))
                document = reply.document
                variables["location"] = reply.answer.header("Location")
            sent = self._told_more(Sent(key, variables, MISSING), document)
            try:
                return await self._send(sent, body, source, size)
            except BaseException:
                self.give_up(sent)
                raise

    async def _send(self, sent: Sent, body: "_Body", source: Source, size: int | None) -> Sent:
        request = self._client.prepare("put", sent.variables, sent.document)
        reply = await self._client.step(request, self._headers(body, sent.variables), body.upload)
        self._check_size(source, size)
        sent = attrs.evolve(sent, variables=sent.variables | {"size": source.size})
        sent = self._told_more(sent, reply.document)
        if "commit" in self._settings.requests:
            reply = await self._client.step(self._client.prepare("commit", sent.variables, sent.document))
            sent = self._told_more(sent, reply.document)
        return sent

    def _told_more(self, sent: Sent, document: Any) -> Sent:
        """Return what is known after another answer: what it tells hides what earlier ones told."""
        if isinstance(sent.document, dict) and isinstance(document, dict):
            document = sent.document | document
        elif document is MISSING:
            document = sent.document
        pointer = None if self._settings.created is None else Pointer(self._settings.created)
        told = pointer is not None and pointer.find(document) not in (MISSING, None)
        return attrs.evolve(sent, document=document, id=pointer.text_in(document) if pointer and told else None)

    def give_up(self, sent: Sent) -> None:
        """Have the server remove, in the background, an upload that is not wanted any more."""
        if sent.id is not None or "abort" in self._settings.requests:
            self._aborting.start(self._abort(sent))

    async def _abort(self, sent: Sent) -> None:
        try:
            if sent.id is None:
                request = self._client.prepare("abort", sent.variables, sent.document)
            else:
                found = Found(sent.key, sent.id, sent.document)
                request = self._client.prepare("delete", found.variables, sent.document)
            await self._client.ask(request)
        except AssetNotFound:
            return
        except AssetError as error:
            self._log.warn("An unfinished upload may be left at {url}: {error}", url=self._settings.url, error=error)

    async def close(self) -> None:
        """Wait until uploads that were given up are removed, or cannot be."""
        await self._aborting.settled()

    # -- bodies --------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _body(self, key: AssetKey, source: Source, size: int | None) -> AsyncGenerator["_Body", None]:
        """Hold the body of the request that has the file."""
        boundary = secrets.token_hex(16) if self._settings.put_form else ""
        before, after = self._around(key, boundary, size) if boundary else (b"", b"")
        total = None if size is None else len(before) + size + len(after)
        async with aclosing(source.bytes()) as file, aclosing(_joined(before, file, after)) as parts:
            upload = await Upload.of(parts, total)
            if upload.is_in_memory:
                self._check_size(source, size)
            yield _Body(upload, boundary, source.size if upload.is_in_memory else size)

    def _around(self, key: AssetKey, boundary: str, size: int | None) -> tuple[bytes, bytes]:
        """Return what comes before and after the file in a form (RFC 7578)."""
        variables = asset_variables(key) | {"size": size}
        pieces, before = list[str](), b""
        for field, text in self._settings.put_form.items():
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(field)}"'
            if text == f"{{{FILE}}}":
                kind = media_type(key.name)
                pieces.append(f'{head}; filename="{_quoted(key.name)}"\r\nContent-Type: {kind}\r\n\r\n')
                before, pieces = "".join(pieces).encode(), []
                pieces.append("\r\n")
            else:
                pieces.append(f"{head}\r\n\r\n{self._client.text(text, variables)}\r\n")
        return before, ("".join(pieces) + f"--{boundary}--\r\n").encode()

    def _headers(self, body: "_Body", variables: Mapping[str, Any]) -> dict[str, str]:
        kind = f"multipart/form-data; boundary={body.boundary}" if body.boundary else str(variables["type"])
        own = {name: self._client.text(text, variables, True) for name, text in self._settings.put_headers.items()}
        return own if "content-type" in map(str.lower, own) else {"Content-Type": kind, **own}

    @staticmethod
    def _check_size(source: Source, size: int | None) -> None:
        if size not in (None, source.size):
            raise StoreFailed("the upload is not as long as was said")


@attrs.frozen
class _Body:
    """Body of the request that has the file, of which `size` bytes are the file, None if that is not known yet."""

    upload: Upload
    boundary: str
    size: int | None


async def _joined(before: bytes, file: AsyncIterator[bytes], after: bytes) -> AsyncGenerator[bytes, None]:
    if before:
        yield before
    async for chunk in file:
        yield chunk
    if after:
        yield after


def _quoted(text: str) -> str:
    """Return a parameter of a form's field, as browsers quote it."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
