"""`rest_dam.py` with two more powers: clients get originals from the DAM itself, and the DAM makes the thumbnails."""

from urllib.parse import urlencode

from storage_plugins.rest_dam import RestDAMOptions, RestDAMStore
from zope.interface import implementer

from was_daemon.plugins import (
    AssetKey,
    AssetNotFound,
    BrokenImage,
    HTTPReader,
    IAssetReader,
    IRedirects,
    IThumbnails,
    NoThumbnail,
    StoreFailed,
    StorePlugin,
    asset_stat,
)


@implementer(IRedirects, IThumbnails)
class RestDAMPlusStore(RestDAMStore):
    """The store of `plugin = "rest-dam-plus"`."""

    async def url(self, key: AssetKey, media_type: str, download_name: str | None) -> str:
        """See `IRedirects`."""
        query = urlencode({"type": media_type, "name": download_name or ""})
        answer = await self._remote.request("POST", f"{self._url(key, 'links')}?{query}")
        if answer.code == 404:
            answer.close()
            raise AssetNotFound("no such asset")
        link = await answer.expect(200).json()
        try:
            return str(link["url"])
        except (LookupError, TypeError):
            raise StoreFailed("the DAM sent no address") from None

    async def thumbnail(self, key: AssetKey, scale: int) -> tuple[IAssetReader, str]:
        """See `IThumbnails`."""
        url = f"{self._url(key, 'thumbnails')}?size={scale}"
        answer = await self._remote.call("HEAD", url)
        if answer.code == 404:
            raise AssetNotFound("no such asset")
        if answer.code == 415:
            raise NoThumbnail("the DAM makes no thumbnails of this kind of file")
        if answer.code == 422:
            raise BrokenImage("the DAM cannot read this file")
        answer.expect(200)
        stat = asset_stat(answer, int(answer.header("Content-Length") or 0))
        reader = HTTPReader(lambda headers: self._remote.request("GET", url, headers), stat)
        return reader, answer.header("Content-Type") or "application/octet-stream"


rest_dam_plus = StorePlugin("rest-dam-plus", RestDAMOptions, RestDAMPlusStore)
