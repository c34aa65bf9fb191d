"""A store in a library of a small REST DAM, which `../fake_dam.py` plays: `plugin = "rest-dam"` in the config."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from urllib.parse import quote, urlencode

import attrs
from zope.interface import implementer

from was_daemon.plugins import (
    Answer,
    AssetKey,
    AssetNotFound,
    AssetStat,
    BadName,
    FixedLogin,
    HTTPReader,
    HTTPRemote,
    IAssetReader,
    IAssetStore,
    Kind,
    Layout,
    StorePlugin,
    Upload,
    asset_stat,
)


@attrs.frozen
class RestDAMOptions:
    url: str = attrs.field(validator=attrs.validators.matches_re("https?://[^?#]+"))
    api_key: str = attrs.field(repr=False)


@implementer(IAssetStore)
class RestDAMStore:
    def __init__(self, options: RestDAMOptions) -> None:
        self._library = options.url.rstrip("/")
        self._remote = HTTPRemote(FixedLogin(f"Bearer {options.api_key}"), timeout=30)

    def __str__(self) -> str:
        return f"the DAM library {self._library}"

    def _url(self, key: AssetKey, what: str = "assets") -> str:
        return f"{self._library}/{what}/{quote(Layout.FLAT.path(key))}"

    async def _call(self, method: str, key: AssetKey, upload: Upload | None = None) -> Answer:
        answer = await self._remote.call(method, self._url(key), upload=upload)
        if answer.code == 404 and not upload:
            raise AssetNotFound("no such asset")
        return answer.expect(200, 201, 204)

    async def stat(self, key: AssetKey) -> AssetStat:
        answer = await self._call("HEAD", key)
        return asset_stat(answer, int(answer.header("Content-Length") or 0))

    async def open(self, key: AssetKey) -> IAssetReader:
        return HTTPReader(lambda headers: self._remote.request("GET", self._url(key), headers), await self.stat(key))

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        upload = await Upload.of(chunks, size)
        return asset_stat(await self._call("PUT", key, upload), upload.size)

    async def delete(self, key: AssetKey) -> None:
        await self._call("DELETE", key)

    async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        folder, page = f"{collection}/{kind.value}/".lstrip("/"), [""]
        while page:
            query = urlencode({"prefix": folder + prefix, "after": page[-1]})
            answer = await self._remote.request("GET", f"{self._library}/assets?{query}")
            page = await answer.expect(200).json()
            for path in page:
                with suppress(BadName):
                    yield AssetKey(collection, kind, path.removeprefix(folder))

    async def check(self) -> None:
        (await self._remote.call("GET", f"{self._library}?allows=write")).expect(204)

    async def close(self) -> None:
        await self._remote.close()


rest_dam = StorePlugin("rest-dam", RestDAMOptions, RestDAMStore)
