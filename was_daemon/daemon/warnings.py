"""Warnings to the operator about settings that work but are risky."""

from twisted.logger import Logger

from was_daemon.config.settings import Settings
from was_daemon.daemon.console_rules import stored_password
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
    found += _of_console(settings)
    reason = reason_against(settings)
    if reason:
        found.append(f"nginx leaves thumbnails to the daemon, as without thumbnails.nginx_marker: {reason}")
    return found


def _of_console(settings: Settings) -> list[str]:
    """Return what is risky about the console's login, or keeps everybody from it."""
    if not settings.server.admin_listen:
        return []
    file = settings.admin.password_file
    found = [f"Nobody can log in to the console: {lack}"] if file and (lack := _lack_of_password(settings)) else []
    in_clear = [each for each in settings.server.admin_listen if not is_local(each) and not each.startswith("ssl:")]
    if file and in_clear:
        found.append(f"The console's password goes unencrypted to {in_clear[0]}: listen on 127.0.0.1, or by ssl:")
    return found


def _lack_of_password(settings: Settings) -> str | None:
    """Return why there is no password for the console; None if there is one."""
    file = settings.admin.password_file
    try:
        if stored_password(settings):
            return None
    except OSError as error:
        return (
            f"{file} cannot be read by the daemon ({error.strerror}); was-daemon doctor, as root, tells what mends it"
        )
    return f"the daemon can read no password in {file}; was-daemon console-password makes one"


def warn(settings: Settings, before: Settings | None = None) -> None:
    """Log the warnings; after a reload, only those that the settings `before` did not cause."""
    known = warnings(before) if before else []
    for warning in warnings(settings):
        if warning not in known:
            _log.warn("{warning}", warning=warning)
