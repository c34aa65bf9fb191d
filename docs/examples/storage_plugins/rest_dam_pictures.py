"""`rest_dam.py` with one more power: the DAM speaks IIIF, and only the daemon has a key to it."""

from collections.abc import Mapping
from typing import Any

from storage_plugins.rest_dam import RestDAMOptions, RestDAMStore
from zope.interface import implementer

from was_daemon.plugins import (
    Answer,
    AssetKey,
    AssetNotFound,
    BadRequest,
    IAssetReader,
    IImageProxy,
    MemoryReader,
    NoThumbnail,
    NotImplementedHere,
    StorePlugin,
    asset_stat,
)

_ERRORS = {
    400: BadRequest("the DAM does not understand the parameters"),
    404: AssetNotFound("no such picture"),
    415: NoThumbnail("the DAM shows no pictures of this kind of file"),
    501: NotImplementedHere("the DAM does not show pictures in this way"),
}


@implementer(IImageProxy)
class RestDAMPicturesStore(RestDAMStore):
    """The store of `plugin = "rest-dam-pictures"`."""

    async def image_information(self, key: AssetKey, page: int, version: int) -> Mapping[str, Any]:
        """See `IImageProxy`."""
        answer = await self._picture(key, page, version, "info.json")
        document: Mapping[str, Any] = await answer.json()
        return document

    async def open_image(self, key: AssetKey, page: int, version: int, parameters: str) -> tuple[IAssetReader, str]:
        """See `IImageProxy`."""
        answer = await self._picture(key, page, version, parameters)
        content = await answer.content()
        kind = answer.header("Content-Type") or "application/octet-stream"
        return MemoryReader(content, asset_stat(answer, len(content))), kind

    async def _picture(self, key: AssetKey, page: int, version: int, rest: str) -> Answer:
        if page > 1:
            raise AssetNotFound("the DAM shows first pages only")
        answer = await self._remote.request("GET", f"{self._url(key, f'iiif/{version}')}/{rest}")
        if answer.code in _ERRORS:
            answer.close()
            raise _ERRORS[answer.code]
        return answer.expect(200)


rest_dam_pictures = StorePlugin("rest-dam-pictures", RestDAMOptions, RestDAMPicturesStore)
