"""The viewer's page: who may see it, what it is told, and what it may load."""

import gzip
import json
import re
import time
import urllib.request
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.support import images, tiffs
from tests.support.client import Answer, Client
from tests.support.daemon import KEY
from tests.support.iiif import DAM_PLUGIN
from tests.support.memory_assets import MemoryAssets, serving
from tests.support.needs import require
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.streams import chunked
from was_daemon.web.capabilities import Capability, Purpose, grant
from was_daemon.web.viewer.files import ViewerFiles, installed_files, viewer_files
from was_daemon.web.viewer.page import ShownPicture, content_policy, page_without_viewer, viewer_page

async_test = pytest_twisted.ensureDeferred

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'"
)


@pytest.fixture
def client(filesystem_client: Client) -> Client:
    require(installed_files().are_complete, "OpenSeadragon")
    return filesystem_client


def told(answer: Answer) -> list[dict[str, Any]]:
    """What the page is told of its pictures."""
    found = re.search(r'data-pictures="([^"]*)"', answer.text)
    assert found
    pictures: list[dict[str, Any]] = json.loads(unescape(found[1]))
    return pictures


@async_test
async def test_a_page_names_the_picture_and_where_its_parts_are(client: Client) -> None:
    await client.store("seen.jpg", images.photograph())
    answer = await client.get("/view", filename="seen.jpg")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<title>seen.jpg – Viewer</title>" in answer.text
    (picture,) = told(answer)
    assert picture["problem"] is None
    for part, kind in (
        (f"{picture['image'].replace('{page}', '')}/info.json", "application/ld+json"),
        (picture["original"], "image/jpeg"),
        (picture["metadata"], "application/json"),
        (picture["manifest"], "application/ld+json"),
    ):
        # Relative to the page, as there may be a path before it that a proxy takes away.
        assert not part.startswith(("/", "http"))
        found = await client.get(f"/{part}")
        assert (found.status, found.headers["Content-Type"].partition(";")[0]) == (200, kind)


@async_test
async def test_a_page_loads_and_runs_nothing_but_files_of_this_server(client: Client) -> None:
    await client.store("seen.jpg", images.photograph())
    answer = await client.get("/view", filename="seen.jpg")
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert not re.search(r"""<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:|https?://""", answer.text)


@async_test
async def test_a_page_tells_what_can_be_done_with_it(client: Client) -> None:
    await client.store("seen.jpg", images.photograph())
    for path in ("/view?filename=seen.jpg", f"/view/{installed_files().version}/main.js"):
        answer = await client.request("OPTIONS", path)
        assert (answer.status, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")
        # Pages of other origins have no use for it.
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(("name", "player"), [("film.webm", "video"), ("song.OGG", "audio")])
@async_test
async def test_a_recording_is_played_from_this_server(client: Client, name: str, player: str) -> None:
    await client.store(name, b"a recording")
    answer = await client.get("/view", filename=name)
    (recording,) = told(answer)
    assert (answer.status, recording["player"], recording["image"], recording["problem"]) == (200, player, "", None)
    assert (await client.get(f"/{recording['original']}")).headers["Content-Type"].startswith(player)
    assert answer.headers["Content-Security-Policy"] == POLICY.replace("base-uri", "media-src 'self'; base-uri")


SENDING_PLUGIN = """
import attrs
from zope.interface import implementer
from was_daemon.plugins import IAssetStore, IAssetStorePlugin, IRedirects, Kind
from was_daemon.testing.memory import MemoryStore

@implementer(IRedirects)
class Store(MemoryStore):
    async def url(self, key, media_type, download_name):
        return f"https://s3.example:9000/bucket/{key.name}?signature=x"

@attrs.frozen
class Options: pass

@implementer(IAssetStorePlugin)
class Plugin:
    name, options = "sending", Options
    def create(self, options): return Store()

plugin = Plugin()
"""
"""A plugin for a store that clients are sent to."""


@async_test
async def test_a_recording_that_its_store_sends_may_be_loaded_from_there(run_daemon: RunDaemon, tmp_path: Path) -> None:
    (tmp_path / "storage_plugins").mkdir()
    (tmp_path / "storage_plugins" / "sending.py").write_text(SENDING_PLUGIN)
    stores = {"main": {"plugin": "sending", "redirect": "presigned"}}
    client = Client(run_daemon({"plugins": {"path": [tmp_path]}, "stores": stores}).url, KEY)
    for name, source in (("a.mp4", "; media-src 'self' https://s3.example:9000; "), ("a.jpg", "; img-src 'self'; ")):
        await client.store(name, images.photograph())
        policy = (await client.get("/view", filename=name)).headers["Content-Security-Policy"]
        assert source in policy
        assert ("s3.example" in policy) is (name == "a.mp4")


@async_test
async def test_its_files_are_kept_by_browsers_for_ever_and_their_addresses_change_with_them(client: Client) -> None:
    await client.store("seen.jpg", images.photograph())
    page = (await client.get("/view", filename="seen.jpg")).text
    addresses = re.findall(r'(?:src|href)="(view/[^"]+)"', page)
    assert {address.rpartition("/")[2] for address in addresses} == {
        "openseadragon.js",
        "main.js",
        "viewer.css",
        "icon.svg",
    }
    for address in addresses:
        plain = sent(client, address)
        assert plain.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert plain.headers["X-Content-Type-Options"] == "nosniff"
        assert "Content-Encoding" not in plain.headers
        again = await client.get(f"/{address}", headers={"If-None-Match": plain.headers["ETag"]})
        assert (again.status, again.body) == (304, b"")
        small = sent(client, address, "br, gzip;q=0.8")
        assert (small.headers["Content-Encoding"], small.headers["Vary"]) == ("gzip", "Accept-Encoding")
        assert gzip.decompress(small.body) == plain.body
        # The same for both, so a weak one.
        assert small.headers["ETag"] == plain.headers["ETag"] and plain.headers["ETag"].startswith("W/")
        assert sent(client, address, "gzip;q=0").body == plain.body
        for wrong in (address.replace("view/", "view/0"), f"{address}/", f"{address}x"):
            assert (await client.get(f"/{wrong}")).status == 404


def sent(client: Client, address: str, encodings: str = "identity") -> Answer:
    """What the server sends, not decompressed."""
    request = urllib.request.Request(f"{client.base_url}/{address}", headers={"Accept-Encoding": encodings})
    with urllib.request.urlopen(request) as answer:
        return Answer(answer.status, answer.headers, answer.read())


@pytest.mark.parametrize("path", ["/view/", "/view/x", "/view/a/b/c", "/view/../page.py", "/view/%2e%2e/page.html"])
@async_test
async def test_nothing_else_is_below_its_address(client: Client, path: str) -> None:
    assert (await client.get(path)).status == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [({}, 400), ({"filename": ""}, 400), ({"filename": "../x"}, 400), ({"filename": "no.jpg"}, 404)],
)
@async_test
async def test_what_cannot_be_shown_is_a_page_that_says_so(client: Client, query: dict[str, str], status: int) -> None:
    answer = await client.get("/view", **query)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    (picture,) = told(answer)
    assert picture["problem"][0] == status
    assert (picture["image"], picture["original"], picture["metadata"]) == ("", "", "")


@async_test
async def test_a_field_that_occurs_twice_is_refused(client: Client) -> None:
    assert (await client.get("/view?filename=a.jpg&filename=b.jpg")).status == 400


@async_test
async def test_two_pictures_are_shown_side_by_side_and_one_may_be_missing(client: Client) -> None:
    await client.store("seen.jpg", images.photograph())
    answer = await client.get("/view", filename="seen.jpg", filename2="no.jpg")
    first, second = told(answer)
    assert (answer.status, first["problem"], second["problem"][0]) == (200, None, 404)
    assert (second["name"], second["suffix"]) == ("no.jpg", "2")


@async_test
async def test_names_are_text_whatever_is_in_them(client: Client) -> None:
    name = "<b>&amp; ' \"$title ü;:~%.jpg"
    await client.store(name, images.photograph())
    answer = await client.get("/view", filename=name)
    (picture,) = told(answer)
    assert (answer.status, picture["name"]) == (200, name)
    assert "<b>" not in answer.text
    for part in (f"{picture['image'].replace('{page}', '')}/info.json", picture["original"], picture["metadata"]):
        assert (await client.get(f"/{part}")).status == 200


@async_test
async def test_a_viewer_learns_the_number_of_pages(client: Client) -> None:
    chart = images.chart()
    await client.store("pages.tif", tiffs.two_pages(chart, chart, reduced=False))
    await client.store("one.tif", images.encode(chart, "TIFF"))
    information = await client.get("/iiif/3/pages.tif/info.json")
    assert '<../pages.tif;2/info.json>;rel="last"' in information.headers.get_all("Link")
    assert (await client.get("/iiif/3/pages.tif;2/info.json")).status == 200
    single = await client.get("/iiif/3/one.tif/info.json")
    assert "last" not in str(single.headers.get_all("Link"))


@async_test
async def test_who_comes_with_a_token_is_sent_to_an_address_that_lasts_and_can_change_nothing(
    run_daemon: RunDaemon,
) -> None:
    require(installed_files().are_complete, "OpenSeadragon")
    daemon = run_daemon({"server": {"require_token_for_get": True}, "zoom": {"address_lifetime": 3600}})
    client = Client(daemon.url, KEY)
    await client.store("a.jpg", images.photograph())
    token = client.token("a.jpg")
    leading = await client.get("/view", filename="a.jpg", page="2", token=token)
    assert (leading.status, leading.headers["Cache-Control"]) == (303, "no-store")
    # Relative, for proxies that take a path away.
    assert leading.headers["Location"].startswith("view?")
    fields = {name: value for name, (value,) in parse_qs(urlsplit(leading.headers["Location"]).query).items()}
    capability = fields["token"]
    assert (fields["filename"], fields["page"]) == ("a.jpg", "2")
    assert 3600 <= Capability.parse(capability).expiry - time.time() <= 3600 * 5 / 4 + 1

    answer = await client.get(urljoin("/view", leading.headers["Location"]))
    assert answer.status == 200
    assert KEY not in answer.text
    assert token not in answer.text and token.partition(":")[0] not in answer.text
    (picture,) = told(answer)
    assert picture["expiry"] == Capability.parse(capability).expiry
    image = picture["image"].replace("{page}", "")
    assert image.endswith(f";{grant(KEY, None, 'a.jpg', picture['expiry'])}")
    for part in (f"{image}/info.json", picture["original"], picture["metadata"], picture["manifest"]):
        assert (await client.get(f"/{part}")).status == 200
    # What lets read an asset lets neither replace nor delete it, nor read another.
    assert (await client.upload_like_specify7("a.jpg", b"other", token=capability)).status == 403
    form = f"filename=a.jpg&token={capability}".encode()
    assert (await client.post("/filedelete", form, "application/x-www-form-urlencoded")).status == 403
    assert (await client.get("/testkey", random="a.jpg", token=capability)).status == 403
    assert (await client.original("b.jpg", token=capability)).status == 403
    # Nor does what lets look, which is in the picture's address, let read.
    look = image.rpartition(";")[2]
    assert (await client.original("a.jpg", token=look)).status == 403
    assert (await client.get("/view", filename="a.jpg", token=look)).status == 403
    assert capability.partition(".")[2] not in daemon.log()


@async_test
async def test_without_a_valid_token_the_page_tells_nothing_of_the_picture(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"server": {"require_token_for_get": True}})
    client = Client(daemon.url, KEY)
    await client.store("a.jpg", images.photograph())
    expired = grant(KEY, None, "a.jpg", int(time.time()) - 1, Purpose.READ)
    for token, reason in (
        (None, "the token is missing"),
        (client.token("b.jpg"), "the token does not match"),
        (str(expired), "the address has expired"),
        (str(grant("another key", None, "a.jpg", 2_000_000_000, Purpose.READ)), "the address is not signed"),
    ):
        for name in ("a.jpg", "missing.jpg"):
            answer = await client.get("/view", filename=name, token=token)
            (picture,) = told(answer)
            assert (answer.status, picture["problem"][0]) == (403, 403)
            assert name == "missing.jpg" or reason in picture["problem"][1]
            assert (picture["image"], picture["original"], picture["metadata"]) == ("", "", "")
    assert "the address has expired" in daemon.log()


@async_test
async def test_each_of_two_pictures_needs_a_token_of_its_own(run_daemon: RunDaemon) -> None:
    client = Client(run_daemon({"server": {"require_token_for_get": True}}).url, KEY)
    await client.store("a.jpg", images.photograph())
    await client.store("b.jpg", images.photograph())
    query = {"filename": "a.jpg", "filename2": "b.jpg"}
    leading = await client.get("/view", **query, token=client.token("a.jpg"), token2=client.token("b.jpg"))
    first, second = told(await client.get(urljoin("/view", leading.headers["Location"])))
    assert first["problem"] is second["problem"] is None
    leading = await client.get("/view", **query, token=client.token("a.jpg"), token2=client.token("a.jpg"))
    first, second = told(await client.get(urljoin("/view", leading.headers["Location"])))
    assert (first["problem"], second["problem"][0]) == (None, 403)
    assert second["image"] == ""


@async_test
async def test_collections_are_those_of_fileget(run_daemon: RunDaemon) -> None:
    client = Client(
        run_daemon(
            {"collections": {"mode": "map", "map": {"KU Fish": {"directory": "fish"}, "Birds": {"directory": "birds"}}}}
        ).url,
        KEY,
    )
    await client.store("a.jpg", images.photograph(), coll="KU Fish")
    assert (await client.get("/view", filename="a.jpg", coll="KU Fish")).status in (200, 501)
    for coll in ("Birds", "Mammals", None):
        assert (await client.get("/view", filename="a.jpg", coll=coll)).status == 404


@async_test
async def test_pictures_of_a_dam_that_speaks_the_image_api_come_from_there(
    run_daemon: RunDaemon, tmp_path: Path
) -> None:
    (tmp_path / "storage_plugins").mkdir()
    (tmp_path / "storage_plugins" / "iiif_dam.py").write_text(DAM_PLUGIN)
    config = {"plugins": {"path": [tmp_path]}, "stores": {"main": {"plugin": "iiif-dam"}}}
    client = Client(run_daemon(config).url, KEY)
    answer = await client.get("/view", filename="a.jpg")
    assert told(answer)[0]["image"] == "https://dam.example/iiif/a.jpg-1"
    policy = answer.headers["Content-Security-Policy"]
    assert "img-src 'self' https://dam.example; connect-src 'self' https://dam.example;" in policy
    assert "script-src 'self';" in policy
    assert (await client.get("/view", filename="missing.jpg")).status == 404


def test_an_address_of_a_picture_adds_nothing_else_to_the_policy() -> None:
    picture = ShownPicture("a", None, "", image="https://dam.example:8443; script-src *//x/iiif")
    assert "img-src 'self' https://dam.example:8443;" in content_policy([picture])
    assert content_policy([picture]).count("script-src") == 1
    assert content_policy([ShownPicture("a", None, "", image="iiif/3/a")]) == POLICY


@pytest.fixture
def incomplete(tmp_path: Path) -> ViewerFiles:
    """The files of an installation that was built without npm."""
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "viewer.css").write_text("main {}")
    (tmp_path / "page.html").write_text(installed_files().template)
    return viewer_files(tmp_path)


def test_without_openseadragon_the_page_says_how_to_get_it_and_where_the_picture_is(incomplete: ViewerFiles) -> None:
    assert not incomplete.are_complete
    picture = ShownPicture("a.jpg", None, "", image="iiif/3/a.jpg{page}", original="fileget?filename=a.jpg")
    html = page_without_viewer(incomplete.template, incomplete.version, [picture])
    assert "make install" in html and "npm" in html
    assert 'href="iiif/3/a.jpg/info.json"' in html and 'href="fileget?filename=a.jpg"' in html
    assert "<script" not in html
    assert "<script" in viewer_page(incomplete.template, incomplete.version, [picture])


@async_test
async def test_a_server_without_openseadragon_says_so(incomplete: ViewerFiles) -> None:
    assets = MemoryAssets()
    await assets.store.write(AssetKey("", Kind.ORIGINAL, "a.jpg"), chunked(images.photograph()))
    async with serving(assets, KEY, 1_000_000, viewer_files=incomplete) as port:
        client = Client(f"http://127.0.0.1:{port}", KEY)
        answer = await client.get("/view", filename="a.jpg")
        assert (answer.status, answer.headers["Content-Security-Policy"]) == (501, POLICY)
        assert "The viewer is not a part of this installation" in answer.text
        (style,) = re.findall(r'href="(view/\w+/viewer.css)"', answer.text)
        assert (await client.get(f"/{style}")).status == 200
        missing = await client.get("/view", filename="missing.jpg")
        assert (missing.status, "missing.jpg: there is no such asset" in missing.text) == (404, True)
    async with serving(assets, KEY, 1_000_000) as port:
        assert (await Client(f"http://127.0.0.1:{port}", KEY).get("/view", filename="a.jpg")).status == 404


def test_the_version_of_the_files_changes_with_any_of_them(incomplete: ViewerFiles, tmp_path: Path) -> None:
    versions = {incomplete.version}
    for name in ("static/viewer.css", "static/other.js"):
        (tmp_path / name).write_text("other")
        versions.add(viewer_files(tmp_path).version)
    assert len(versions) == 3
    assert viewer_files(tmp_path).version in versions


def test_only_files_of_known_kinds_are_sent(tmp_path: Path, incomplete: ViewerFiles) -> None:
    (tmp_path / "static" / "secret.toml").write_text("key")
    assert set(viewer_files(tmp_path).by_name) == {"viewer.css"}
