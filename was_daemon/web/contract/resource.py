"""The root resource of a site, and the router below it."""

from typing import Any, cast

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.defer import Deferred
from twisted.web.iweb import IRequest

from was_daemon.web.active_requests import ActiveRequests
from was_daemon.web.errors import without_client

_CROSS_ORIGIN = (b"/fileupload", b"/fileget", b"/getfileref")
"""Paths that pages of other origins use, Specify 7 first of all; those below `/static/` and `/iiif/` are others."""


class AssetResource(KleinResource):
    """The root of the site."""

    def __init__(self, app: Klein) -> None:
        super().__init__(app)
        self.active_requests = ActiveRequests()

    def render(self, request: IRequest) -> Any:
        """Find the route of `request` and call it."""
        self.active_requests.begin(request)
        joined = b"/".join(request.postpath)
        path = b"/" + joined.lstrip(b"/")
        if path in _CROSS_ORIGIN or path.startswith((b"/static/", b"/iiif/")):
            # Set here, so that it is also set when no route matches: a browser does not show an error without it.
            request.setHeader("Access-Control-Allow-Origin", "*")
        if path.startswith(b"/iiif/"):
            request.setHeader("Access-Control-Expose-Headers", "Link, ETag")
        try:
            joined.decode()
        except UnicodeDecodeError:
            # Klein would answer these itself. Left encoded, they reach a route of ours, or none.
            request.postpath = request.path[1:].split(b"/")
        return super().render(request)


class Router(Klein):
    """A router whose clients may leave before the answer: Klein would log failures then as errors of the server."""

    def execute_endpoint(self, endpoint: str, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a route."""
        answer = cast("Deferred[bytes]", super().execute_endpoint(endpoint, request, *args, **kwargs))
        return answer.addErrback(without_client, request)
