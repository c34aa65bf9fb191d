"""Warnings to the operator about settings that work but are risky."""

from twisted.logger import Logger

from was_daemon.config.settings import Settings
from was_daemon.daemon.listening import is_local
from was_daemon.daemon.nginx_marker import reason_against
from was_daemon.workers import sandbox

_log = Logger()


def warnings(settings: Settings) -> list[str]:
    """Return warnings about risky settings and missing protection, a sentence each."""
    lacks = [f"This machine lacks {lack}" for lack in sandbox.missing()]
    return [*settings.weak_keys, *warnings_of_settings(settings), *lacks]


def warnings_of_settings(settings: Settings) -> list[str]:
    """Return warnings about settings, without those about weak keys."""
    found = [*settings.warnings]
    if settings.server.require_token_for_get is True and settings.server.static_access:
        found.append("Tokens are required to read, but anybody can read below /static/: set static_access = false")
    if not settings.server.public_url and not all(map(is_local, settings.server.listen)):
        found.append(
            "Clients are told whatever host a request names, and other machines may send requests: set public_url"
        )
    reason = reason_against(settings)
    if reason:
        found.append(f"nginx leaves thumbnails to the daemon, as without thumbnails.nginx_marker: {reason}")
    return found


def warn(settings: Settings, before: Settings | None = None) -> None:
    """Log the warnings; after a reload, only those that the settings `before` did not cause."""
    known = warnings(before) if before else []
    for warning in warnings(settings):
        if warning not in known:
            _log.warn("{warning}", warning=warning)
