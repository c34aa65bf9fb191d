"""Regions, sizes, rotations, qualities and formats: what they mean, and which are refused (Image API, section 4)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was_daemon.model.errors import AssetError, BadRequest, NotImplementedHere
from was_daemon.model.pyramids import Box, Geometry
from was_daemon.web.iiif.limits import Limits
from was_daemon.web.iiif.parameters import Rendering, parse_parameters, resolve

PICTURE = Geometry(3000, 2000)
LIMITS = Limits(1000, 4000, 3_000_000)
NONE = Limits(10_000, 10_000, 100_000_000)


def shown(
    path: str, version: int = 3, limits: Limits = NONE, picture: Geometry = PICTURE, is_grey: bool = False
) -> Rendering:
    region, size, rotation, last = path.split("/")
    return resolve(parse_parameters(version, region, size, rotation, last), picture, limits, is_grey)


@pytest.mark.parametrize(
    ("region", "box"),
    [
        ("full", Box(0, 0, 3000, 2000)),
        ("square", Box(500, 0, 2000, 2000)),
        ("10,20,300,400", Box(10, 20, 300, 400)),
        ("2900,1900,300,400", Box(2900, 1900, 100, 100)),
        ("pct:10,20,50,25", Box(300, 400, 1500, 500)),
        ("pct:0,0,100,100", Box(0, 0, 3000, 2000)),
        ("pct:90.5,0,50,.1", Box(2715, 0, 285, 2)),
        ("pct:99.99,99.99,0.01,0.01", Box(2999, 1999, 1, 1)),
    ],
)
def test_a_region_is_cropped_at_the_edges(region: str, box: Box) -> None:
    assert shown(f"{region}/max/0/default.jpg").region == box


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("max", (3000, 2000)),
        ("^max", (3000, 2000)),
        ("600,", (600, 400)),
        (",500", (750, 500)),
        ("pct:10", (300, 200)),
        ("pct:33.3", (999, 666)),
        ("200,300", (200, 300)),
        ("!600,600", (600, 400)),
        ("!6000,600", (900, 600)),
        ("!6000,6000", (3000, 2000)),
        ("^6000,", (6000, 4000)),
        ("^,3000", (4500, 3000)),
        ("^pct:150", (4500, 3000)),
        ("^3100,10", (3100, 10)),
        ("^!6000,6000", (6000, 4000)),
        ("^!600,600", (600, 400)),
    ],
)
def test_sizes(size: str, expected: tuple[int, int]) -> None:
    assert shown(f"full/{size}/0/default.jpg").size == expected


@pytest.mark.parametrize("size", ["3001,", ",2001", "pct:101", "3001,10", "10,2001"])
def test_only_with_a_circumflex_a_picture_is_enlarged(size: str) -> None:
    with pytest.raises(BadRequest, match="put \\^ before it"):
        shown(f"full/{size}/0/default.jpg")
    assert shown(f"full/{size}/0/default.jpg", version=2).size == shown(f"full/^{size}/0/default.jpg").size


@pytest.mark.parametrize(
    ("size", "expected"),
    [("max", (1000, 667)), ("^max", (1000, 667)), ("!5000,5000", (1000, 667)), ("^!5000,5000", (1000, 667))],
)
def test_the_largest_size_is_within_the_limits(size: str, expected: tuple[int, int]) -> None:
    assert shown(f"full/{size}/0/default.jpg", limits=LIMITS).size == expected


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("0,0,300,200", (1000, 667)),
        ("0,0,100,1000", (400, 4000)),
        ("square", (1000, 1000)),
        ("0,0,512,512", (1000, 1000)),
    ],
)
def test_a_region_of_a_picture_beyond_the_limits_is_enlarged_as_far_as_they_allow(
    region: str, expected: tuple[int, int]
) -> None:
    rendering = shown(f"{region}/^max/0/default.jpg", limits=LIMITS)
    assert rendering.size == expected
    with pytest.raises(BadRequest, match=f"the largest size of this region is {expected[0]},{expected[1]}"):
        shown(f"{region}/^4001,/0/default.jpg", limits=LIMITS)
    same = shown(f"{region}/^{expected[0]},/0/default.jpg", limits=LIMITS)
    assert same.canonical(3) == rendering.canonical(3)
    assert ("/^max/" in same.canonical(3)) == (region != "square")


@pytest.mark.parametrize("rotation", ["45", "!30.5", "359.9"])
@pytest.mark.parametrize("size", ["max", "^!10000,10000"])
def test_a_turned_picture_is_within_the_limits_with_its_corners(size: str, rotation: str) -> None:
    limits = Limits(1000, 1000, 600_000)
    rendering = shown(f"full/{size}/{rotation}/default.jpg", limits=limits)
    width, height = rendering.size
    angle = math.radians(float(rendering.rotation))
    sine, cosine = abs(math.sin(angle)), abs(math.cos(angle))
    outer = width * cosine + height * sine, width * sine + height * cosine
    assert max(outer) <= 1000
    assert 590_000 < outer[0] * outer[1] <= 600_000
    with pytest.raises(BadRequest, match=f"the largest size of this region is {width},{height}"):
        shown(f"full/^{width + 2},/{rotation}/default.jpg", limits=limits)


@pytest.mark.parametrize(
    "path",
    [
        "pct:41.66666666666667,12.499999999999998,20,20/max/33.333333333333336/default.jpg",
        "0,0,1000000000000,1000000000000/pct:33.333333333333336/90.0000000000000000001/default.jpg",
        "full/!1000000000000,1000000000000/0/default.jpg",
    ],
)
def test_numbers_may_have_as_many_digits_as_clients_write(path: str) -> None:
    assert shown(path).size


@pytest.mark.parametrize("size", ["1001,", ",800", "pct:50", "1001,10", "^3000,3000"])
def test_no_size_is_beyond_the_limits(size: str) -> None:
    with pytest.raises(BadRequest, match="the largest size"):
        shown(f"full/{size}/0/default.jpg", limits=LIMITS)


@pytest.mark.parametrize(
    "path",
    [
        *("fulls/max/0/default.jpg", "1,2,3/max/0/default.jpg", "1,2,3,x/max/0/default.jpg", "/max/0/default.jpg"),
        *("1.5,2,3,4/max/0/default.jpg", "-1,2,3,4/max/0/default.jpg", "pct:1,2,3/max/0/default.jpg"),
        *("0,0,0,10/max/0/default.jpg", "0,0,10,0/max/0/default.jpg", "pct:0,0,0,1/max/0/default.jpg"),
        *("3000,0,1,1/max/0/default.jpg", "0,2000,1,1/max/0/default.jpg", "pct:100,0,1,1/max/0/default.jpg"),
        *("full/full/0/default.jpg", "full/ max/0/default.jpg", "full/,/0/default.jpg", "full/!10,/0/default.jpg"),
        *("full/0,/0/default.jpg", "full/,0/0/default.jpg", "full/pct:0/0/default.jpg", "full/!0,1/0/default.jpg"),
        *(
            "full/^full/0/default.jpg",
            "full/!^1,1/0/default.jpg",
            "full/pct:-1/0/default.jpg",
            "full/1e2,/0/default.jpg",
        ),
        *("full/max/361/default.jpg", "full/max/-1/default.jpg", "full/max/!/default.jpg", "full/max/a/default.jpg"),
        *("full/max/0/native.jpg", "full/max/0/grey.jpg", "full/max/0/default.jpeg", "full/max/0/default"),
        *("full/max/0/.jpg", "full/max/0/default.", "full/max/0/Default.jpg", "full/max/١/default.jpg"),
    ],
)
def test_what_is_malformed_is_refused(path: str) -> None:
    with pytest.raises(BadRequest):
        shown(path)


def test_a_format_of_the_specification_that_there_is_not_is_not_implemented() -> None:
    for name in ("jp2", "pdf"):
        with pytest.raises(NotImplementedHere):
            shown(f"full/max/0/default.{name}")


@pytest.mark.parametrize(
    ("path", "version", "canonical"),
    [
        ("full/max/0/default.jpg", 3, "full/max/0/default.jpg"),
        ("0,0,3000,2000/3000,/0/default.jpg", 3, "full/max/0/default.jpg"),
        ("full/full/0/default.jpg", 2, "full/full/0/default.jpg"),
        ("full/max/360/default.jpg", 2, "full/full/0/default.jpg"),
        ("pct:0,0,50,50/pct:50/90.0/gray.png", 3, "0,0,1500,1000/750,500/90/gray.png"),
        ("pct:0,0,50,50/pct:50/90.0/gray.png", 2, "0,0,1500,1000/750,/90/gray.png"),
        ("square/100,50/!22.50/bitonal.gif", 3, "500,0,2000,2000/100,50/!22.5/bitonal.gif"),
        ("square/100,50/!22.50/bitonal.gif", 2, "500,0,2000,2000/100,50/!22.5/bitonal.gif"),
        ("full/^6000,/0/default.jpg", 3, "full/^6000,4000/0/default.jpg"),
        ("full/^max/0/default.jpg", 3, "full/max/0/default.jpg"),
        ("full/^10000,/0/default.jpg", 3, "full/^10000,6667/0/default.jpg"),
        ("full/!300,300/010/color.webp", 3, "full/300,200/10/default.webp"),
    ],
)
def test_the_canonical_form(path: str, version: int, canonical: str) -> None:
    assert shown(path, version).canonical(version) == canonical


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("is_grey", [False, True])
def test_the_quality_that_a_picture_has_is_its_default(version: int, is_grey: bool) -> None:
    own, others = ("gray", ["color", "bitonal"]) if is_grey else ("color", ["gray", "bitonal"])
    for quality in ("default", own):
        found = shown(f"0,0,512,512/512,512/0/{quality}.jpg", version, is_grey=is_grey)
        assert found.canonical(version).endswith("/0/default.jpg")
        assert found.tile
    for quality in others:
        found = shown(f"0,0,512,512/512,512/0/{quality}.jpg", version, is_grey=is_grey)
        assert found.canonical(version).endswith(f"/0/{quality}.jpg")
        assert not found.tile


@given(st.integers(1, 4000), st.integers(1, 4000), st.data())
def test_every_tile_is_recognised_in_its_forms(width: int, height: int, data: st.DataObject) -> None:
    picture = Geometry(width, height)
    tile = picture.tile(data.draw(st.integers(0, picture.count - 1)))
    box, (across, down) = tile.region, tile.size
    region = f"{box.x},{box.y},{box.width},{box.height}"
    for version, size in ((3, f"{across},{down}"), (2, f"{across},"), (2, f"{across},{down}"), (2, f",{down}")):
        found = shown(f"{region}/{size}/0/default.jpg", version, picture=picture).tile
        assert found and (found.region, found.size[0 if size.endswith(",") else 1]) == (
            box,
            tile.size[0 if size.endswith(",") else 1],
        )
    canonical = shown(f"{region}/{across},{down}/0/default.jpg", picture=picture).canonical(3)
    assert shown(canonical, picture=picture).size == tile.size


@pytest.mark.parametrize("last", ["0/default.png", "90/default.jpg", "!0/default.jpg", "0/gray.jpg", "0/bitonal.jpg"])
def test_only_the_plain_form_is_a_tile(last: str) -> None:
    assert shown(f"0,0,512,512/512,512/{last}").tile is None


@given(st.lists(st.text(max_size=30), min_size=4, max_size=4), st.sampled_from([2, 3]))
def test_any_text_is_refused_or_means_something(segments: list[str], version: int) -> None:
    region, size, rotation, last = segments
    try:
        found = resolve(parse_parameters(version, region, size, rotation, last), PICTURE, LIMITS)
    except AssetError:
        return
    assert LIMITS.allow(found.size)


@given(
    st.from_regex(r"full|square|(pct:)?[0-9]{1,5},[0-9]{1,5},[0-9]{1,5},[0-9]{1,5}", fullmatch=True),
    st.from_regex(
        r"\^?(max|!?[0-9]{1,5},[0-9]{1,5}|[0-9]{1,5},|,[0-9]{1,5}|pct:[0-9]{1,3}(\.[0-9]{1,3})?)", fullmatch=True
    ),
)
def test_a_rendering_lies_within_the_picture_and_the_limits(region: str, size: str) -> None:
    try:
        found = shown(f"{region}/{size}/0/default.jpg", limits=LIMITS)
    except BadRequest:
        return
    box = found.region
    assert 0 <= box.x < box.x + box.width <= 3000 and 0 <= box.y < box.y + box.height <= 2000
    assert LIMITS.allow(found.size) and min(found.size) >= 1
    if not size.startswith("^"):
        assert found.size[0] <= box.width and found.size[1] <= box.height
