"""Multipart forms as Specify's clients upload them (contract, section 1)."""

from collections.abc import Mapping
from uuid import uuid4

import attrs


@attrs.frozen
class Form:
    """Multipart form, ready to be sent."""

    content_type: str
    body: bytes


def specify7_form(name: str, content: bytes | None, fields: Mapping[str, str]) -> Form:
    """Return the form of Specify 7's browser: the file, unless `content` is None, then the fields."""
    file = [] if content is None else [_file("file", name, content)]
    texts = [(f'Content-Disposition: form-data; name="{field}"', value.encode()) for field, value in fields.items()]
    return _form([*file, *texts])


def specify6_form(name: str, content: bytes, fields: Mapping[str, str]) -> Form:
    """Return the form of Specify 6: the fields in Latin-1, then the file in a field called `name`."""
    texts = [
        (
            f'Content-Disposition: form-data; name="{field}"\r\n'
            "Content-Type: text/plain; charset=ISO-8859-1\r\n"
            "Content-Transfer-Encoding: 8bit",
            value.encode("latin-1", "replace"),
        )
        for field, value in fields.items()
    ]
    return _form([*texts, _file(name, name, content)])


def _file(field: str, name: str, content: bytes) -> tuple[str, bytes]:
    disposition = f'Content-Disposition: form-data; name="{field}"; filename="{name}"'
    return f"{disposition}\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary", content


def _form(parts: list[tuple[str, bytes]]) -> Form:
    boundary = f"----was{uuid4().hex}"
    body = b"".join(f"--{boundary}\r\n{headers}\r\n\r\n".encode() + content + b"\r\n" for headers, content in parts)
    return Form(f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode())
