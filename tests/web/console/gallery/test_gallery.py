"""The gallery of the console, as a browser without scripts sees it."""

import json
import re
import time
from collections.abc import Iterator
from html import escape
from urllib.parse import quote, urlencode

import pytest

from tests.support.console import beside
from tests.support.daemon import eventually
from tests.support.images import annotated_tiff, jpeg
from tests.web.console.gallery.museum import (
    BIRDS,
    COLLECTIONS,
    FISH,
    HOSTILE,
    KEPT,
    Museum,
    asset,
    links,
    look,
    names,
    picture,
    text_of,
)
from was_daemon.model.facts import FACTS_VERSION

RECORD = """
INSERT INTO records (source, number, store, collection, name, table_number, file_name, title, license, copyright_holder,
    copyright_date, credit, is_public, changed, is_removed)
VALUES ('museum', 4711, 'main', 'fish', ?, 1, 'DSC_1.jpg', ?, 'https://creativecommons.org/licenses/by/4.0/',
    'R. Müller', '2021', 'Expedition 7', 1, 1700000000, 0)
"""

PLACED = """
INSERT INTO assets
    (store, collection, name, changed, name_folded, description, media_type, captured, latitude, longitude)
VALUES ('main', 'birds', 'placed.tif', 1700000000, 'placed.tif', ?, 'image/tiff', '2019-05-03 12:00:00', 12.1, -68.9)
"""
ROW = "store, collection, name, changed, name_folded, description"


@pytest.fixture(scope="module")
def museum(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Museum]:
    config = {"collections": COLLECTIONS, **KEPT}
    museum = Museum(tmp_path_factory.mktemp("museum"), config)
    museum.put_all(
        ("first.jpg", jpeg(), FISH),
        ("notes.txt", b"seen at dusk", FISH),
        ("scan.tif", annotated_tiff(), BIRDS),
        (HOSTILE, jpeg(), FISH),
    )
    museum.read(PLACED, FACTS_VERSION)
    museum.read(RECORD, HOSTILE, f"title {HOSTILE}")
    museum.read("UPDATE assets SET file_name = ?, file_name_folded = ? WHERE name = ?", "<b>", "<b>", HOSTILE)
    yield museum
    museum.stop()


PAGES = ["gallery/", asset("first.jpg"), "trash/", "gallery/look/view?filename=a"]
PICTURES = [
    "gallery/look/fileget?filename=first.jpg",
    "gallery/look/thumbnail?filename=a",
    "gallery/look/iiif/3/a/info.json",
]


def test_nobody_sees_anything_without_a_session(museum: Museum) -> None:
    stranger = museum.console.browser()
    for page in PAGES:
        answer = stranger.get(page)
        assert (answer.status, "login" in answer.headers["Location"]) == (303, True)
    for page in PICTURES:
        assert stranger.get(page).status == 403
    for form in ("gallery/visibility", "trash/restore"):
        assert stranger.post(form, {"name": "first.jpg"}).status in (303, 403)
    assert museum.rows("visibility", "first.jpg") == 0


def test_the_newest_come_first_and_are_text_whatever_they_are_called(museum: Museum) -> None:
    answer = museum.admin.get("gallery/")
    assert names(answer) == ["placed.tif", HOSTILE, "scan.tif", "notes.txt", "first.jpg"]
    assert "<img src=x" not in answer.text and "<b>" not in answer.text
    assert escape(HOSTILE) in answer.text.replace("&#34;", "&quot;").replace("&#39;", "&#x27;")
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    for address in links(answer).values():
        assert museum.admin.get(beside("gallery/", address)).status in (200, 303), address


def test_a_collection_is_shown_alone(museum: Museum) -> None:
    answer = museum.admin.get(f"gallery/?collection={quote(BIRDS)}")
    assert names(answer) == ["placed.tif", "scan.tif"]
    assert museum.admin.get("gallery/?collection=None").status == 400


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"name": "FIRST*"}, ["first.jpg"]),
        ({"file_name": "<b>"}, [HOSTILE]),
        ({"type": "image/tiff", "near": "12.1,-68.9,1 m"}, ["placed.tif"]),
        ({"size": "..100"}, ["notes.txt"]),
        ({"stored": "2024.."}, [HOSTILE, "scan.tif", "notes.txt", "first.jpg"]),
        ({"captured": "2019-05", "name": ""}, ["placed.tif"]),
        ({"sha256": "b" * 64}, []),
        ({"near": "12.2,-68.9,1 m"}, []),
        ({"name": "*.jpg", "collection": BIRDS}, []),
    ],
)
def test_what_is_asked_is_found_and_the_form_keeps_it(museum: Museum, fields: dict[str, str], found: list[str]) -> None:
    answer = museum.admin.get(f"gallery/?{urlencode(fields)}")
    assert (answer.status, names(answer)) == (200, found)
    for value in fields.values():
        assert f'value="{escape(value)}"' in answer.text.replace("&#34;", "&quot;").replace("&#39;", "&#x27;")


def test_a_name_that_is_not_found_leads_to_those_that_contain_it(museum: Museum) -> None:
    answer = museum.admin.get("gallery/?name=irs")
    wider = museum.admin.get(beside("gallery/", links(answer)["names that contain it"]))
    assert names(wider) == ["first.jpg"]


@pytest.mark.parametrize("query", ["size=big", "colour=red", "cursor=nonsense", "sha256=12", "near=<script>"])
def test_what_cannot_be_understood_is_said_on_the_page(museum: Museum, query: str) -> None:
    answer = museum.admin.get(f"gallery/?{query}")
    assert (answer.status, 'role="alert"' in answer.text) == (400, True)
    assert "<script>" not in answer.text


def test_pages_go_on_where_they_ended_whatever_is_added_meanwhile(museum: Museum) -> None:
    def enter(added: list[str]) -> None:
        values = ", ".join(f"('main', 'birds', '{name}', {time.time()}, '{name}', {FACTS_VERSION})" for name in added)
        museum.read(f"INSERT INTO assets ({ROW}) VALUES {values}")

    enter([f"row{number:03}.png" for number in range(130)])
    try:
        answer = museum.admin.get(f"gallery/?{urlencode({'collection': BIRDS, 'name': 'row*'})}")
        assert names(answer) == [f"row{number:03}.png" for number in range(60)]
        newest = museum.admin.get(f"gallery/?collection={quote(BIRDS)}")
        assert names(newest)[:2] == ["row129.png", "row128.png"]
        enter(["zz.png"])
        second = museum.admin.get(beside("gallery/", links(newest)["Next page"]))
        assert names(second) == [f"row{number:03}.png" for number in range(69, 9, -1)]
        third = museum.admin.get(beside("gallery/", links(second)["Next page"]))
        assert names(third) == [*(f"row{number:03}.png" for number in range(9, -1, -1)), "placed.tif", "scan.tif"]
        assert "Next page" not in links(third)
        assert names(museum.admin.get(beside("gallery/", links(third)["First page"])))[0] == "zz.png"
    finally:
        museum.read("DELETE FROM assets WHERE name LIKE 'row%' OR name = 'zz.png'")


def test_rows_of_collections_that_are_configured_no_more_have_no_page(museum: Museum) -> None:
    values = "('elsewhere', 'fish', 'far.jpg', 1, 'far.jpg', 1), ('main', 'gone', 'far.jpg', 1, 'far.jpg', 1)"
    museum.read(f"INSERT INTO assets ({ROW}) VALUES {values}")
    answer = museum.admin.get("gallery/?name=far.jpg")
    assert answer.text.count("in no collection of this configuration") == 2
    assert names(answer) == []


def test_the_page_of_an_original_has_all_that_is_known_of_it(museum: Museum) -> None:
    answer = museum.admin.get(asset(HOSTILE))
    assert answer.status == 200
    assert "<img src=x" not in answer.text and "<b>" not in answer.text
    text = text_of(answer)
    for known in (
        *(
            HOSTILE,
            FISH,
            "main",
            "image/jpeg",
            "4711 of museum",
            f"title {HOSTILE}",
            "collectionobject",
            "2021 R. Müller",
        ),
        *("Expedition 7", "as recorded", "127.0.0.1", "public", "as its record in Specify says"),
    ):
        assert known in text, known
    assert links(answer)["https://creativecommons.org/licenses/by/4.0/"].endswith("/by/4.0/")
    assert re.search(r"<td[^>]*>stored</td>", answer.text)


def test_a_fault_is_told_with_what_can_be_done(museum: Museum) -> None:
    museum.read("UPDATE assets SET fault = 'missing', fault_detail = NULL WHERE name = 'notes.txt'")
    text = text_of(museum.admin.get(asset("notes.txt")))
    assert "At fault: its store does not have it." in text
    assert "was-daemon fixity report" in text
    museum.read("UPDATE assets SET fault = NULL WHERE name = 'notes.txt'")


def test_metadata_are_those_in_the_file(museum: Museum) -> None:
    text = text_of(museum.admin.get(asset("scan.tif", BIRDS)))
    fields = json.loads(museum.admin.get(look("getmetadata", "scan.tif", BIRDS)).text)
    assert fields
    for group in fields:
        for value in group["Fields"].values():
            assert str(value) in text
    assert "The file has none" in text_of(museum.admin.get(asset("first.jpg")))


@pytest.mark.parametrize(
    ("page", "status"),
    [
        (asset("none.jpg"), 404),
        (asset("a.jpg", "Nowhere"), 404),
        ("gallery/asset?collection=&name=first.jpg", 404),
        (asset("../first.jpg"), 400),
        (asset(""), 400),
        ("gallery/asset?name=%FF", 400),
        (asset("first.jpg", history="nonsense"), 200),
        ("trash/?before=nonsense", 400),
        ("gallery/nothing", 404),
        ("gallery/look/", 404),
        ("gallery/look/fileupload", 404),
        ("gallery/look/iiif/presentation/3/a/manifest", 404),
        ("gallery/%ff", 400),
    ],
)
def test_addresses_that_lead_nowhere_say_so(museum: Museum, page: str, status: int) -> None:
    answer = museum.admin.get(page)
    assert answer.status == status
    assert "Traceback" not in museum.daemon.log()


def test_private_files_are_seen_by_who_is_logged_in_without_a_token(museum: Museum) -> None:
    original = museum.admin.get(look("fileget", "first.jpg"))
    assert (original.status, original.body) == (200, jpeg())
    assert picture(museum.admin.get(look("thumbnail", "first.jpg", scale=50))).size == (50, 33)
    info = museum.admin.get(f"gallery/look/iiif/3/{quote(FISH)}:first.jpg/info.json")
    assert info.status == 200
    assert original.headers["Cache-Control"] == "private, no-cache"
    for answer in (original, info):
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    part = museum.admin.get(look("fileget", "first.jpg"), Range="bytes=0-9")
    assert (part.status, part.body) == (206, jpeg()[:10])
    known = museum.admin.get(look("fileget", "first.jpg"), **{"If-None-Match": original.headers["ETag"]})
    assert known.status == 304


def test_no_token_is_in_the_addresses_of_a_page(museum: Museum) -> None:
    for page in ("gallery/", asset("first.jpg"), look("view", "first.jpg"), "trash/"):
        assert "token" not in museum.admin.get(page).text


def test_a_drawing_stands_for_what_has_no_thumbnail(museum: Museum) -> None:
    answer = museum.admin.get(look("thumbnail", "notes.txt", scale=50))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/svg+xml")
    assert ">TXT<" in answer.text
    assert museum.admin.get(look("thumbnail", "none.jpg", scale=50)).status == 404


def test_a_page_that_somebody_has_uploaded_runs_no_script_in_the_console(museum: Museum) -> None:
    museum.put("page.html", b"<script>alert(1)</script>", BIRDS)
    answer = museum.admin.get(look("fileget", "page.html", BIRDS))
    assert answer.headers["Content-Security-Policy"] == "sandbox"


def test_the_viewer_and_its_files_come_from_the_console(museum: Museum) -> None:
    answer = museum.admin.get(look("view", "first.jpg"))
    if answer.status == 501:
        pytest.skip("OpenSeadragon is not installed")
    assert answer.status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy and "default-src 'none'" in policy
    [script] = re.findall(r'<script type="module" src="(view/[^"]*)"', answer.text)
    file = museum.admin.get(f"gallery/look/{script}")
    assert (file.status, file.headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")


def is_public(museum: Museum, name: str, coll: str) -> bool:
    query = urlencode({"filename": name, "coll": coll, "type": "O"})
    return (
        museum.client.raw(f"GET /fileget?{query} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()).status
        == 200
    )


def test_a_decision_is_told_with_its_reason_and_can_be_taken_back(museum: Museum) -> None:
    page = asset("scan.tif", BIRDS)
    done = museum.admin.submit(page, 'value="public"', choice="public", reason="<i>for the atlas</i>")
    assert done.status == 303
    shown = text_of(museum.admin.get(beside("gallery/visibility", done.headers["Location"])))
    assert "Decided: this file is public." in shown
    assert "<i>for the atlas</i>" in shown
    museum.admin.submit(page, 'value="private"', choice="private", reason="a nest")
    assert museum.admin.get(f"gallery/?collection={quote(BIRDS)}").text.count(">private</span>") == 1
    done = museum.admin.submit(page, 'value="by-record"', choice="by-record")
    shown = text_of(museum.admin.get(beside("gallery/visibility", done.headers["Location"])))
    assert "The decision was taken back" in shown
    assert 'value="by-record"' not in museum.admin.get(page).text


@pytest.mark.slow
def test_a_decision_counts_within_seconds(museum: Museum) -> None:
    assert not is_public(museum, "notes.txt", FISH)
    page = asset("notes.txt", FISH)
    museum.admin.submit(page, 'value="public"', choice="public", reason="for the atlas")
    eventually(lambda: is_public(museum, "notes.txt", FISH), "for the decision to count")
    museum.admin.submit(page, 'value="private"', choice="private", reason="a nest")
    eventually(lambda: not is_public(museum, "notes.txt", FISH), "for the decision to count")


def test_a_decision_needs_a_choice_a_reason_and_the_token_of_the_page(museum: Museum) -> None:
    page = asset("first.jpg")
    for fields in (
        {"choice": "private", "reason": " "},
        {"choice": "secret", "reason": "why not"},
        {"choice": "private", "reason": "x" * 1001},
        {"choice": "private", "reason": "a\0b"},
    ):
        assert museum.admin.submit(page, 'value="public"', **fields).status == 400
    named = {"collection": FISH, "name": "first.jpg", "choice": "private", "reason": "why not"}
    for token in ({}, {"csrf": "0" * 64}):
        assert museum.admin.post("gallery/visibility", {**named, **token}).status == 403
    assert museum.admin.get("gallery/visibility").status == 405
    assert museum.rows("visibility", "first.jpg") == 0


def test_nothing_is_decided_about_a_name_of_which_nothing_is_known(museum: Museum) -> None:
    page = museum.admin.get(asset("none.jpg"))
    assert (page.status, 'action="visibility"' in page.text) == (404, False)
    form = {"collection": FISH, "name": "none.jpg", "reason": "why not", "csrf": museum.admin.get("").token}
    for choice in ("private", "public", "by-record"):
        answer = museum.admin.post("gallery/visibility", {**form, "choice": choice})
        assert answer.status == 404
        assert "nothing was decided: look for it in the gallery" in text_of(answer)
    assert museum.rows("visibility", "none.jpg") == 0


def test_a_deleted_original_keeps_its_page_and_comes_back(museum: Museum) -> None:
    museum.put("lost.jpg", jpeg(), BIRDS)
    museum.delete("lost.jpg", BIRDS)
    museum.await_rows("history", "lost.jpg", 2)
    page = asset("lost.jpg", BIRDS)
    shown = museum.admin.get(page)
    assert shown.status == 200
    assert "This file is not stored now." in text_of(shown)
    for choice, reason in (("private", "a nest"), ("by-record", "")):
        assert museum.admin.submit(page, f'value="{choice}"', choice=choice, reason=reason).status == 303
    assert "deleted" in text_of(museum.admin.get("trash/")) and "lost.jpg" in text_of(museum.admin.get("trash/"))
    done = museum.admin.submit("trash/?name=lost.jpg", "Restore: lost.jpg")
    assert done.status == 303
    back = museum.admin.get(beside("trash/restore", done.headers["Location"]))
    assert "The version from the trash is stored again." in text_of(back)
    assert museum.admin.get(look("fileget", "lost.jpg", BIRDS)).body == jpeg()
    museum.await_rows("history", "lost.jpg", 3)
    assert "restored" in text_of(museum.admin.get(page))
    assert "No version of a file of this name" in text_of(museum.admin.get("trash/?name=lost.jpg"))


def test_a_replaced_version_takes_the_place_of_the_stored_one_only_where_that_is_said(museum: Museum) -> None:
    museum.put("twice.txt", b"one", FISH)
    museum.put("twice.txt", b"two", FISH)
    done = museum.admin.submit("trash/?name=twice.txt", "Restore: twice.txt")
    assert (done.status, "said=taken" in done.headers["Location"]) == (303, True)
    assert museum.admin.get(look("fileget", "twice.txt")).body == b"two"
    page = museum.admin.get(beside("trash/restore", done.headers["Location"]))
    assert "Nothing has changed" in text_of(page)
    museum.admin.submit(asset("twice.txt"), "Put in place of the stored one: twice.txt")
    assert museum.admin.get(look("fileget", "twice.txt")).body == b"one"
    listed = text_of(museum.admin.get("trash/?name=twice.txt"))
    assert "replaced" in listed


def test_a_version_is_restored_by_a_form_that_names_it(museum: Museum) -> None:
    museum.put("named.txt", b"one", FISH)
    museum.delete("named.txt", FISH)
    for fields in ({"id": "nonsense"}, {"name": "other.txt"}, {"id": "0" * 16 + "-00000000000-1-" + "0" * 16}):
        answer = museum.admin.submit("trash/?name=named.txt", "Restore: named.txt", **fields)
        assert answer.status in (400, 404)
    for form in ({}, {"csrf": "0" * 64}):
        assert museum.admin.post("trash/restore", form).status == 403
    assert museum.admin.get(look("fileget", "named.txt")).status == 404


def test_a_file_whose_name_is_hostile_is_restored(museum: Museum) -> None:
    name = f"b{HOSTILE}"
    museum.put(name, b"one", BIRDS)
    museum.delete(name, BIRDS)
    page = asset(name, BIRDS)
    done = museum.admin.submit(page, "trash/restore")
    assert done.status == 303
    assert museum.admin.get(beside("trash/restore", done.headers["Location"])).status == 200
    assert museum.admin.get(look("fileget", name, BIRDS)).body == b"one"
