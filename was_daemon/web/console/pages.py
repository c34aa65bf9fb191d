"""What all parts of the console have in common: routes behind the login, and pages for what goes wrong."""

from html import escape
from typing import Any, ClassVar, Protocol
from urllib.parse import quote

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from was_daemon.model.errors import AssetError
from was_daemon.telemetry.redaction import without_secrets
from was_daemon.web.console.frame import Frame, Page
from was_daemon.web.console.guard import Guard, LoginNeeded, root_of
from was_daemon.web.console.login import asked_page, next_page_of
from was_daemon.web.errors import status_of

_log = Logger()


class Area(Protocol):
    """A part of the console: routes below its `name`, each decorated by `guarded`; `title` is for the navigation."""

    name: ClassVar[str]
    title: ClassVar[str]

    def resource(self) -> KleinResource:
        """Return the resource of the routes."""


class Pages:
    """Base of a class of routes: `app` is a class attribute made by `console_app`."""

    app: Klein

    def __init__(self, guard: Guard, frame: Frame) -> None:
        self.guard = guard
        self.frame = frame

    def resource(self) -> KleinResource:
        """Return the resource of the routes."""
        return self.app.__get__(self, type(self)).resource()


def console_app() -> Klein:
    """Return a router whose errors become pages, and which sends who is not logged in to the login."""
    app = Klein()
    app.handle_errors(Exception)(_answer_error)  # type: ignore[arg-type]  # Klein knows no coroutines here
    return app


def see_other(request: Request, address: str) -> bytes:
    """Answer with a redirect to an address that is relative to the request's."""
    request.setResponseCode(303)
    request.setHeader("Location", address)
    request.setHeader("Content-Type", "text/plain; charset=utf-8")
    return b"elsewhere\n"


def login_address(request: Request) -> str:
    """Return the relative address of the login, from which one gets back to the page of the request."""
    asked = next_page_of(asked_page(request)) if request.method in (b"GET", b"HEAD") else "./"
    query = "" if asked == "./" else f"?next={quote(asked, safe='')}"
    return f"{root_of(request)}login{query}"


async def _answer_error(pages: Pages, request: Request, failure: Failure) -> bytes:
    """Answer with a page that says what went wrong; nothing of it is told to who is not logged in."""
    if failure.check(CancelledError):
        return b""
    try:
        visit = pages.guard.visit(request) if failure.check(LoginNeeded) is None else None
        shown = await visit if visit else None
    except LoginNeeded:
        shown = None
    if isinstance(failure.value, RequestRedirect):
        return see_other(request, request.path.decode("latin-1").rpartition("/")[2] + "/")
    if not shown and not failure.check(AssetError):
        return see_other(request, login_address(request))
    status, title, text = _describe(failure)
    if isinstance(failure.value, MethodNotAllowed):
        request.setHeader("Allow", ", ".join(sorted(failure.value.valid_methods or ())))
    page = Page(title, f"<p>{escape(text)}</p>", status=status)
    return pages.frame.answer(shown or pages.guard.stranger(request), page)


def _describe(failure: Failure) -> tuple[int, str, str]:
    """Return the status, title and text of the page for an error."""
    error: Any = failure.value
    if isinstance(error, AssetError):
        return status_of(error), "This did not work", str(error)
    if isinstance(error, MethodNotAllowed):
        return 405, "This did not work", "The page takes no requests of this method."
    if isinstance(error, HTTPException):
        return error.code or 500, "No such page", "There is nothing at this address: the navigation leads to all pages."
    _log.error("A page of the console could not be made:\n{details}", details=without_secrets(failure.getTraceback()))
    return 500, "Internal error", "What went wrong is in the log of the daemon: please report it."
