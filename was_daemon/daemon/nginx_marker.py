"""Marker file that exists as long as nginx may answer stored thumbnails itself (etc/nginx/was-thumbnails.conf).

nginx knows neither tokens nor what the daemon would remove. So it looks for this file at each request, and leaves
everything to the daemon when there is none: a server that begins to ask for tokens does so at once, whatever nginx was
told before.
"""

import os
from pathlib import Path

from twisted.logger import Logger

from was_daemon.config.settings import Settings

_CONTENT = b"As long as this file is here, nginx may answer stored thumbnails of was_daemon.\n"
"""Content by which the daemon recognises its file: the setting may name another one by mistake."""

_log = Logger()


def set_marker(settings: Settings | None, before: Settings | None) -> None:
    """Make or remove the file as `settings` say. `settings` is None at the stop: remove it. Blocks for a moment.

    `before` are the settings that were in use until now.
    """
    path = settings.thumbnails.nginx_marker if settings else None
    old = before.thumbnails.nginx_marker if before else None
    if old and old != path:
        _remove(old)
    if not settings or not path:
        return
    if reason_against(settings):
        _remove(path)
        return
    try:
        _make(path)
    except OSError as error:
        _log.error("nginx cannot be told that it may answer thumbnails: {error}", error=error)


def _make(path: Path) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        if not _is_ours(path):
            raise
        return
    with os.fdopen(fd, "wb") as file:
        file.write(_CONTENT)


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_CONTENT) + 1) == _CONTENT


def _remove(path: Path) -> None:
    try:
        if not _is_ours(path):
            _log.error("{path} was not made by the daemon, and is left alone", path=path)
            return
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        _log.error("nginx may go on to answer thumbnails: {error}", error=error)


def reason_against(settings: Settings) -> str | None:
    """Return why nginx may not answer thumbnails itself, None if it may, or is not asked to."""
    if not settings.thumbnails.nginx_marker:
        return None
    if settings.server.require_token_for_get:
        return "it would not ask for the tokens that server.require_token_for_get wants"
    if settings.thumbnails.max_size is not None:
        return "with thumbnails.max_size the daemon has to see which ones are used"
    return None
