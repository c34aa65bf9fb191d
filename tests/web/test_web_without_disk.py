"""The web layer over TCP, on assets that are nothing but memory: it needs no disk."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
import pytest_twisted
import treq
from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.web.client import Agent, HTTPConnectionPool, ResponseFailed
from twisted.web.iweb import IResponse

from tests.support.memory_assets import METADATA, MemoryAssets, serving
from was_daemon.model import tokens
from was_daemon.model.errors import (
    AssetError,
    AssetNotFound,
    BrokenImage,
    NoSpace,
    NoThumbnail,
    Overloaded,
    StoreTimeout,
    VersionGone,
)
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.contract import gather_all
from was_daemon.testing.streams import chunked, deferred, payload, read_asset

KEY = "test attachment key"
NAME = "4ee6b5a6-6f0c-4b44-9d53-8c9c3f4d9f1e.jpg"
MAX_UPLOAD = 1_000_000


class Client:
    """Speaks to a server like Specify."""

    def __init__(self, port: int, pool: HTTPConnectionPool) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self._http = HTTPClient(Agent(reactor, pool=pool))

    async def ask(self, method: str, path: str, *, signed: str | None = None, **query: str) -> tuple[IResponse, bytes]:
        if signed is not None:
            query["token"] = await self.token(signed)
        response = await self._http.request(method, f"{self.base}/{path}?{urlencode(query)}")
        return response, await response.content()

    async def get(self, path: str, **query: str) -> tuple[IResponse, bytes]:
        return await self.ask("GET", path, **query)

    async def post(self, path: str, **request: Any) -> tuple[IResponse, bytes]:
        response = await self._http.post(f"{self.base}/{path}", **request)
        return response, await response.content()

    async def token(self, name: str) -> str:
        """As Specify does it: the time is the server's."""
        response = await self._http.get(f"{self.base}/web_asset_store.xml")
        await response.content()
        return tokens.sign(KEY, name, int(header(response, "X-Timestamp")))

    async def upload(self, name: str, content: bytes, **fields: str) -> tuple[IResponse, bytes]:
        """In Specify 7's order: the file first."""
        form = [("file", (name, "image/jpeg", content)), ("token", await self.token(name)), ("store", name)]
        body, media_type = multipart([*form, *{"type": "O", "coll": "Fish", **fields}.items()])
        return await self.post("fileupload", data=body, headers={"Content-Type": media_type})


def multipart(form: list[tuple[str, Any]], text_type: str = "") -> tuple[bytes, str]:
    body = b""
    for name, value in form:
        if isinstance(value, tuple):
            file_name, media_type, content = value
            disposition = f'form-data; name="{name}"; filename="{file_name}"'
            head = f"Content-Disposition: {disposition}\r\nContent-Type: {media_type}\r\n"
        else:
            content = value.encode()
            head = f'Content-Disposition: form-data; name="{name}"\r\n{text_type}'
        body += b"--boundary\r\n" + head.encode() + b"\r\n" + content + b"\r\n"
    return body + b"--boundary--\r\n", "multipart/form-data; boundary=boundary"


def header(response: IResponse, name: str) -> str | None:
    values = response.headers.getRawHeaders(name)
    return values[0] if values else None


@pytest.fixture
def assets() -> MemoryAssets:
    return MemoryAssets()


@pytest_twisted.async_yield_fixture
async def client(assets: MemoryAssets) -> AsyncIterator[Client]:
    async with serving(assets, KEY, MAX_UPLOAD) as port:
        pool = HTTPConnectionPool(reactor)
        yield Client(port, pool)
        await pool.closeCachedConnections()


def original(name: str = NAME) -> AssetKey:
    return AssetKey("", Kind.ORIGINAL, name)


@pytest_twisted.ensureDeferred
async def test_discovery_names_the_five_endpoints_on_the_address_that_was_asked(client: Client) -> None:
    response, body = await client.get("web_asset_store.xml")
    assert (response.code, header(response, "Content-Type")) == (200, "text/xml; charset=utf-8")
    urls = [(element.get("type"), element.text) for element in ElementTree.fromstring(body)]
    assert urls == [
        ("read", f"{client.base}/fileget"),
        ("write", f"{client.base}/fileupload"),
        ("delete", f"{client.base}/filedelete"),
        ("getmetadata", f"{client.base}/getmetadata"),
        ("testkey", f"{client.base}/testkey"),
    ]


@pytest_twisted.ensureDeferred
async def test_the_key_is_tested(client: Client) -> None:
    response, body = await client.get("testkey", random="some uuid", signed="some uuid")
    assert (response.code, body) == (200, b"Ok.")
    for query in ({"signed": "another uuid"}, {"token": "a:b:c"}, {}):
        response, _ = await client.get("testkey", random="some uuid", **query)
        assert response.code == 403


@pytest_twisted.ensureDeferred
async def test_an_asset_lives_from_upload_to_deletion(client: Client, assets: MemoryAssets) -> None:
    content = payload(300_000)
    response, body = await client.upload(NAME, content)
    assert (response.code, body) == (200, b"Ok.")
    assert header(response, "Access-Control-Allow-Origin") == "*"
    assert await read_asset(assets.store, original()) == content
    assert all(staged.discarded for staged in assets.staged)

    response, body = await client.get("fileget", filename=NAME, coll="Fish", type="O")
    assert (response.code, body) == (200, content)
    assert header(response, "Content-Type") == "image/jpeg"
    etag = header(response, "ETag")
    assert etag == f'"{(await assets.store.stat(original())).etag}"'

    response, body = await client.get("fileget", filename=NAME, coll="Fish", type="T", scale="123")
    assert (response.code, body) == (200, f"{NAME} at 123".encode())
    response, body = await client.get("getmetadata", filename=NAME, coll="Fish", dt="json")
    assert (response.code, json.loads(body)) == (200, METADATA)
    response, body = await client.get("getmetadata", filename=NAME, coll="Fish", dt="date")
    assert (response.code, body) == (200, b"2012:02:02 13:48:41")
    response, body = await client.get("getfileref", filename=NAME, coll="Fish", type="T", scale="50")
    assert body.decode() == f"{client.base}/static/thumbnails/{NAME.removesuffix('.jpg')}_50.jpg"
    response, body = await client.get(f"static/originals/{NAME}")
    assert (response.code, body) == (200, content)

    form = {"filename": NAME, "coll": "Fish", "token": await client.token(NAME)}
    response, body = await client.post("filedelete", data=form)
    assert (response.code, body) == (200, b"Ok.")
    response, _ = await client.post("filedelete", data=form)
    assert response.code == 404
    response, _ = await client.get("fileget", filename=NAME, coll="Fish", type="O")
    assert response.code == 404


@pytest_twisted.ensureDeferred
async def test_head_says_what_get_says_without_the_bytes(client: Client, assets: MemoryAssets) -> None:
    await assets.store.write(original(), chunked(b"content"))
    answers = [await client.ask(method, "fileget", filename=NAME, type="O") for method in ("GET", "HEAD")]
    assert [body for _, body in answers] == [b"content", b""]
    for name in ("Content-Type", "ETag", "Last-Modified", "Accept-Ranges", "Access-Control-Allow-Origin"):
        assert header(answers[0][0], name) == header(answers[1][0], name) is not None


@pytest_twisted.ensureDeferred
async def test_ranges_are_cut_out_of_the_one_version_that_is_open(client: Client, assets: MemoryAssets) -> None:
    content = payload(200_000)
    await assets.store.write(original(), chunked(content))
    url = f"{client.base}/fileget?filename={NAME}&type=O"
    for text, span in (("0-9", (0, 10)), ("199990-", (199_990, 200_000)), ("-70000", (130_000, 200_000))):
        response = await treq.get(url, headers={"Range": f"bytes={text}"}, persistent=False)
        assert response.code == 206
        assert header(response, "Content-Range") == f"bytes {span[0]}-{span[1] - 1}/200000"
        assert await response.content() == content[slice(*span)]
    response = await treq.get(url, headers={"Range": "bytes=200000-"}, persistent=False)
    await response.content()
    assert (response.code, header(response, "Content-Range")) == (416, "bytes */200000")


@pytest_twisted.ensureDeferred
async def test_what_is_refused_is_not_stored_and_nothing_stays_staged(client: Client, assets: MemoryAssets) -> None:
    form = [("file", (NAME, "image/jpeg", b"bytes")), ("store", NAME), ("token", "0" * 32 + ":1")]
    body, media_type = multipart(form)
    response, _ = await client.post("fileupload", data=body, headers={"Content-Type": media_type})
    assert response.code == 403
    assert header(response, "Access-Control-Allow-Origin") == "*"
    for name in ("../x.jpg", ".hidden", "a\\b.jpg"):
        response, _ = await client.upload(name, b"bytes")
        assert response.code == 400
    response, _ = await client.upload(NAME, payload(MAX_UPLOAD + 1))
    assert response.code == 413
    response, body = await client.upload(NAME, b"bytes", type="T")
    assert (response.code, body) == (200, b"Ignoring thumbnail upload!")
    with pytest.raises(AssetNotFound):
        await assets.store.stat(original())
    assert all(staged.discarded for staged in assets.staged)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("charset", ["undefined", "idna", "punycode", "nonsense", "hex", "utf-16", "\u00e9"])
async def test_a_field_in_a_charset_that_makes_no_sense_is_a_bad_request(client: Client, charset: str) -> None:
    form = [("token", "x\u00fe"), ("filename", "999999999\u00fe"), ("coll", "xn--\u00fe")]
    body, media_type = multipart(form, f"Content-Type: text/plain; charset={charset}\r\n")
    response, text = await client.post("filedelete", data=body, headers={"Content-Type": media_type})
    assert response.code in (400, 403)
    assert text.decode().isprintable()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (NoThumbnail("no"), 415),
        (BrokenImage("no"), 422),
        (Overloaded("no"), 503),
        (StoreTimeout("no"), 504),
        (NoSpace("no"), 507),
    ],
)
async def test_what_goes_wrong_below_has_its_status(
    client: Client, assets: MemoryAssets, trouble: AssetError, code: int
) -> None:
    assets.trouble = trouble
    response, body = await client.get("fileget", filename=NAME, type="T", scale="123")
    uploaded, _ = await client.upload(NAME, b"bytes")
    assert (response.code, body, uploaded.code) == (code, b"no", code)
    for answer in (response, uploaded):
        assert header(answer, "Access-Control-Allow-Origin") == "*"
        assert header(answer, "X-Timestamp")
        assert bool(header(answer, "Retry-After")) == (code == 503)


@pytest_twisted.ensureDeferred
async def test_many_are_served_at_once(client: Client, assets: MemoryAssets) -> None:
    contents = {f"{number}.bin": payload(100_000, seed=number) for number in range(20)}
    answers = await gather_all([deferred(client.upload(name, content)) for name, content in contents.items()])
    assert {response.code for response, _ in answers} == {200}
    answers = await gather_all([deferred(client.get("fileget", filename=name, type="O")) for name in contents])
    assert [body for _, body in answers] == list(contents.values())


class Replaced:
    """A reader of a version that is gone, at once or after its first bytes."""

    def __init__(self, stat: AssetStat, content: bytes) -> None:
        self.stat = stat
        self.content = content

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        if self.content:
            yield self.content
        raise VersionGone("the asset was replaced")

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("size", [10, 1_000_000])
@pytest.mark.parametrize("path", ["fileget", f"static/originals/{NAME}"])
@pytest_twisted.ensureDeferred
async def test_what_is_replaced_before_its_first_byte_is_sent_anew(
    client: Client, assets: MemoryAssets, path: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = AssetKey("", Kind.ORIGINAL, NAME)
    gone = [Replaced(AssetStat(size, 1.0, f"old{number}"), b"") for number in range(2)]

    async def open_(key: AssetKey) -> Any:
        return gone.pop() if gone else await MemoryAssets.open(assets, key)

    await assets.store.write(key, chunked(payload(size)))
    monkeypatch.setattr(assets, "open", open_)
    response, body = await client.get(path, filename=NAME)
    assert (response.code, body) == (200, payload(size))
    assert header(response, "ETag") == f'"{(await assets.store.stat(key)).etag}"'
    gone[:] = [Replaced(AssetStat(size, 1.0, f"old{number}"), b"") for number in range(3)]
    response, body = await client.get(path, filename=NAME)
    assert (response.code, body) == (502, b"the asset was replaced")


@pytest_twisted.ensureDeferred
async def test_what_is_replaced_after_its_first_byte_breaks_off(
    client: Client, assets: MemoryAssets, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def open_(key: AssetKey) -> Any:
        return Replaced(AssetStat(1_000_000, 1.0, "old"), payload(100_000))

    monkeypatch.setattr(assets, "open", open_)
    with pytest.raises(ResponseFailed):
        await client.get("fileget", filename=NAME)
