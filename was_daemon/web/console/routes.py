"""The routes of the console itself: login, logout, files, and the overview; `areas` have the other pages."""

from collections.abc import Sequence
from typing import Any

from klein.resource import KleinResource
from twisted.web.http import Request
from werkzeug.exceptions import NotFound

from was_daemon.concurrency.threads import Threads
from was_daemon.web.console.frame import OVERVIEW, Frame, NavigationEntry, console_files
from was_daemon.web.console.guard import Guard, LoginNeeded, Visit, administrator, anybody, form, guarded, stranger_form
from was_daemon.web.console.login import Login, next_page_of
from was_daemon.web.console.overview import overview_page, span_of
from was_daemon.web.console.pages import Area, console_app, see_other
from was_daemon.web.console.sources import SourcePages, Sources
from was_daemon.web.static_files import file_answer


class Console(SourcePages):
    """Everything below `/console/`."""

    app = console_app()

    def __init__(self, guard: Guard, frame: Frame, sources: Sources, areas: Sequence[Area]) -> None:
        super().__init__(guard, frame, sources)
        self._threads = Threads("console plots", 1)
        self._login = Login(guard)
        self._areas = {area.name: area for area in areas}

    @app.route("/", methods=["GET"])
    @guarded(administrator)
    async def overview(self, request: Request, visit: Visit) -> bytes:
        """Show at a glance how the server does."""
        span = span_of(argument(request, b"span"))
        overview, report = await self.sources.overview(), await self.sources.report()
        charts = await self.sources.charts(span)
        # Thousands of points are written as text, which takes a while.
        page = await self._threads.call(lambda: overview_page(overview, report, self.sources.examination, charts, span))
        return self.frame.answer(visit, page)

    @app.route("/login", methods=["GET"])
    @guarded(anybody)
    async def login(self, request: Request) -> bytes:
        """Show the login; who is logged in gets to the page that was asked for."""
        asked = next_page_of(argument(request, b"next"))
        try:
            await self.guard.visit(request)
        except LoginNeeded:
            visit = self.guard.stranger(request)
            return self.frame.answer(visit, await self._login.page(visit, asked))
        return see_other(request, asked)

    @app.route("/login", methods=["POST"])
    @guarded(stranger_form)
    async def log_in(self, request: Request, visit: Visit) -> bytes:
        """Take a password."""
        asked = next_page_of(visit.form.get("next", ""))
        page = await self._login.try_password(visit, visit.form.get("password", ""), asked)
        return self.frame.answer(visit, page) if page else see_other(request, asked)

    @app.route("/logout", methods=["POST"])
    @guarded(form)
    async def log_out(self, request: Request, visit: Visit) -> bytes:
        """End the session."""
        self.guard.log_out(visit)
        return see_other(request, "login")

    @app.route("/static/<version>/<name>", methods=["GET"])
    @guarded(anybody)
    async def file(self, request: Request) -> bytes:
        """Send a file that pages load."""
        files, name = console_files(), request.path.rpartition(b"/")[2].decode("latin-1")
        file = files.by_name.get(name)
        if not file or not request.path.endswith(f"/static/{files.version}/{name}".encode("latin-1")):
            raise NotFound
        return file_answer(request, file, files.version)

    @app.route("/<area>/", methods=["GET", "HEAD", "POST"], branch=True)
    def area(self, request: Request, area: str, **_: Any) -> KleinResource:
        """Leave everything below the name of an area to it."""
        if area not in self._areas:
            raise NotFound
        return self._areas[area].resource()


def frame_of(areas: Sequence[type[Area]]) -> Frame:
    """Return the frame with a navigation to the overview and to these classes of areas."""
    return Frame([OVERVIEW, *(NavigationEntry(f"{area.name}/", area.title) for area in areas)])


def argument(request: Request, name: bytes) -> str:
    """Return the first value of an argument in the query, "" without one."""
    values: list[bytes] = request.args.get(name) or [b""]
    return values[0].decode("utf-8", "replace")
