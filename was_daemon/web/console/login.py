"""The login of the console: its page, and the check of a password."""

import math
import re
from html import escape

from twisted.web.http import Request

from was_daemon.concurrency.threads import Threads
from was_daemon.model.errors import Overloaded
from was_daemon.model.passwords import is_password
from was_daemon.web.console.frame import Page, token_field
from was_daemon.web.console.guard import Guard, Visit

_MOST_WAITING = 8
"""Passwords that wait to be hashed, one after the other."""

_NEXT = re.compile(r"[a-z][a-z0-9-]*(/[a-z0-9-]+)*/?(\?[\w.~%&=+-]*)?", re.ASCII)
"""Pattern of addresses below the console: no other host can be written so."""

_UNREADABLE = """<p>The daemon cannot read the file of the password, so nobody can log in here.</p>
<p>On the server run <code>was-daemon doctor</code> as root: it tells the command that mends this.</p>"""

_UNUSABLE = """<p>No password is set, so nobody can log in here.</p>
<p>On the server run <code>was-daemon console-password</code>, as root or as the user of the daemon.</p>"""


class Login:
    """Checks passwords: one at a time, in a thread, and not of clients that have sent many wrong ones."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._threads = Threads("console", 1)
        self._waiting = 0

    async def page(self, visit: Visit, next_page: str) -> Page:
        """Fire with the page of the login, from which one gets to `next_page`."""
        if await self._guard.password():
            return login_page(visit, next_page)
        return Page("Log in", _UNREADABLE if self._guard.is_unreadable else _UNUSABLE, status=403)

    async def try_password(self, visit: Visit, password: str, next_page: str) -> Page | None:
        """Begin a session and fire with None if `password` is right, and else with the page that says it is not.

        Raises `Overloaded` when too many passwords wait.
        """
        address, attempts = visit.visitor.address, self._guard.attempts
        hashed = await self._guard.password()
        if not hashed:
            return await self.page(visit, next_page)
        wait = attempts.wait(address)
        if wait:
            visit.request.setHeader("Retry-After", str(math.ceil(wait)))
            return login_page(visit, next_page, f"Too many wrong passwords: wait {math.ceil(wait)} seconds.", 429)
        # Counted before it is known, or else any number could be sent at the same moment.
        attempts.failed(address)
        if not await self._is_right(password, hashed):
            return login_page(visit, next_page, "This is not the password.", 403)
        attempts.succeeded(address)
        self._guard.log_in(visit, hashed)
        return None

    async def _is_right(self, password: str, hashed: str) -> bool:
        if self._waiting >= _MOST_WAITING:
            raise Overloaded("too many passwords wait to be checked: try again in a few seconds")
        self._waiting += 1
        try:
            return await self._threads.call(lambda: is_password(password, hashed))
        finally:
            self._waiting -= 1


def login_page(visit: Visit, next_page: str, problem: str = "", status: int = 200) -> Page:
    """Return the page of the login, with what was wrong the last time."""
    told = f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else ""
    invalid = ' aria-invalid="true"' if problem else ""
    content = f"""{told}
<form method="post" action="login" class="login">
{token_field(visit)}
<input type="hidden" name="next" value="{escape(next_page)}">
<input type="text" name="username" value="administrator" autocomplete="username" hidden>
<p><label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus{invalid}></p>
<p><button type="submit">Log in</button></p>
</form>
<p class="soft">A new password is made on the server by <code>was-daemon console-password</code>.</p>"""
    return Page("Log in", content, status=status)


def next_page_of(text: str) -> str:
    """Return an address below the console, relative to its first page, if `text` is one; else that page."""
    return text if _NEXT.fullmatch(text) else "./"


def asked_page(request: Request) -> str:
    """Return the address of a page, as `next_page_of` takes it."""
    return request.uri.partition(b"/console/")[2].decode("latin-1")
