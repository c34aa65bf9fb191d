"""Settings without a counterpart in the configuration: what to say of each, and which may decide who has access.

The California Academy of Sciences has a fork of the official server. It keeps names and redacted pictures in a MySQL
database (`SQL_...`), and originals and thumbnails in directories by the first four characters of their names.
"""

import re
from collections.abc import Iterable

_DEBUG = "start the daemon with DEBUG_MODE=true in its environment for more in its log"
_NEEDLESS = {
    "DEBUG": _DEBUG,
    "DEBUG_APP": _DEBUG,
    "LOG_LEVEL": _DEBUG,
    "SERVER": "the daemon is its own HTTP server",
    "CAN_THUMBNAIL": "the daemon makes thumbnails of these and of more kinds of files",
    "ENCODING": "the daemon starts no programs that need it",
    "OVERRIDE_PORT": "a port that is not the usual one belongs into public_url",
}
_OF_FORK = {
    "INTERNAL": "one daemon serves everybody",
    "PUBLIC_SERVER": "one daemon serves everybody",
    "PUBLIC_SERVER_PORT": "one daemon serves everybody",
}
_SQL = "SQL_"
_ACCESS = re.compile(
    "ACCESS|ALLOW|ANONYM|AUTH|DENY|FORBID|GUEST|HIDE|LOGIN|PRIVATE|PUBLIC|REDACT|REQUIRE|RESTRICT|TOKEN|VISIB"
)
"""Pattern that matches in the names of settings that may decide who has access."""

REDACTION = (
    "These are settings of the California Academy's server, which shows redacted pictures to users with a token only. "
    "Which these are is in its database: tokens are required for reading, until you enter its table by was-daemon "
    'catalogue import, and set require_token_for_get = "private".'
)


def is_fork(names: Iterable[str]) -> bool:
    """Return whether settings of these names are those of the California Academy's fork."""
    return any(name.startswith(_SQL) or name in _OF_FORK or "REDACT" in name.upper() for name in names)


def remark_of(name: str) -> str | None:
    """Return a sentence on a setting that is not needed; None for an unknown one."""
    if name in _NEEDLESS:
        return f"{name} is not needed: {_NEEDLESS[name]}."
    if name in _OF_FORK:
        return f"{name} is a setting of the California Academy's server, and left out: {_OF_FORK[name]}."
    if name.startswith(_SQL):
        return f"{name} is a setting of the California Academy's server, and left out: was_daemon needs no database."
    return None


def may_decide_access(name: str) -> bool:
    """Return whether an unknown setting may, by its name, decide who has access."""
    return bool(_ACCESS.search(name.upper()))
