"""Identifiers of requests, by which the log line of an answer is found."""

import re
import secrets

_HARMLESS = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def new_id() -> bytes:
    """Return a random identifier."""
    return secrets.token_hex(8).encode()


def id_from(header: bytes | None) -> bytes:
    """Return the identifier that a proxy gave to a request, if it is short and harmless, else a new one."""
    return header if header and _HARMLESS.fullmatch(header) else new_id()
