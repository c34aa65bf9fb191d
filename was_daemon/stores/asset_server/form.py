"""Forms that upload and delete, as streams of bytes."""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from urllib.parse import quote

import attrs


@attrs.frozen
class Form:
    """A form with a file, if `file_name` names one, then `fields`, and a token at its end.

    The token comes last. An upload that breaks off has none, so that every server refuses it: some take the part of the
    file that has arrived for the whole. `sign` returns the token when the rest has been sent.
    """

    fields: Mapping[str, str]
    sign: Callable[[], str | None]
    file_name: str | None = None
    _boundary: str = attrs.field(factory=lambda: secrets.token_hex(16), init=False)

    @property
    def content_type(self) -> str:
        """The value of the header `Content-Type`."""
        return f"multipart/form-data; boundary={self._boundary}"

    @property
    def overhead(self) -> int:
        """The number of bytes besides those of the file."""
        # All tokens are of the same length, until the year 2286.
        return len(self._begin()) + len(self._end())

    async def chunks(
        self, file: AsyncIterator[bytes], before_end: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[bytes, None]:
        """Yield the form with the bytes of `file`; await `before_end` when only the fields are left."""
        yield self._begin()
        async for chunk in file:
            yield chunk
        await before_end()
        yield self._end()

    def without_file(self) -> bytes:
        """Return a form that has no file."""
        return self._end().removeprefix(b"\r\n")

    def _begin(self) -> bytes:
        # Quoted: a name may have quotation marks in it, and servers decode letters in their own ways.
        name = quote(self.file_name or "", safe="")
        return (
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()

    def _end(self) -> bytes:
        token = self.sign()
        fields = self.fields if token is None else {**self.fields, "token": token}
        parts = "".join(
            f'\r\n--{self._boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}'
            for name, value in fields.items()
        )
        return f"{parts}\r\n--{self._boundary}--\r\n".encode()
