"""The console of one process: its login and its parts."""

import os
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from was_daemon.concurrency.threads import Threads
from was_daemon.config.settings import Settings
from was_daemon.daemon.components import Components
from was_daemon.web.console.guard import Guard
from was_daemon.web.console.pages import Area
from was_daemon.web.console.routes import Console, frame_of
from was_daemon.web.console.visitors import ConsoleRules

_ROOT = 0

AREAS: tuple[type[Area], ...] = ()
"""The classes of the parts of the console beside the overview, in the order of the navigation."""


def console_of(current: Callable[[], Components]) -> Console:
    """Return the console; `current` returns the components that are in use, which a reload exchanges."""
    from twisted.internet import reactor

    threads = Threads("console password", 1)

    async def password() -> str | None:
        settings = current().settings
        return await threads.call(lambda: stored_password(settings))

    guard = Guard(password, lambda: _rules(current().settings), IReactorTime(reactor))
    return Console(guard, frame_of(AREAS))


def stored_password(settings: Settings) -> str | None:
    """Return the hashed password as it is in its file now; None without one, and if it cannot be read. Blocks."""
    file = settings.admin.password_file
    try:
        return file.text().strip() or None if file else None
    except (OSError, UnicodeDecodeError):
        return None


def _rules(settings: Settings) -> ConsoleRules:
    admin = settings.admin
    # Asked for at each request: twistd may have changed the user after the start.
    users = {_ROOT, os.geteuid()}
    return ConsoleRules(admin.public_url, settings.server.trusted_proxies, admin.session, users)
