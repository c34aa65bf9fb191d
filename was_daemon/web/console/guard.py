"""Who may see the pages of the console: a decorator for each route, and the login behind it.

A route has one of these rules: `anybody`; `administrator`, which needs a session; `session`, the same for what pages
load; `form`, a POST of the administrator's from a page of this server; `stranger_form`, the POST of the login. Each
rule returns the arguments of the route.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, Protocol, TypeAlias, TypeVarTuple
from urllib.parse import parse_qsl

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.web.http import Request

from was_daemon.model.errors import Forbidden
from was_daemon.web.console.attempts import Attempts
from was_daemon.web.console.sessions import Sessions, new_id
from was_daemon.web.console.visitors import ConsoleRules, Visitor, cookie_name, is_same_origin, visitor_of

TOKEN_FIELD = "csrf"  # noqa: S105  # the name of a field
_MAX_FIELDS = 100
_PASSWORD_SECONDS = 2.0
"""Seconds for which the hashed password counts that was read last."""

Ts = TypeVarTuple("Ts")
Rule: TypeAlias = Callable[["Guard", Request], Awaitable[tuple[*Ts]]]

Passwords: TypeAlias = Callable[[], Awaitable[str | None]]
"""Function that fires with the hashed password, None if there is none; with OSError if its file cannot be read."""


class LoginNeeded(Exception):
    """A request for a page that needs a session, without one."""


@attrs.frozen
class Visit:
    """A request of the administrator, or of somebody who may become that: what pages and forms need.

    `root` leads from the page to the console's first one; `cookie` is the value that identifies the browser. `form` has
    the fields of a form that was sent.
    """

    request: Request
    visitor: Visitor
    root: str
    cookie: str = attrs.field(repr=False)
    token: str = attrs.field(repr=False)
    is_logged_in: bool = True
    form: Mapping[str, str] = attrs.field(factory=dict, repr=False)


class Guarded(Protocol):
    """A class whose methods are routes of the console."""

    guard: "Guard"


def guarded(
    rule: Rule[*Ts],
) -> Callable[[Callable[[Any, Request, *Ts], Awaitable[bytes]]], Callable[..., Awaitable[bytes]]]:
    """Decorate a route: it is called with the request and the values of `rule`, unless that raises."""

    def decorate(handler: Callable[[Any, Request, *Ts], Awaitable[bytes]]) -> Callable[..., Awaitable[bytes]]:
        @wraps(handler)
        async def route(pages: Guarded, request: Request, **_path_segments: str) -> bytes:
            return await handler(pages, request, *await rule(pages.guard, request))

        route.rule = rule  # type: ignore[attr-defined]  # for tests, which go through all routes
        return route

    return decorate


async def anybody(_guard: "Guard", _request: Request) -> tuple[()]:
    """Allow every request."""
    return ()


async def administrator(guard: "Guard", request: Request) -> tuple[Visit]:
    """Require a session; raises `LoginNeeded`."""
    return (await guard.visit(request),)


async def session(guard: "Guard", request: Request) -> tuple[Visit]:
    """Require a session for what pages load; nobody is sent to the login for it. Raises `Forbidden`."""
    try:
        return (await guard.visit(request),)
    except LoginNeeded:
        raise Forbidden("log in to the console again") from None


async def form(guard: "Guard", request: Request) -> tuple[Visit]:
    """Require a session, and a form that a page of this server has sent; raises `LoginNeeded` and `Forbidden`."""
    visit = await guard.visit(request)
    return (guard.with_form(visit),)


async def stranger_form(guard: "Guard", request: Request) -> tuple[Visit]:
    """Require a form that a page of this server has sent, as the login does; raises `Forbidden`."""
    return (guard.with_form(guard.stranger(request)),)


class Guard:
    """The login of one administrator: sessions, wrong passwords, and what is known of clients."""

    def __init__(self, passwords: Passwords, rules: Callable[[], ConsoleRules], clock: IReactorTime) -> None:
        self._passwords = passwords
        self._rules = rules
        self._clock = clock
        self._sessions = Sessions(clock)
        self._hashed: str | None = None
        self._fresh_until = 0.0
        self.is_unreadable = False
        self.attempts = Attempts(clock)

    async def password(self) -> str | None:
        """Fire with the hashed password, as it was some seconds ago at most; None if there is none.

        `is_unreadable` is whether that is because its file cannot be read.
        """
        if self._clock.seconds() >= self._fresh_until:
            try:
                self._hashed, self.is_unreadable = await self._passwords(), False
            except OSError:
                self._hashed, self.is_unreadable = None, True
            self._fresh_until = self._clock.seconds() + _PASSWORD_SECONDS
        return self._hashed

    async def visit(self, request: Request) -> Visit:
        """Fire with the visit of the administrator; raises `LoginNeeded`.

        A client that needs no password has no session, only a cookie for the tokens of its forms.
        """
        visitor = visitor_of(request, self._rules())
        if not visitor.needs_password:
            return self._visit(request, visitor, self._given_cookie(request, visitor))
        session = self._sessions.find(self._cookie(request, visitor))
        if not session or session.password != await self.password():
            raise LoginNeeded
        return self._visit(request, visitor, session.id)

    def stranger(self, request: Request) -> Visit:
        """Return the visit of somebody who is not logged in."""
        visitor = visitor_of(request, self._rules())
        visit = self._visit(request, visitor, self._given_cookie(request, visitor))
        return attrs.evolve(visit, is_logged_in=False)

    def with_form(self, visit: Visit) -> Visit:
        """Return a visit with the fields that it has sent; raises `Forbidden` if they came from another site."""
        fields = _fields(visit.request)
        token = fields.pop(TOKEN_FIELD, "")
        if not is_same_origin(visit.request, self._rules()):
            raise Forbidden("this form was sent by a page of another site")
        if not self._sessions.is_form_token(visit.cookie, token):
            raise Forbidden("this form is out of date: go back, reload the page, and send it again")
        return attrs.evolve(visit, form=fields)

    def log_in(self, visit: Visit, password: str) -> None:
        """Begin a session, with an ID that nobody has seen before, with the hashed password that was proved."""
        session = self._sessions.begin(self._rules().session, password)
        self._set_cookie(visit.request, visit.visitor, session.id)

    def log_out(self, visit: Visit) -> None:
        """End the session."""
        self._sessions.end(visit.cookie)
        self._set_cookie(visit.request, visit.visitor, "", max_age=0)

    def _visit(self, request: Request, visitor: Visitor, cookie: str) -> Visit:
        return Visit(request, visitor, root_of(request), cookie, self._sessions.form_token(cookie))

    def _given_cookie(self, request: Request, visitor: Visitor) -> str:
        """Return the cookie of a browser, which gets one if it has none."""
        cookie = self._cookie(request, visitor)
        if not cookie:
            cookie = new_id()
            self._set_cookie(request, visitor, cookie)
        return cookie

    def _cookie(self, request: Request, visitor: Visitor) -> str:
        value = request.getCookie(cookie_name(request, visitor)) or b""
        return value.decode("latin-1")

    def _set_cookie(self, request: Request, visitor: Visitor, value: str, max_age: int | None = None) -> None:
        request.addCookie(
            cookie_name(request, visitor),
            value.encode(),
            path=b"/",
            max_age=None if max_age is None else str(max_age),
            secure=visitor.is_secure,
            httpOnly=True,
            sameSite="strict",
        )


def root_of(request: Request) -> str:
    """Return the relative address of the console's first page: a proxy may have put it below any path."""
    below = request.path.partition(b"/console/")[2]
    return "../" * below.count(b"/") or "./"


def _fields(request: Request) -> dict[str, str]:
    """Return the fields of a form that was sent; the last one of a name counts."""
    if not request.content:
        return {}
    request.content.seek(0)
    text = request.content.read().decode("utf-8", "replace")
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise Forbidden("this form has too many fields") from None
