"""The functions of the viewer's scripts that only compute."""

import json
from typing import Any

import pytest

from tests.support.browser import Page
from tests.support.daemon import Daemon

PAGE = "https://a.example/assets/view?coll=Fish&filename=a.jpg&token=T"


@pytest.fixture
def call(tolerant_page: Page, filesystem_daemon: Daemon) -> Any:
    """Calls a function of a script, where the page's policy lets it be loaded."""
    tolerant_page.open(f"{filesystem_daemon.url}/view?filename=none.jpg")

    def call_function(script: str, function: str, *arguments: Any) -> Any:
        module = f"document.querySelector('script[type=module]').src.replace('main.js', '{script}')"
        given = ", ".join(map(json.dumps, arguments))
        return tolerant_page.evaluate(
            f"(async () => {{ const it = await import({module}); return it.{function}({given}) }})()"
        )

    return call_function


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"XResolution": "300", "YResolution": "300", "ResolutionUnit": "Pixels/Inch"}, 300 / 25.4),
        ({"XResolution": "1181/10", "ResolutionUnit": "Pixels/Centimeter"}, 11.81),
        ({"XResolution": "72", "YResolution": "72", "ResolutionUnit": "Pixels/Centimeter"}, 7.2),
        # "Unknown", as EXIF writes it.
        ({"XResolution": "72", "YResolution": "72", "ResolutionUnit": "Pixels/Inch"}, None),
        ({"XResolution": "300", "YResolution": "300", "ResolutionUnit": "Not Absolute"}, None),
        ({"XResolution": "300", "YResolution": "300"}, None),
        ({"XResolution": "204", "YResolution": "98", "ResolutionUnit": "Pixels/Inch"}, None),
        ({"XResolution": "0/0", "YResolution": "0/0", "ResolutionUnit": "Pixels/Inch"}, None),
        ({"XResolution": "much", "ResolutionUnit": "Pixels/Inch"}, None),
        ({}, None),
    ],
)
def test_a_resolution_is_one_only_if_the_file_means_it(call: Any, fields: dict[str, str], expected: Any) -> None:
    found = call("scale.js", "pixelsPerMillimetre", [{"Name": "Image", "Fields": fields}])
    assert found == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("per_millimetre", "words", "pixels"),
    [
        (10, "1 cm", 100),
        (16, "1 cm", 160),
        (1.5, "10 cm", 150),
        (0.1, "1 m", 100),
        (100, "1 mm", 100),
        (400, "200 µm", 80),
        (32, "5 mm", 160),
        (500_000, "0.2 µm", 100),
    ],
)
def test_a_scale_is_a_round_length_that_fits(call: Any, per_millimetre: float, words: str, pixels: float) -> None:
    found = call("scale.js", "roundLength", per_millimetre, 160)
    assert (found["text"], found["pixels"]) == (words, pytest.approx(pixels))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" b c.jpg ", {"filename": "b c.jpg", "coll": "Fish", "token": "", "page": ""}),
        (
            "https://a.example/x?filename=b.tif&coll=Birds&token=B&page=3",
            {"filename": "b.tif", "coll": "Birds", "token": "B", "page": "3"},
        ),
        ("https://a.example/fileget?filename=b.jpg", {"filename": "b.jpg", "coll": "", "token": "", "page": ""}),
        ("https://b.example/view?filename=b.jpg", None),
        ("https://a.example/view", None),
        ("https://", None),
        ("  ", None),
    ],
)
def test_what_people_enter_names_an_asset(call: Any, text: str, expected: Any) -> None:
    assert call("addresses.js", "enteredAsset", text, "Fish", PAGE) == expected


def test_pictures_are_added_to_the_address_and_taken_away(call: Any) -> None:
    asset = {"filename": "b.jpg", "coll": "Birds", "token": "", "page": "2"}
    both = "https://a.example/assets/view?coll=Fish&filename=a.jpg&token=T&filename2=b.jpg&coll2=Birds&page2=2"
    assert call("addresses.js", "pageWithSecond", f"{PAGE}&filename2=c.jpg&token2=C&page2=7", asset) == both
    assert call("addresses.js", "pageWithout", f"{both}&page=3", "2") == f"{PAGE}&page=3"
    second_alone = "https://a.example/assets/view?filename=b.jpg&coll=Birds&page=2"
    assert call("addresses.js", "pageWithout", f"{both}&page=3", "") == second_alone


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ('<https://iiif.io/x>;rel="profile", <../a.tif;12/info.json>;rel="last"', 12),
        ('<../a.tif;3;1790000000.abc/info.json>; rel="last"', 3),
        ('<../a%3Bb.tif%3B4/info.json>; rel="last"', 4),
        ("", 1),
        (None, 1),
    ],
)
def test_the_number_of_pages_is_in_a_link(call: Any, link: str | None, expected: int) -> None:
    assert call("addresses.js", "pagesIn", link) == expected


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(10.2, 20.7), (30.1, 40)], (10, 20, 21, 20)),
        ([(-50, -50), (500, 500)], (0, 0, 100, 80)),
        ([(90, 70), (40, 10)], (40, 10, 50, 60)),
        ([(-50, 0), (-10, 80)], None),
        ([(100, 0), (200, 80)], None),
    ],
)
def test_what_is_visible_is_a_box_within_the_picture(call: Any, points: Any, expected: Any) -> None:
    found = call("addresses.js", "boxAround", [{"x": x, "y": y} for x, y in points], 100, 80)
    assert found == (expected and dict(zip(("x", "y", "width", "height"), expected, strict=True)))


@pytest.mark.parametrize("status", [0, 400, 403, 404, 415, 422, 500, 502, 503, 504, "replaced"])
def test_each_problem_is_told_with_what_to_do(call: Any, status: int | str) -> None:
    told = call("problems.js", "problemText", status, "the reason")
    assert told["title"]
    assert told["text"].endswith(".") and ":" not in told["text"][-1:]
    assert call("problems.js", "mayPass", status) is (status in (0, "replaced") or int(status) >= 500)


def test_names_of_fields_are_words(call: Any) -> None:
    for name, words in (("DateTimeOriginal", "Date Time Original"), ("GPSLatitude", "GPS Latitude"), ("Make", "Make")):
        assert call("metadata.js", "inWords", name) == words
