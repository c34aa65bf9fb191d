"""The parts that the gallery of the console shows, as settings describe them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from was_daemon.assets import Assets
from was_daemon.config.settings import Settings
from was_daemon.derivatives.zoom import Zoom
from was_daemon.jobs.traverse import directories_in
from was_daemon.library.collections import Collections
from was_daemon.library.image_servers import ImageServers
from was_daemon.library.redirects import Redirects
from was_daemon.model.interfaces import IAssetStore
from was_daemon.telemetry.metrics import Metrics
from was_daemon.web.access import AccessRules
from was_daemon.web.active_requests import ActiveRequests
from was_daemon.web.addresses import Addresses
from was_daemon.web.console.gallery.holdings import Holdings
from was_daemon.web.console.gallery.looking import FOR_SESSION, LookingServer
from was_daemon.web.iiif.answers import Documents
from was_daemon.web.iiif.limits import Limits
from was_daemon.web.iiif.routes import ImageServer
from was_daemon.web.keyring import Keyring
from was_daemon.web.viewer.files import installed_files
from was_daemon.web.viewer.routes import Viewer

if TYPE_CHECKING:
    from was_daemon.catalogue.catalogue import Catalogue
    from was_daemon.catalogue.finder import Finder

_SCALE, _LEAST_SCALE, _MOST_SCALE = 256, 160, 400
"""Scale of the small pictures, and those scales in place of which one is taken that is made for all originals."""


def holdings_of(
    settings: Settings,
    assets: Assets,
    collections: Collections,
    stores: Mapping[str, IAssetStore],
    zoom: Zoom,
    catalogue: "Catalogue | None",
    finder: "Finder | None",
    metrics: Metrics,
    active_requests: ActiveRequests,
) -> Holdings:
    """Return the originals that the gallery shows."""

    async def directories() -> Sequence[str]:
        found = [directory for store in stores.values() for directory in await directories_in(store, collections)]
        return list(dict.fromkeys(found))

    return Holdings(
        assets,
        collections,
        settings.collections.directories,
        directories,
        catalogue,
        finder,
        _looking(settings, assets, collections, zoom, metrics),
        _scale(settings),
        settings.thumbnails.max_scale,
        settings.server.require_token_for_get,
        settings.visibility.unknown,
        settings.trash.keep is not None,
        active_requests,
    )


def _looking(
    settings: Settings, assets: Assets, collections: Collections, zoom: Zoom, metrics: Metrics
) -> LookingServer:
    """Return what sends pictures to who is logged in: nobody else gets there, so no rule asks for a token."""
    access = AccessRules(collections, Keyring(is_open=True), token_window=0, require_token_for_get=False)
    servers, lifetime = ImageServers(collections), settings.zoom.address_lifetime
    documents = Documents(Addresses(settings.server.public_url, settings.server.trusted_proxies), FOR_SESSION)
    images = ImageServer(
        zoom,
        access,
        Limits(settings.zoom.max_width, settings.zoom.max_height, settings.zoom.max_area),
        servers=servers,
        documents=documents,
        address_lifetime=lifetime,
        metrics=metrics,
        caption=assets.caption,
    )
    viewer = Viewer(
        servers, Redirects(collections), access, lifetime, installed_files(), assets.caption, is_shared=False
    )
    return LookingServer(assets, access, images, viewer, settings.thumbnails.max_scale)


def _scale(settings: Settings) -> int:
    kept = [scale for scale in settings.thumbnails.warm if _LEAST_SCALE <= scale <= _MOST_SCALE]
    return min(min(kept, default=_SCALE), settings.thumbnails.max_scale)
