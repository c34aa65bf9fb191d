"""Assets that are nothing but memory, and the web layer in front of them, in this process."""

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from zope.interface import implementer

from was_daemon.httpd.limits import ConnectionLimits
from was_daemon.httpd.site import AssetSite
from was_daemon.library.collections import Collections, Place
from was_daemon.library.image_servers import ImageServers
from was_daemon.library.redirects import OpenAsset, Recipient, Redirects
from was_daemon.model.captions import NO_CAPTION, Caption
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import AssetStat, IAssetReader, IStagingFile
from was_daemon.model.keys import AssetKey, ThumbnailAddress
from was_daemon.model.origins import Origin
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked
from was_daemon.web.access import AccessRules
from was_daemon.web.addresses import Addresses
from was_daemon.web.caching import CacheRules
from was_daemon.web.contract.pending_uploads import UploadLimits
from was_daemon.web.contract.routes import AssetServer
from was_daemon.web.keyring import Keyring
from was_daemon.web.viewer.files import ViewerFiles
from was_daemon.web.viewer.routes import Viewer

METADATA = [{"Name": "EXIF", "Fields": {"DateTimeOriginal": "2012:02:02 13:48:41"}}]


@implementer(IStagingFile)
class MemoryStaging:
    """An upload on its way."""

    def __init__(self) -> None:
        self.content = b""
        self.discarded = False

    async def write(self, chunks: list[bytes]) -> None:
        self.content += b"".join(chunks)

    def read(self) -> AsyncGenerator[bytes, None]:
        return chunked(self.content)

    async def free(self) -> int:
        return sys.maxsize

    async def size(self) -> int:
        return len(self.content)

    def discard(self) -> None:
        self.discarded = True


class MemoryAssets:
    """The use cases as the web layer calls them; a thumbnail is a text that says whose it is."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.staged: list[MemoryStaging] = []
        self.trouble: AssetError | None = None

    async def open(self, key: AssetKey) -> IAssetReader:
        return await self.store.open(key)

    async def deliver(self, key: AssetKey, recipient: Recipient, scale: int | None = None) -> OpenAsset:
        if scale is None:
            return OpenAsset(await self.open(key), "image/jpeg")
        return OpenAsset(*await self.thumbnail(key, scale, recipient.address))

    async def thumbnail(self, key: AssetKey, scale: int, client: str, fetch: bool = True) -> tuple[IAssetReader, str]:
        if self.trouble:
            raise self.trouble
        await self.store.stat(key)
        await self.store.write(key.thumbnail(scale), chunked(f"{key.name} at {scale}".encode()))
        return await self.store.open(key.thumbnail(scale)), "image/jpeg"

    async def existing_thumbnail(
        self, address: ThumbnailAddress, is_allowed: Callable[[AssetKey], bool]
    ) -> tuple[IAssetReader, str]:
        return await self.store.open(address.key), "image/jpeg"

    async def metadata(self, key: AssetKey, client: str) -> list[dict[str, Any]]:
        await self.store.stat(key)
        return METADATA

    async def caption(self, key: AssetKey) -> Caption:
        return NO_CAPTION

    async def stage(self, near: AssetKey | None) -> MemoryStaging:
        self.staged.append(MemoryStaging())
        return self.staged[-1]

    async def reserve(self, key: AssetKey, size: int) -> None:
        return None

    async def put(self, key: AssetKey, staged: MemoryStaging, reservation: None, origin: Origin) -> AssetStat:
        if self.trouble:
            raise self.trouble
        return await self.store.write(key, staged.read())

    async def delete(self, key: AssetKey, origin: Origin) -> None:
        await self.store.delete(key)


@asynccontextmanager
async def serving(
    assets: Any, key: str, max_upload: int, require_token_for_get: bool = False, viewer_files: ViewerFiles | None = None
) -> AsyncIterator[int]:
    """Serve `assets` on a port of 127.0.0.1, which is yielded; with a viewer if there are files for it."""
    access = AccessRules(
        collections=Collections(Place("", assets.store, assets.store)),
        keyring=Keyring(key),
        token_window=150,
        require_token_for_get=require_token_for_get,
    )
    uploads = UploadLimits(max_upload, pending=128, pending_size=128 * max_upload, min_free=0)
    limits = ConnectionLimits(per_address=0, header_timeout=20.0, idle_timeout=60.0, min_rate=1024)
    caching = CacheRules(300, 604800, access.token_window, is_private=require_token_for_get)
    servers, redirects = ImageServers(access.collections), Redirects(access.collections)
    viewer = Viewer(servers, redirects, access, 3600, viewer_files, assets.caption) if viewer_files else None
    server = AssetServer(assets, access, Addresses(None, []), uploads, caching=caching, max_scale=4096, viewer=viewer)
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(AssetSite(server.resource(), limits))
    yield port.getHost().port
    await port.stopListening()
