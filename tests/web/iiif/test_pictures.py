"""Pictures by the Image API: what a viewer is sent, by whom, and for how long."""

import io
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import pytest_twisted
from PIL import Image
from twisted.internet.defer import Deferred, gatherResults

from tests.support import images
from tests.support.client import Answer, Client
from tests.support.daemon import KEY, Daemon
from tests.support.iiif import DAM_PLUGIN
from tests.support.likeness import difference
from was_daemon.model.pyramids import Geometry
from was_daemon.web.capabilities import grant

async_test = pytest_twisted.ensureDeferred

SIZE = (1700, 1100)
PHOTO = images.photograph(SIZE)
WHOLE = Image.open(io.BytesIO(PHOTO)).convert("RGB")

RunDaemon = Callable[..., Daemon]


@pytest.fixture
def client(filesystem_client: Client) -> Client:
    return filesystem_client


async def picture(client: Client, path: str, version: int = 3, **headers: str) -> Answer:
    return await client.get(f"/iiif/{version}/{path}", headers=headers)


def pyramids(daemon: Daemon) -> list[str]:
    return sorted(path.name for path in (daemon.store / ".pyramids").glob("*.zip"))


@async_test
async def test_a_viewer_gets_the_description_and_the_tiles_it_tells_of(client: Client) -> None:
    await client.store("viewed.jpg", PHOTO)
    information = await picture(client, "viewed.jpg/info.json")
    assert information.headers["Content-Type"] == (
        'application/ld+json;profile="http://iiif.io/api/image/3/context.json"'
    )
    told = information.json
    assert (told["width"], told["height"]) == SIZE
    assert told["id"] == f"{client.base_url}/iiif/3/viewed.jpg"
    assert told["tiles"] == [{"width": 512, "height": 512, "scaleFactors": [1, 2, 4]}]
    assert told["sizes"] == [
        {"width": 425, "height": 275},
        {"width": 850, "height": 550},
        {"width": 1700, "height": 1100},
    ]
    assert "maxWidth" not in told
    for tile in Geometry(*SIZE).tiles():
        box, (width, height) = tile.region, tile.size
        answer = await picture(
            client, f"viewed.jpg/{box.x},{box.y},{box.width},{box.height}/{width},{height}/0/default.jpg"
        )
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
        part = WHOLE.crop((box.x, box.y, box.x + box.width, box.y + box.height)).resize(tile.size, Image.Resampling.BOX)
        assert difference(answer.image(), part) <= 3


@async_test
async def test_any_part_is_shown_in_any_size(client: Client) -> None:
    await client.store("parts.jpg", PHOTO)
    for path, box, size in [
        ("full/max/0/default.png", (0, 0, *SIZE), SIZE),
        ("full/425,/0/default.jpg", (0, 0, *SIZE), (425, 275)),
        ("full/!300,300/0/default.jpg", (0, 0, *SIZE), (300, 194)),
        ("400,300,1000,600/max/0/default.png", (400, 300, 1400, 900), (1000, 600)),
        ("401,301,999,599/333,100/0/default.webp", (401, 301, 1400, 900), (333, 100)),
        ("1600,1000,500,500/^400,/0/default.tif", (1600, 1000, 1700, 1100), (400, 400)),
        ("square/200,/0/default.jpg", (300, 0, 1400, 1100), (200, 200)),
    ]:
        answer = await picture(client, f"parts.jpg/{path}")
        assert answer.status == 200, answer
        image = answer.image()
        assert image.size == size
        assert difference(image, WHOLE.crop(box).resize(size, Image.Resampling.LANCZOS)) <= 3.5, path


@async_test
@pytest.mark.parametrize("part", ["0,0,512,512/512,512", "10,10,700,700/300,300"])
async def test_a_damaged_pyramid_is_seen_by_nobody(client: Client, filesystem_daemon: Daemon, part: str) -> None:
    name = f"damaged{len(part)}.jpg"
    await client.store(name, PHOTO)
    right = await picture(client, f"{name}/{part}/0/default.jpg")
    pyramid = filesystem_daemon.store / ".pyramids" / f"{name}_1.zip"
    content = pyramid.read_bytes()
    # The index and the mark are at the end.
    pyramid.write_bytes(bytes(len(content) - 2_000) + content[-2_000:])
    again = await picture(client, f"{name}/{part}/0/default.jpg")
    assert (right.status, again.status, again.body) == (200, 200, right.body)


@async_test
async def test_a_picture_is_mirrored_before_it_is_turned(client: Client) -> None:
    await client.store("turned.png", images.encode(images.chart(), "PNG"))
    chart = images.chart()
    for rotation, expected in [
        ("90", chart.transpose(Image.Transpose.ROTATE_270)),
        ("180", chart.transpose(Image.Transpose.ROTATE_180)),
        ("!0", chart.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        ("!90", chart.transpose(Image.Transpose.FLIP_LEFT_RIGHT).transpose(Image.Transpose.ROTATE_270)),
    ]:
        answer = await picture(client, f"turned.png/full/max/{rotation}/default.png")
        assert difference(answer.image(), expected) <= 4, rotation
    askew = (await picture(client, "turned.png/full/max/30/default.png")).image()
    assert askew.mode == "RGBA" and askew.getpixel((0, 0))[3] == 0
    assert (await picture(client, "turned.png/full/max/30/default.jpg")).image().getpixel((0, 0)) == (255, 255, 255)


@async_test
async def test_clear_parts_stay_clear_in_formats_that_have_such(client: Client) -> None:
    whole = images.translucent().resize((900, 600))
    await client.store("clear.png", images.encode(whole, "PNG"))
    beige = Image.new("RGBA", (300, 200), (200, 180, 150))
    part = whole.crop((300, 200, 900, 600)).resize((300, 200), Image.Resampling.LANCZOS)
    for form, within in (("png", 3), ("webp", 3.5), ("tif", 3)):
        answer = await picture(client, f"clear.png/300,200,600,400/300,200/0/default.{form}")
        image = answer.image()
        assert image.mode == "RGBA", form
        assert difference(Image.alpha_composite(beige, image), Image.alpha_composite(beige, part)) <= within, form
        assert image.getpixel((10, 10))[3] == 0 and abs(image.getpixel((290, 190))[3] - 128) < 3
    gif = (await picture(client, "clear.png/full/90,/0/default.gif")).image().convert("RGBA")
    assert (gif.getpixel((10, 10))[3], gif.getpixel((80, 50))[3]) == (0, 255)
    grey = (await picture(client, "clear.png/full/90,/!90/gray.png")).image()
    assert (grey.mode, grey.size, grey.getpixel((55, 85))[1], grey.getpixel((55, 5))[1]) == ("LA", (60, 90), 0, 255)
    jpg = (await picture(client, "clear.png/full/90,/0/default.jpg")).image()
    assert min(jpg.getpixel((10, 10))) > 250


@async_test
async def test_qualities(client: Client) -> None:
    await client.store("qualities.png", images.encode(images.chart(), "PNG"))
    assert (await picture(client, "qualities.png/full/max/0/gray.png")).image().mode == "L"
    bitonal = (await picture(client, "qualities.png/full/max/0/bitonal.png")).image().convert("L")
    assert {level for _, level in bitonal.getcolors()} == {0, 255}
    await client.store("grey.png", images.encode(images.chart().convert("L"), "PNG"))
    assert (await picture(client, "grey.png/full/max/0/default.jpg")).image().mode == "L"
    assert (await picture(client, "grey.png/full/max/0/color.jpg")).image().mode == "RGB"


@async_test
async def test_the_quality_that_a_picture_has_is_its_default(client: Client) -> None:
    await client.store("colours.png", images.encode(images.chart(), "PNG"))
    await client.store("shades.png", images.encode(images.chart().convert("L"), "PNG"))
    for name, own, other in (("colours.png", "color", "gray"), ("shades.png", "gray", "color")):
        by_default, named, converted = [
            await picture(client, f"{name}/full/max/0/{quality}.jpg") for quality in ("default", own, other)
        ]
        assert (named.body, named.headers["ETag"]) == (by_default.body, by_default.headers["ETag"])
        assert '<../../../full/max/0/default.jpg>;rel="canonical"' in named.headers["Link"]
        assert f'<../../../full/max/0/{other}.jpg>;rel="canonical"' in converted.headers["Link"]


@async_test
async def test_pages_are_pictures_of_their_own(client: Client) -> None:
    await client.store("pages.pdf", images.pdf((595, 842), pages=2))
    assert (await picture(client, "pages.pdf;2/info.json")).json["id"].endswith("/iiif/3/pages.pdf;2")
    first, second = [
        (await picture(client, f"pages.pdf{page}/full/100,/0/default.png")).image().convert("L") for page in ("", ";2")
    ]
    assert first.getextrema()[1] == 255 and second.getextrema()[1] < 10
    assert (await picture(client, "pages.pdf;3/info.json")).status == 404


@async_test
async def test_the_last_page_that_a_viewer_is_told_of_can_be_shown(client: Client) -> None:
    await client.store("endless.pdf", images.pdf((9, 9), pages=5000))
    for number in ("", ";4096"):
        information = await picture(client, f"endless.pdf{number}/info.json")
        assert information.headers["Link"] == '<../endless.pdf;4096/info.json>;rel="last"'
    assert (await picture(client, "endless.pdf;4097/info.json")).status == 404


@async_test
async def test_errors_are_those_of_the_specification(client: Client) -> None:
    await client.store("errors.jpg", PHOTO)
    for path, status in {
        "errors.jpg/full/max/0/default.jp2": 501,
        "errors.jpg/full/max/0/default.bmp": 400,
        "errors.jpg/full/max/400/default.jpg": 400,
        "errors.jpg/1700,0,1,1/max/0/default.jpg": 400,
        "errors.jpg/full/1701,/0/default.jpg": 400,
        "errors.jpg/full/max/0": 404,
        "errors.jpg/full/max/0/default.jpg/more": 404,
        "missing.jpg/info.json": 404,
        "missing.jpg/full/max/0/default.jpg": 404,
        ".hidden/info.json": 400,
        "errors.jpg;x/info.json": 404,
    }.items():
        answer = await picture(client, path)
        assert answer.status == status, (path, answer)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Link"] is None
    assert (await client.get("/iiif/1/errors.jpg/info.json")).status == 404
    assert (await client.request("POST", "/iiif/3/errors.jpg/info.json")).status == 405
    await client.store("no.txt", b"text")
    assert (await picture(client, "no.txt/info.json")).status == 415
    await client.store("broken.jpg", b"text")
    assert (await picture(client, "broken.jpg/info.json")).status == 422


@async_test
async def test_a_picture_that_cannot_be_shown_closely_keeps_its_thumbnail(client: Client) -> None:
    await client.store("one.pdf", images.pdf(pages=1))
    assert (await picture(client, "one.pdf;2/info.json")).status == 404
    assert (await client.thumbnail("one.pdf", 50)).status == 200
    assert (await picture(client, "one.pdf/info.json")).status == 200


@async_test
async def test_the_address_of_a_picture_leads_to_its_description(client: Client) -> None:
    await client.store("é~;:.jpg", PHOTO)
    answer = await picture(client, quote("é~7E~3B~3A.jpg"))
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (303, "*")
    assert answer.headers["Location"] == f"{client.base_url}/iiif/3/%C3%A9~7E~3B~3A.jpg/info.json"
    assert (await client.get(urlsplit(answer.headers["Location"]).path)).json["width"] == SIZE[0]


@async_test
async def test_the_type_of_the_description_is_negotiated(client: Client) -> None:
    await client.store("types.jpg", PHOTO)
    kinds: dict[str | None, set[tuple[int, str]]] = {}
    for version, accept, expected in [
        (3, None, 'application/ld+json;profile="http://iiif.io/api/image/3/context.json"'),
        (3, "application/json", "application/json"),
        (3, "text/html,*/*;q=0.8", "application/json"),
        (3, "application/ld+json; q=0, application/json;q=0.5", "application/json"),
        (2, None, "application/json"),
        (2, "application/ld+json", 'application/ld+json;profile="http://iiif.io/api/image/2/context.json"'),
    ]:
        answer = await picture(client, "types.jpg/info.json", version, **({"Accept": accept} if accept else {}))
        assert answer.headers["Content-Type"] == expected
        assert "Accept" in answer.headers["Vary"]
        assert answer.headers["Access-Control-Expose-Headers"] == "Link, ETag"
        kinds.setdefault(answer.headers["ETag"], set()).add((version, expected))
        assert ("json-ld#context" in (answer.headers["Link"] or "")) == (expected == "application/json")
    assert all(len(each) == 1 for each in kinds.values())


@async_test
async def test_what_a_browser_has_is_not_sent_again(client: Client) -> None:
    await client.store("cached.jpg", PHOTO)
    for path in ("0,0,512,512/512,512/0/default.jpg", "0,0,500,500/max/0/default.png"):
        answer = await picture(client, f"cached.jpg/{path}")
        assert answer.headers["Cache-Control"] == "public, s-maxage=75, max-age=300, stale-while-revalidate=604800"
        again = await picture(client, f"cached.jpg/{path}", **{"If-None-Match": answer.headers["ETag"]})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["ETag"] == answer.headers["ETag"]
        head = await client.head(f"/iiif/3/cached.jpg/{path}")
        assert head.headers["Content-Length"] == str(len(answer.body))
        assert head.headers["ETag"] == answer.headers["ETag"]
    tags = {
        (await picture(client, f"cached.jpg/{x},0,512,512/512,512/0/default.jpg")).headers["ETag"] for x in (0, 512)
    }
    assert len(tags) == 2


@async_test
async def test_a_picture_that_is_saved_has_the_name_of_its_asset_and_of_what_it_shows(client: Client) -> None:
    await client.store("Käfer 1.att.jpg", PHOTO)
    await client.store("named.pdf", images.pdf((595, 842), pages=2))
    asset = quote("Käfer 1.att.jpg")
    for path, name in {
        f"{asset}/full/max/0/default.png": "K%C3%A4fer%201.att.png",
        f"{asset}/full/200,/90/default.jpg": "K%C3%A4fer%201.att.jpg",
        f"{asset}/0,0,512,512/512,512/0/default.jpg": "K%C3%A4fer%201.att%200%2C0%2C512%2C512.jpg",
        "named.pdf;2/full/100,/0/default.webp": "named%20page%202.webp",
    }.items():
        answer = await picture(client, path)
        assert answer.headers["Content-Disposition"] == f"inline; filename*=utf-8''{name}"


@async_test
async def test_links_tell_the_canonical_address_and_the_profile(client: Client) -> None:
    await client.store("links.jpg", PHOTO)
    answer = await picture(client, "links.jpg/0,0,512,512/512,/0/default.jpg")
    assert answer.headers["Link"] == (
        '<http://iiif.io/api/image/3/level2.json>;rel="profile", '
        '<../../../0,0,512,512/max/0/default.jpg>;rel="canonical"'
    )


@async_test
async def test_a_page_of_another_origin_may_ask(client: Client) -> None:
    answer = await client.request("OPTIONS", "/iiif/3/a.jpg/info.json", headers={"Origin": "https://viewer.example"})
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, "*")
    assert answer.headers["Access-Control-Allow-Methods"] == answer.headers["Allow"] == "GET, HEAD, OPTIONS"


@async_test
async def test_no_tile_of_a_deleted_or_replaced_picture_is_sent(client: Client, filesystem_daemon: Daemon) -> None:
    tile = "changed.png/full/100,/0/default.png"
    await client.store("changed.png", images.encode(Image.new("RGB", (600, 600), "red"), "PNG"))
    assert (await picture(client, tile)).image().getpixel((50, 50))[0] > 200
    assert "changed.png_1.zip" in pyramids(filesystem_daemon)
    await client.store("changed.png", images.encode(Image.new("RGB", (600, 600), "blue"), "PNG"))
    assert "changed.png_1.zip" not in pyramids(filesystem_daemon)
    assert (await picture(client, tile)).image().getpixel((50, 50))[2] > 200
    form = f"filename=changed.png&token={quote(client.token('changed.png'))}".encode()
    assert (await client.post("/filedelete", form, "application/x-www-form-urlencoded")).status == 200
    assert (await picture(client, tile)).status == 404
    assert "changed.png_1.zip" not in pyramids(filesystem_daemon)


@async_test
async def test_a_picture_replaced_behind_the_daemons_back_is_shown_anew(
    client: Client, filesystem_daemon: Daemon
) -> None:
    path = filesystem_daemon.store / "originals" / "behind.png"
    path.parent.mkdir(exist_ok=True)
    for colour, band in (("red", 0), ("blue", 2)):
        path.write_bytes(images.encode(Image.new("RGB", (600, 600), colour), "PNG"))
        assert (await picture(client, "behind.png/full/100,/0/default.png")).image().getpixel((50, 50))[band] > 200


@async_test
async def test_a_pyramid_is_not_served_as_a_file(client: Client) -> None:
    await client.store("static.jpg", PHOTO)
    assert (await picture(client, "static.jpg/info.json")).status == 200
    assert (await client.get("/static/.pyramids/static.jpg_1.zip")).status == 404
    assert (await client.original(".pyramids")).status == 400


@async_test
async def test_many_requests_for_a_new_picture_wait_for_one_job(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"server": {"admin_listen": []}})
    client = Client(daemon.url, KEY)
    await client.store("new.jpg", PHOTO)
    paths = [
        f"new.jpg/{tile.region.x},{tile.region.y},{tile.region.width},{tile.region.height}/{tile.size[0]},/0/default.jpg"
        for tile in Geometry(*SIZE).tiles()
    ]
    answers = await gatherResults([Deferred.fromCoroutine(picture(client, path)) for path in paths])
    assert {answer.status for answer in answers} == {200}
    assert pyramids(daemon) == ["new.jpg_1.zip"]


@async_test
async def test_collections_are_told_apart(run_daemon: RunDaemon) -> None:
    daemon = run_daemon(
        {"collections": {"mode": "map", "map": {"KU Fish": {"directory": "Fish"}, "B:/1": {"directory": "B"}}}}
    )
    client = Client(daemon.url, KEY)
    await client.store("a.png", images.encode(Image.new("RGB", (60, 60), "red"), "PNG"), "KU Fish")
    await client.store("a.png", images.encode(Image.new("RGB", (60, 60), "blue"), "PNG"), "B:/1")
    red = await picture(client, "KU%20Fish:a.png/full/max/0/default.png")
    blue = await picture(client, "B~3A~2F1:a.png/full/max/0/default.png")
    assert red.image().getpixel((5, 5))[0] > 200 and blue.image().getpixel((5, 5))[2] > 200
    assert (await picture(client, "a.png/info.json")).status == 404
    assert (await picture(client, "Birds:a.png/info.json")).status == 404
    assert (await picture(client, "KU%20Fish:a.png/info.json")).json["id"] == f"{daemon.url}/iiif/3/KU%20Fish:a.png"


@async_test
async def test_with_tokens_for_reading_only_a_signed_address_works_until_it_expires(run_daemon: RunDaemon) -> None:
    client = Client(run_daemon({"server": {"require_token_for_get": True}}).url, KEY)
    await client.store("a.jpg", PHOTO)
    for path in ("a.jpg", "a.jpg/info.json", "a.jpg/full/100,/0/default.jpg", "missing.jpg/info.json"):
        assert (await picture(client, path)).status == 403
    wrong = await client.get("/iiif/3/a.jpg/info.json", token=client.token("b.jpg"))
    assert wrong.status == 403
    leading = await client.get("/iiif/3/a.jpg/info.json", token=client.token("a.jpg"))
    assert (leading.status, leading.headers["Cache-Control"]) == (303, "no-store")
    assert client.token("a.jpg").split(":")[0] not in leading.headers["Location"]
    path = urlsplit(leading.headers["Location"]).path
    information = await client.get(path)
    assert information.json["id"] == client.base_url + path.removesuffix("/info.json")
    image = await client.get(f"{path.removesuffix('/info.json')}/full/100,/0/default.jpg")
    assert (image.status, image.headers["Cache-Control"]) == (
        200,
        "private, max-age=300, stale-while-revalidate=604800",
    )
    expired = grant(KEY, None, "a.jpg", int(time.time()) - 1)
    assert (await picture(client, f"a.jpg;{expired}/info.json")).status == 403
    capability = path.split(";")[1].split("/")[0]
    assert (await picture(client, f"b.jpg;{capability}/info.json")).status == 403
    for badly_copied in (capability[:-1], f"9{'0' * 20}.{capability.split('.')[1]}", f"{capability};1", "1.", ""):
        assert (await picture(client, f"a.jpg;{badly_copied}/info.json")).status == 403
    for token in (capability, ":".join(reversed(capability.split(".")))):
        assert (await client.original("a.jpg", token=token)).status == 403
        assert (await client.upload_like_specify7("a.jpg", b"other", token=token)).status == 403


@async_test
async def test_no_address_costs_more_than_the_limits_allow(run_daemon: RunDaemon) -> None:
    client = Client(run_daemon({"zoom": {"max_width": 1000, "max_height": 800}}).url, KEY)
    await client.store("a.jpg", PHOTO)
    told = (await picture(client, "a.jpg/info.json")).json
    assert (told["maxWidth"], told["maxHeight"], told["maxArea"]) == (1000, 800, 4096 * 4096)
    assert told["sizes"] == [{"width": 425, "height": 275}, {"width": 850, "height": 550}]
    assert (await picture(client, "a.jpg/full/max/0/default.jpg")).image().size == (1000, 647)
    for size in ("1001,", "^pct:200", "^1,801"):
        assert (await picture(client, f"a.jpg/full/{size}/0/default.jpg")).status == 400


@async_test
async def test_viewers_are_sent_to_a_dam_that_speaks_the_image_api(run_daemon: RunDaemon, tmp_path: Path) -> None:
    (tmp_path / "storage_plugins").mkdir()
    (tmp_path / "storage_plugins" / "iiif_dam.py").write_text(DAM_PLUGIN)
    config = {"plugins": {"path": [tmp_path]}, "stores": {"main": {"plugin": "iiif-dam"}}}
    client = Client(run_daemon({**config, "server": {"require_token_for_get": True}}).url, KEY)
    assert (await picture(client, "a.jpg/info.json")).status == 403
    signed = f"a.jpg;2;{grant(KEY, None, 'a.jpg', int(time.time()) + 60)}"
    for rest in ("/info.json", ""):
        answer = await picture(client, f"{signed}{rest}")
        assert (answer.status, answer.headers["Location"]) == (303, "https://dam.example/iiif/a.jpg-2/info.json")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    answer = await picture(client, f"{signed}/full/!90,90/0/default.jpg")
    assert answer.headers["Location"] == "https://dam.example/iiif/a.jpg-2/full/%2190%2C90/0/default.jpg"
    missing = grant(KEY, None, "missing.jpg", int(time.time()) + 60)
    assert (await picture(client, f"missing.jpg;{missing}/info.json")).status == 404
    assert (await picture(client, f"{signed}/info.json", version=2)).status == 404
    manifest = await client.get(f"/iiif/presentation/3/{signed}/manifest")
    assert (manifest.status, manifest.headers["Access-Control-Allow-Origin"]) == (501, "*")


@async_test
async def test_no_daemon_sends_a_tile_of_what_another_one_has_replaced_or_deleted(run_daemon: RunDaemon) -> None:
    one = run_daemon()
    other = run_daemon({"stores": {"main": {"plugin": "filesystem", "path": one.store}}})
    writer, reader = Client(one.url, KEY), Client(other.url, KEY)
    for colour, band in (("red", 0), ("blue", 2)):
        await writer.store("a.png", images.encode(Image.new("RGB", (600, 600), colour), "PNG"))
        for path in ("0,0,512,512/512,512/0/default.jpg", "full/100,/0/default.png"):
            assert (await picture(reader, f"a.png/{path}")).image().getpixel((50, 50))[band] > 200
    form = f"filename=a.png&token={quote(writer.token('a.png'))}".encode()
    assert (await writer.post("/filedelete", form, "application/x-www-form-urlencoded")).status == 200
    for path in ("0,0,512,512/512,512/0/default.jpg", "full/100,/0/default.png", "info.json"):
        assert (await picture(reader, f"a.png/{path}")).status == 404
