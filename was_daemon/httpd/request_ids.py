"""Names for requests, by which an answer finds its line in the log."""

import re
import secrets

_HARMLESS = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def new_id() -> bytes:
    """A name that no other request has, and that tells nothing."""
    return secrets.token_hex(8).encode()


def id_from(header: bytes | None) -> bytes:
    """The name that a proxy gave to a request, if it is short and harmless, else a new one."""
    return header if header and _HARMLESS.fullmatch(header) else new_id()
