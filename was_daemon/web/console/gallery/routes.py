"""The routes of the gallery and of the trash."""

from collections.abc import Mapping
from typing import Any, ClassVar

from klein.resource import KleinResource
from twisted.web.http import Request

from was_daemon.model.errors import AssetExists, AssetNotFound, BadRequest
from was_daemon.model.trash import TrashId
from was_daemon.web.console.gallery import listing, trash_page, visibility_form
from was_daemon.web.console.gallery.asset_page import asset_page
from was_daemon.web.console.gallery.holdings import Exhibit, Holdings
from was_daemon.web.console.gallery.markup import address
from was_daemon.web.console.gallery.sheet import sheet_of
from was_daemon.web.console.guard import Visit, administrator, form, guarded, session
from was_daemon.web.console.pages import console_app, see_other
from was_daemon.web.console.sources import SourcePages
from was_daemon.web.contract.forms import parse_fields

_RESTORED, _TAKEN = "restored", "taken"

_SAID = {
    **visibility_form.SAID,
    _RESTORED: "The version from the trash is stored again.",
    _TAKEN: "Nothing has changed: a file of this name is stored. Below, the version can be put in its place.",
}
"""Sentences at the head of the page of an original, by the field `said` of its address."""


class _GalleryPages(SourcePages):
    """Base of the two parts of the console that show originals."""

    def _begin(self, request: Any) -> Holdings:
        """Return the holdings, which a reload closes only after the end of the request."""
        holdings = self.sources.holdings()
        holdings.active_requests.begin(request)
        return holdings


class Gallery(_GalleryPages):
    """Originals as pictures, and a page for each."""

    name: ClassVar[str] = "gallery"
    title: ClassVar[str] = listing.TITLE
    app = console_app()

    @app.route("/", methods=["GET"])
    @guarded(administrator)
    async def gallery(self, request: Request, visit: Visit) -> bytes:
        """Show the newest originals, or those that are asked for."""
        page = await listing.gallery_page(self._begin(request), request.uri.partition(b"?")[2])
        return self.frame.answer(visit, page)

    @app.route("/asset", methods=["GET"])
    @guarded(administrator)
    async def asset(self, request: Request, visit: Visit) -> bytes:
        """Show what is known of an original."""
        holdings, fields = self._begin(request), _query(request)
        sheet = await sheet_of(holdings, _exhibit(holdings, fields), fields.get("history", ""))
        return self.frame.answer(visit, asset_page(holdings, visit, sheet, _SAID.get(fields.get("said", ""), "")))

    @app.route("/visibility", methods=["POST"])
    @guarded(form)
    async def decide(self, request: Request, visit: Visit) -> bytes:
        """Decide who may see an original."""
        holdings = self._begin(request)
        exhibit, choice = _exhibit(holdings, visit.form), visit.form.get("choice", "")
        await visibility_form.decide(holdings, exhibit, choice, visit.form.get("reason", ""))
        return see_other(request, f"{_asset_address(visit, exhibit, choice)}#visibility")

    @app.route("/look/view", methods=["GET"])
    @guarded(administrator)
    async def view(self, request: Request, _visit: Visit) -> Any:
        """Show the zoom viewer, after the login."""
        return self._look(request)

    @app.route("/look/", methods=["GET", "HEAD"], branch=True)
    @guarded(session)
    async def look(self, request: Request, _visit: Visit) -> Any:
        """Send what pages show of originals."""
        return self._look(request)

    def _look(self, request: Request) -> KleinResource:
        return self._begin(request).looking.resource_for(request)


class Trash(_GalleryPages):
    """Versions of originals that were deleted or replaced."""

    name: ClassVar[str] = "trash"
    title: ClassVar[str] = trash_page.TITLE
    app = console_app()

    @app.route("/", methods=["GET"])
    @guarded(administrator)
    async def trash(self, request: Request, visit: Visit) -> bytes:
        """Show the latest versions."""
        fields = _query(request)
        page = trash_page.trash_page(
            self._begin(request), visit, fields.get("name", "").strip(), fields.get("before", "")
        )
        return self.frame.answer(visit, await page)

    @app.route("/restore", methods=["POST"])
    @guarded(form)
    async def restore(self, request: Request, visit: Visit) -> bytes:
        """Make a version the original again."""
        holdings = self._begin(request)
        exhibit, said = _exhibit(holdings, visit.form), _RESTORED
        try:
            await _restore(holdings, exhibit, visit.form.get("id", ""), bool(visit.form.get("replace")))
        except AssetExists:
            said = _TAKEN
        return see_other(request, f"{_asset_address(visit, exhibit, said)}{'#trash' if said is _TAKEN else ''}")


async def _restore(holdings: Holdings, exhibit: Exhibit, identifier: str, replace: bool) -> None:
    """Restore a version of an original, as `was-daemon trash restore` does."""
    if not TrashId.parse(identifier):
        raise BadRequest("the form names no version: load the page again")
    found = await (await holdings.trash(exhibit.key.collection)).find(identifier)
    if not found or found[0].key != exhibit.key:
        raise AssetNotFound("this version is not in the trash any more: perhaps it was restored, or its time was over")
    await holdings.assets.restore(found[0], replace=replace)


def _query(request: Request) -> dict[str, str]:
    return parse_fields(request.uri.partition(b"?")[2])


def _exhibit(holdings: Holdings, fields: Mapping[str, str]) -> Exhibit:
    """Return the original that an address or a form names; raises `BadRequest` and `UnknownCollection`."""
    return holdings.exhibit(fields.get("collection", ""), fields.get("name", ""))


def _asset_address(visit: Visit, exhibit: Exhibit, said: str) -> str:
    return f"{visit.root}gallery/{address('asset', {**exhibit.fields, 'said': said})}"
