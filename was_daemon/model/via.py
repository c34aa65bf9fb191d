"""The asset servers that a request has come by, as the header `Via` tells (RFC 9110, section 7.6.3).

Two that have each other as a store would ask each other for ever for what neither has. What a request asks another
server for is told by which servers it came, through everything that is called for it.
"""

import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar, copy_context

_PSEUDONYM = f"was-{secrets.token_hex(8)}"
"""Name of this process."""

_ANY = re.compile(b"was-[0-9a-f]{16}")
"""Pattern of such names. What proxies say of themselves is not passed on."""

_MOST = 2
"""How often a request may come by: a server may well ask another for what that one has from here, once."""

_LONGEST = 50
"""Names that are passed on at most, the latest."""

_names: ContextVar[tuple[str, ...]] = ContextVar("names", default=())


def is_circle(via: bytes) -> bool:
    """Return whether a request with this header has been here as often as it may."""
    return via.count(_PSEUDONYM.encode()) >= _MOST


def call_for(via: bytes, function: Callable[[], None]) -> None:
    """Call `function` for a request with this header; `via` is right in it, and in what it starts."""
    names = tuple(name.decode() for name in _ANY.findall(via))[-_LONGEST:]
    context = copy_context()
    context.run(_names.set, names)
    context.run(function)


def via() -> str:
    """Return the header of a request to another server that is made for the one that is being answered, if any."""
    return ", ".join(f"1.1 {name}" for name in (*_names.get(), _PSEUDONYM))
