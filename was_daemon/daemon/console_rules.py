"""The settings of the console's login, as they are at the moment."""

import os

from was_daemon.config.settings import Settings
from was_daemon.model.passwords import NotHashed, check_hashed
from was_daemon.web.console.visitors import ConsoleRules

_ROOT = 0


def console_rules(settings: Settings) -> ConsoleRules:
    """Return who may use the console; to be called for each request, as twistd may change the user after the start."""
    admin = settings.admin
    users = {_ROOT, os.geteuid()}
    return ConsoleRules(admin.public_url, settings.server.trusted_proxies, admin.session, users)


def stored_password(settings: Settings) -> str | None:
    """Return the hashed password as it is in its file now; None without one, and if it is of no use.

    Raises OSError if the file is there, and cannot be read. Blocks.
    """
    file = settings.admin.password_file
    try:
        line = file.text().strip() if file else ""
        check_hashed(line)
    except (FileNotFoundError, UnicodeDecodeError, NotHashed):
        return None
    return line
