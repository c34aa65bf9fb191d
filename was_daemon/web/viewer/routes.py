"""Answers with the viewer's page, and with the files that it loads."""

from urllib.parse import quote, urlencode, urlsplit

import attrs

from was_daemon.httpd.request import AssetRequest
from was_daemon.library.image_servers import ImageServers
from was_daemon.library.redirects import Recipient, Redirects
from was_daemon.model.captions import CaptionSource
from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.keys import AssetKey
from was_daemon.model.media import is_recording, media_type
from was_daemon.model.redirect import Redirect
from was_daemon.web.access import AccessRules
from was_daemon.web.answers import text_answer
from was_daemon.web.caching import NO_STORE
from was_daemon.web.capabilities import grant
from was_daemon.web.errors import status_of
from was_daemon.web.iiif.identifiers import Identifier
from was_daemon.web.static_files import file_answer
from was_daemon.web.viewer.files import ViewerFiles
from was_daemon.web.viewer.page import ShownPicture, content_policy, page_without_viewer, viewer_page
from was_daemon.web.viewer.subjects import Subject, ViewRequest


class Viewer:
    """The page of the viewer, for pictures and recordings of any collection.

    With `is_shared` its addresses are of use to others, and the page tells them.
    """

    def __init__(
        self,
        servers: ImageServers,
        redirects: Redirects,
        access: AccessRules,
        address_lifetime: float,
        files: ViewerFiles,
        caption: CaptionSource,
        is_shared: bool = True,
    ) -> None:
        self._servers = servers
        self._redirects = redirects
        self._access = access
        self._address_lifetime = address_lifetime
        self._files = files
        self._caption = caption
        self._is_shared = is_shared

    async def page(self, request: AssetRequest, asked: ViewRequest) -> bytes:
        """Answer with the page; its status is that of the first asset."""
        request.setHeader("Cache-Control", NO_STORE)
        # An address that others may not have is not told to them.
        request.setHeader("Referrer-Policy", "no-referrer")
        if any(subject.is_unsigned for subject in asked.subjects):
            return self._redirect(request, asked)
        pictures = [await self._picture(subject) for subject in asked.subjects]
        request.setHeader("Content-Security-Policy", content_policy(pictures))
        make_page = viewer_page if self._files.are_complete else page_without_viewer
        if pictures[0].problem:
            status, reason = pictures[0].problem
            request.setResponseCode(status)
            request.reason = reason if status == 403 else ""
        elif not self._files.are_complete:
            request.setResponseCode(501)
        html = make_page(self._files.template, self._files.version, pictures)
        return text_answer(request, html, "text/html; charset=utf-8")

    def file(self, request: AssetRequest) -> bytes:
        """Answer with the file at the request's path, `/view/VERSION/NAME`; raises `AssetNotFound`."""
        name = request.path.decode("latin-1").rpartition("/")[2]
        file = self._files.by_name.get(name)
        if not file or request.path != f"/view/{self._files.version}/{name}".encode():
            raise AssetNotFound("no such page")
        return file_answer(request, file, self._files.version)

    def _redirect(self, request: AssetRequest, asked: ViewRequest) -> bytes:
        """Send a client that came with a token to an address with a capability in its place.

        The address can be reloaded, and what is copied out of the browser neither uploads nor deletes.
        """
        capabilities = {
            f"token{each.suffix}": str(
                self._access.capability_to_read(each.collection, each.name, self._address_lifetime)
            )
            for each in asked.subjects
            if each.is_unsigned
        }
        request.setResponseCode(303)
        # Relative: a proxy may have put this server below a path.
        request.setHeader("Location", f"view?{urlencode({**asked.fields, **capabilities}, quote_via=quote)}")
        return text_answer(request, "elsewhere")

    async def _picture(self, subject: Subject) -> ShownPicture:
        shown = ShownPicture(subject.name, subject.collection, subject.suffix, is_shared=self._is_shared)
        try:
            if subject.problem or not subject.key:
                raise subject.problem or AssetNotFound("no such asset")
            kind = media_type(subject.name)
            player = kind.partition("/")[0] if is_recording(kind) else ""
            elsewhere = None if player else await self._servers.address(subject.key, 1, version=3)
            if not elsewhere:
                await self._access.collections.find(subject.key)
            player_origin = await self._origin(subject.key) if player else ""
        except AssetError as problem:
            return attrs.evolve(shown, problem=(status_of(problem), str(problem)))
        has_manifest = self._is_shared and not elsewhere
        file_name = (await self._caption(subject.key)).name or subject.name
        query = {"coll": subject.collection, "filename": subject.name, "token": subject.capability}
        fields = urlencode({name: str(value) for name, value in query.items() if value is not None}, quote_via=quote)
        return attrs.evolve(
            shown,
            image="" if player else elsewhere or f"iiif/3/{self._identifier(subject, '{page}')}",
            player=player,
            player_origin=player_origin,
            original=f"fileget?{fields}&downloadname={quote(file_name, safe='')}",
            metadata=f"getmetadata?{fields}",
            manifest=f"iiif/presentation/3/{self._identifier(subject)}/manifest" if has_manifest else "",
            expiry=subject.capability.expiry if subject.capability else None,
        )

    async def _origin(self, key: AssetKey) -> str:
        """Fire with the address at which a client gets an original, "" if that is here."""
        recipient = Recipient("", can_be_redirected=True)
        if self._redirects.original(key, recipient) is not Redirect.PRESIGNED:
            return ""
        url = urlsplit((await self._redirects.url(key, media_type(key.name), None)).url)
        return f"{url.scheme}://{url.netloc}"

    def _identifier(self, subject: Subject, page: str = "") -> str:
        """Return the identifier of the picture, with what lets look at it, and `page` in the place of a page."""
        collection, name, capability = subject.collection, subject.name, subject.capability
        identifier = f"{Identifier(collection, name)}{page}"
        if not capability:
            return identifier
        key = self._access.keyring.keys_of(collection)[0]
        # As long as the page itself: whoever may read may look.
        return f"{identifier};{grant(key, collection, name, capability.expiry)}"
