"""Manifests by the Presentation API: what viewers are told of pictures, documents and recordings, and who is told."""

import io
import time
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import pytest_twisted
from PIL import Image

from tests.conftest import RunDaemon
from tests.support import images, recordings, tiffs
from tests.support.client import Answer, Client
from tests.support.daemon import KEY
from tests.support.iiif import valid_manifest
from was_daemon.web.capabilities import grant

async_test = pytest_twisted.ensureDeferred

JSON_LD = 'application/ld+json;profile="http://iiif.io/api/presentation/3/context.json"'


@pytest.fixture
def client(filesystem_client: Client) -> Client:
    return filesystem_client


def path_of(identifier: str) -> str:
    return f"/iiif/presentation/3/{identifier}/manifest"


async def answer(client: Client, identifier: str, **headers: str) -> Answer:
    return await client.get(path_of(identifier), headers=headers)


async def manifest(client: Client, identifier: str) -> dict[str, Any]:
    """The manifest of an asset, which is valid."""
    found = await answer(client, identifier)
    assert found.status == 200, found
    valid_manifest(found.json)
    assert found.json["id"] == f"{client.base_url}{path_of(identifier)}"
    return found.json


def body_of(canvas: dict[str, Any]) -> dict[str, Any]:
    (page,) = canvas["items"]
    (annotation,) = page["items"]
    assert annotation["target"] == canvas["id"]
    return annotation["body"]


async def fetched(client: Client, url: str) -> Answer:
    assert url.startswith(client.base_url)
    return await client.get(url.removeprefix(client.base_url))


@async_test
async def test_a_picture_is_a_canvas_of_its_size(client: Client) -> None:
    await client.store("one.jpg", images.photograph((1700, 1100), orientation=6))
    found = await manifest(client, "one.jpg")
    (canvas,) = found["items"]
    assert (canvas["width"], canvas["height"]) == (1700, 1100)
    body = body_of(canvas)
    (service,) = body["service"]
    information = (await fetched(client, f"{service['id']}/info.json")).json
    assert (information["width"], information["height"]) == (1700, 1100)
    assert (await fetched(client, body["id"])).image().size == (1700, 1100)
    (small,) = found["thumbnail"]
    assert (await fetched(client, small["id"])).image().size == (small["width"], small["height"]) == (425, 275)
    (original,) = found["rendering"]
    assert (await fetched(client, original["id"])).headers["Content-Type"] == original["format"] == "image/jpeg"


@async_test
async def test_the_pages_of_a_long_tiff_are_told_before_a_worker_has_to_end(run_daemon: RunDaemon) -> None:
    client = Client(run_daemon({"thumbnails": {"timeout": 5}}).url, KEY)
    page, notebook = Image.new("1", (9, 8)), io.BytesIO()
    page.save(notebook, "TIFF", save_all=True, append_images=[page] * 1199)
    await client.store("notebook.tif", notebook.getvalue())
    canvases = (await answer(client, "notebook.tif")).json["items"]
    assert [(canvas["width"], canvas["height"]) for canvas in canvases] == [(9, 8)] * 1200


@async_test
async def test_the_manifest_tells_what_people_have_written_and_nothing_of_places(client: Client) -> None:
    await client.store("told.jpg", images.photograph())
    assert "GPS" in str((await client.metadata("told.jpg")).json)
    found = await answer(client, "told.jpg")
    told = {each["label"]["en"][0]: each["value"]["none"][0] for each in found.json["metadata"]}
    assert found.json["label"] == {"none": ["told.jpg"]}
    assert told["Date"] == "2012-02-02 13:48:41"
    assert told["Camera"].startswith("Specimen Optics")
    assert "GPS" not in found.text and "52, 31" not in found.text


@async_test
async def test_each_page_of_a_tiff_is_a_canvas(client: Client) -> None:
    pages = [Image.new("RGB", size, colour) for size, colour in (((300, 200), "red"), ((120, 400), "blue"))]
    out = io.BytesIO()
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    await client.store("pages.tif", out.getvalue())
    found = await manifest(client, "pages.tif")
    assert [(each["width"], each["height"]) for each in found["items"]] == [(300, 200), (120, 400)]
    assert [each["label"] for each in found["items"]] == [{"none": ["1"]}, {"none": ["2"]}]
    assert len({each["id"] for each in found["items"]}) == 2
    second = body_of(found["items"][1])
    assert second["service"][0]["id"] == f"{client.base_url}/iiif/3/pages.tif;2"
    assert (await fetched(client, second["id"])).image().size == (120, 400)


@async_test
async def test_reduced_versions_in_a_tiff_are_no_pages(client: Client) -> None:
    whole, reduced = Image.new("RGB", (200, 100), "red"), Image.new("RGB", (100, 50), "red")
    await client.store("reduced.tif", tiffs.two_pages(whole, reduced, reduced=True))
    assert len((await manifest(client, "reduced.tif"))["items"]) == 1


@async_test
async def test_each_page_of_a_pdf_is_a_canvas_in_its_proportions(client: Client) -> None:
    await client.store("three.pdf", images.pdf((595, 842), pages=3))
    found = await manifest(client, "three.pdf")
    assert len(found["items"]) == 3
    for canvas in found["items"]:
        information = (await fetched(client, f"{body_of(canvas)['service'][0]['id']}/info.json")).json
        assert (canvas["width"], canvas["height"]) == (information["width"], information["height"])
    assert found["rendering"][0]["type"] == "Text"


@pytest.mark.parametrize("extension", ["mp3", "wav", "m4a", "opus"])
@async_test
async def test_a_sound_is_a_canvas_of_its_length(client: Client, extension: str) -> None:
    name, content = f"sound.{extension}", recordings.sound(extension)
    await client.store(name, content)
    found = await manifest(client, name)
    (canvas,) = found["items"]
    assert canvas["duration"] == pytest.approx(recordings.SECONDS, abs=0.1) and "width" not in canvas
    body = body_of(canvas)
    assert (body["type"], body["duration"]) == ("Sound", canvas["duration"])
    media = await fetched(client, body["id"])
    assert (media.status, media.body, media.headers["Content-Type"]) == (200, content, body["format"])
    assert "thumbnail" not in found


@async_test
async def test_a_film_is_a_canvas_of_its_length_and_size_and_can_be_played_from_anywhere(client: Client) -> None:
    content = recordings.film("mp4")
    await client.store("film.mp4", content)
    (canvas,) = (await manifest(client, "film.mp4"))["items"]
    body = body_of(canvas)
    for each in (canvas, body):
        assert (each["duration"], each["width"], each["height"]) == (recordings.SECONDS, *recordings.FILM)
    assert (body["type"], body["format"]) == ("Video", "video/mp4")
    path = body["id"].removeprefix(client.base_url)
    part = await client.get(path, headers={"Range": "bytes=100-199"})
    assert (part.status, part.body) == (206, content[100:200])
    assert part.headers["Access-Control-Allow-Origin"] == "*"


@async_test
async def test_errors_are_those_of_pictures(client: Client) -> None:
    await client.store("no.txt", b"text")
    await client.store("broken.jpg", b"text")
    await client.store("live.webm", recordings.film("webm", live="1"))
    await client.store("picture.jpg", images.photograph())
    for name, status in {
        "missing.jpg": 404,
        "missing.mp4": 404,
        ".hidden": 400,
        "a.jpg;x": 404,
        "no.txt": 415,
        "broken.jpg": 422,
        "live.webm": 501,
    }.items():
        found = await answer(client, name)
        assert (found.status, found.headers["Access-Control-Allow-Origin"]) == (status, "*"), (name, found)
        assert found.headers["ETag"] is None and found.headers["Cache-Control"] == "no-store"
    assert (await client.get("/iiif/presentation/3/picture.jpg/media")).status == 404
    assert (await client.get("/iiif/presentation/3/picture.jpg/other")).status == 404
    assert (await client.get("/iiif/presentation/2/picture.jpg/manifest")).status == 404
    assert (await client.get("/iiif/presentation/3")).status == 404
    assert (await client.request("POST", path_of("picture.jpg"))).status == 405


@async_test
async def test_the_address_of_an_asset_leads_to_its_manifest(client: Client) -> None:
    await client.store("é;1.jpg", images.photograph())
    found = await client.get(f"/iiif/presentation/3/{quote('é~3B1.jpg')}")
    assert (found.status, found.headers["Location"]) == (303, f"{client.base_url}{path_of('%C3%A9~3B1.jpg')}")
    assert (await manifest(client, "%C3%A9~3B1.jpg"))["label"] == {"none": ["é;1.jpg"]}


@async_test
async def test_the_type_is_negotiated_and_other_origins_may_ask(client: Client) -> None:
    await client.store("types.jpg", images.photograph())
    assert (await answer(client, "types.jpg")).headers["Content-Type"] == JSON_LD
    plain = await answer(client, "types.jpg", Accept="application/json")
    assert plain.headers["Content-Type"] == "application/json"
    assert 'presentation/3/context.json>;rel="http://www.w3.org/ns/json-ld#context"' in plain.headers["Link"]
    assert plain.headers["Access-Control-Allow-Origin"] == "*"
    options = await client.request("OPTIONS", path_of("types.jpg"))
    assert (options.status, options.headers["Access-Control-Allow-Origin"]) == (204, "*")
    head = await client.head(path_of("types.jpg"))
    assert (head.status, head.headers["Content-Length"]) == (200, str(len((await answer(client, "types.jpg")).body)))


@async_test
async def test_a_description_that_a_browser_has_is_not_sent_again(run_daemon: RunDaemon) -> None:
    client = Client(run_daemon({"server": {"public_url": "https://assets.example.org"}}).url, KEY)
    await client.store("kept.jpg", images.photograph())
    for path in (path_of("kept.jpg"), "/iiif/3/kept.jpg/info.json"):
        first = await client.get(path)
        assert "max-age=300" in first.headers["Cache-Control"]
        again = await client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
        assert again.headers["Vary"] == first.headers["Vary"]
    tags = [(await client.get(path_of("kept.jpg"))).headers["ETag"]]
    await client.store("kept.jpg", images.photograph((300, 200)))
    assert (await client.get(path_of("kept.jpg"), headers={"If-None-Match": tags[0]})).status == 200


@async_test
async def test_collections_are_told_apart(run_daemon: RunDaemon) -> None:
    client = Client(run_daemon({"collections": {"mode": "map", "map": {"KU Fish": {"directory": "Fish"}}}}).url, KEY)
    await client.store("a.jpg", images.photograph(), "KU Fish")
    found = await manifest(client, "KU%20Fish:a.jpg")
    assert body_of(found["items"][0])["service"][0]["id"] == f"{client.base_url}/iiif/3/KU%20Fish:a.jpg"
    assert (await fetched(client, found["rendering"][0]["id"])).status == 200
    assert (await answer(client, "a.jpg")).status == 404


@pytest.mark.parametrize("name", ["a.jpg", "a.mp4"])
@async_test
async def test_with_tokens_for_reading_only_a_signed_address_works_until_it_expires(
    run_daemon: RunDaemon, name: str
) -> None:
    client = Client(run_daemon({"server": {"require_token_for_get": True}}).url, KEY)
    await client.store(name, images.photograph() if name == "a.jpg" else recordings.film("mp4"))
    for identifier in (name, f"{name};{grant(KEY, None, name, int(time.time()) - 1)}", f"{name};9999999999.{'A' * 22}"):
        for path in ("", "/", "/manifest", "/media", "/other"):
            assert (await client.get(f"/iiif/presentation/3/{identifier}{path}")).status == 403
        for path in ("", "/info.json", "/full/max/0/default.jpg", "/full/max/400/wrong.jpg"):
            assert (await client.get(f"/iiif/3/{identifier}{path}")).status == 403
    leading = await client.get(path_of(name), token=client.token(name))
    assert (leading.status, leading.headers["Cache-Control"]) == (303, "no-store")
    signed = await fetched(client, leading.headers["Location"])
    valid_manifest(signed.json)
    assert signed.json["id"] == leading.headers["Location"]
    assert "private" in signed.headers["Cache-Control"] or signed.headers["Cache-Control"] == "no-store"
    assert "rendering" not in signed.json
    (canvas,) = signed.json["items"]
    capability = urlsplit(leading.headers["Location"]).path.split(";")[1].split("/")[0]
    assert capability not in canvas["id"]
    body = body_of(canvas)
    assert capability in body["id"]
    assert (await fetched(client, body["id"])).status == 200
    # Whoever may look cannot change anything, nor get a picture's file with its metadata.
    for token in (capability, ":".join(reversed(capability.split(".")))):
        assert (await client.original(name, token=token)).status == 403
        assert (await client.upload_like_specify7(name, b"other", token=token)).status == 403
        assert (await client.metadata(name, token=token)).status == 403
    media = await client.get(f"/iiif/presentation/3/{name};{capability}/media")
    assert media.status == (200 if name == "a.mp4" else 404)
    assert (await client.get(f"/iiif/presentation/3/b{name};{capability}/media")).status == 403


@async_test
async def test_requests_are_counted_by_what_they_are_for(run_daemon: RunDaemon) -> None:
    from tests.support.ports import free_port

    port = free_port()
    daemon = run_daemon({"server": {"admin_listen": [f"tcp:{port}:interface=127.0.0.1"]}})
    client = Client(daemon.url, KEY)
    await client.store("a.jpg", images.photograph((1000, 800)))
    await client.store("a.wav", recordings.sound("wav"))
    await manifest(client, "a.jpg")
    await client.get("/iiif/3/a.jpg/info.json")
    for part in ("0,0,512,512/512,512/0/default.jpg", "full/100,/0/default.png"):
        assert (await client.get(f"/iiif/3/a.jpg/{part}")).status == 200
    await client.get("/iiif/presentation/3/a.wav/media")
    numbers = (await Client(f"http://127.0.0.1:{port}", KEY).get("/metrics")).text
    for endpoint, count in {"iiif_info": 1, "iiif_image": 2, "iiif_manifest": 1, "iiif_media": 1}.items():
        assert f'was_requests_total{{endpoint="{endpoint}",status="200"}} {count}.0' in numbers
    assert 'was_pictures_total{source="tile"} 1.0' in numbers and 'was_pictures_total{source="view"} 1.0' in numbers
