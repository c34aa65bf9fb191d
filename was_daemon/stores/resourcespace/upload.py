"""Uploads as multipart forms that are streamed, and what is remembered of their bytes."""

import hashlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

_CHECKED = 50_000
"""Bytes at the beginning of a file that make its checksum, with its size, where `$file_checksums_50k` is on."""


class FileForm:
    """Form with a file in its field `file`, as the body of one request; counts and hashes the file meanwhile."""

    def __init__(self, fields: Mapping[str, str], file_name: str, chunks: AsyncIterator[bytes]) -> None:
        """Make a form of text fields and of a file; its name has no quotes. The caller closes `chunks`."""
        self._chunks = chunks
        self._boundary = secrets.token_hex(16)
        self._head = "".join(self._part(f'name="{name}"') + value + "\r\n" for name, value in fields.items()).encode()
        self._head += self._part(f'name="file"; filename="{file_name}"', "application/octet-stream").encode()
        self._tail = f"\r\n--{self._boundary}--\r\n".encode()
        self.size = 0
        """Number of the file's bytes so far."""
        self._beginning = b""
        self._md5 = hashlib.md5(usedforsecurity=False)

    def _part(self, disposition: str, media_type: str = "") -> str:
        kind = f"Content-Type: {media_type}\r\n" if media_type else ""
        return f"--{self._boundary}\r\nContent-Disposition: form-data; {disposition}\r\n{kind}\r\n"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the request."""
        return {"Content-Type": f"multipart/form-data; boundary={self._boundary}"}

    def length(self, size: int | None) -> int | None:
        """Return the number of bytes of the form when its file has `size` bytes."""
        return None if size is None else len(self._head) + size + len(self._tail)

    async def body(self) -> AsyncGenerator[bytes, None]:
        """Yield the form. Raises what the file's chunks raise."""
        yield self._head
        async for chunk in self._chunks:
            self.size += len(chunk)
            self._md5.update(chunk)
            if len(self._beginning) < _CHECKED:
                self._beginning += chunk[: _CHECKED - len(self._beginning)]
            yield chunk
        yield self._tail

    def checksums(self) -> tuple[str, str]:
        """Return the checksums that ResourceSpace may tell of the file: of its beginning and size, and of all of it."""
        beginning = hashlib.md5(f"{self.size}_".encode() + self._beginning, usedforsecurity=False)
        return beginning.hexdigest(), self._md5.hexdigest()
