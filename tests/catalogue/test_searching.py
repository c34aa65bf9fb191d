"""Searches of the catalogue, in every kind of database."""

import base64
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from sqlalchemy import URL, Connection, event, insert

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.describing import describe, undescribed, undescribed_after
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.finder import Finder
from was_daemon.catalogue.journal import Journal
from was_daemon.catalogue.records import record
from was_daemon.catalogue.schema import visibility
from was_daemon.catalogue.searching import find, goes_by_time
from was_daemon.model.digests import Digest
from was_daemon.model.facts import Facts
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.origins import UNKNOWN_ORIGIN, Origin
from was_daemon.model.search import Pattern
from was_daemon.model.search_texts import BadSearch, parse_search
from was_daemon.web.admin.assets import AssetQuery

async_test = pytest_twisted.ensureDeferred

COLLECTIONS = {"Fish": "fish", "casich": "fish", "Botany": "plants"}


A_JPEG = Facts("image/jpeg")


@attrs.frozen
class Kept:
    """An original of the tests."""

    collection: str
    name: str
    origin: Origin = UNKNOWN_ORIGIN
    facts: Facts = A_JPEG
    size: int = 1000


LONG = "/" + "deep/" * 250
KEPT = [
    Kept("fish", "a1.jpg", Origin("IMG_8032.JPG", "192.0.2.1", "/Users/joe/IMG_8032.JPG", "the type specimen")),
    Kept("fish", "A1.JPG", Origin("img_8032.jpg")),
    Kept(
        "fish", "Käfer.tif", Origin("100%_sure.tif"), Facts("image/tiff", 10, 20, 2, "2024-05-03 12:00:00", 12.1, -68.9)
    ),
    Kept("fish", "Kafer.tif", Origin("1000_sure.tif"), Facts("image/tiff", captured="2024-05")),
    Kept(
        "plants", "ßeta.png", Origin(file_path=f"{LONG}one.png"), Facts("image/png", captured="2023-12-31"), 2_000_000
    ),
    Kept(
        "plants",
        "b2.mp4",
        Origin(file_path=f"{LONG}two.png"),
        Facts("video/mp4", None, None, None, "2025", -17.0, 179.9),
    ),
    Kept("plants", "b3.bin", Origin(file_md5="f" * 32), Facts(None, None, None, None, None, -17.0, -179.9), 5),
]


def digest(number: int, kept: Kept) -> Digest:
    return Digest(kept.size, f"{number:064x}", f"{number:032x}")


def fill(connection: Connection) -> None:
    record(
        connection,
        [
            Event.new(
                EventKind.STORED,
                "main",
                AssetKey(kept.collection, Kind.ORIGINAL, kept.name),
                digest(number, kept),
                kept.origin,
                1_700_000_000.5 + number,
            )
            for number, kept in enumerate(KEPT)
        ],
    )
    facts = {kept.name: kept.facts for kept in KEPT}
    describe(connection, [(row, facts[row.key.name]) for row in undescribed(connection, ["main"], 100)])
    private = {"store": "main", "collection": "fish", "name": "A1.JPG", "is_private": True, "at": 1.0}
    connection.execute(insert(visibility).values(**private))


@pytest_twisted.async_yield_fixture
async def finder(url: URL, tmp_path: Path) -> AsyncIterator[Finder]:
    database = CatalogueDatabase(url)
    await database.run(fill)
    catalogue = Catalogue(database, Journal(tmp_path / "journal.sqlite"))
    yield Finder(catalogue, COLLECTIONS)
    await catalogue.close()


async def names(finder: Finder, collections: tuple[str, ...] = (), **texts: str) -> list[str]:
    search = parse_search(texts, finder.directories(collections))
    return [row["name"] async for row in finder.each(search)]


@async_test
async def test_all_that_is_known_of_an_original_is_told(finder: Finder) -> None:
    (row,) = [row async for row in finder.each(parse_search({"name": "käfer.tif"}))]
    number = KEPT.index(next(kept for kept in KEPT if kept.name == "Käfer.tif"))
    key = {"store": "main", "collection": "Fish", "name": "Käfer.tif"}
    content = {"size": 1000, "sha256": f"{number:064x}", "md5": f"{number:032x}", "stored": 1_700_000_000.5 + number}
    pixels = {"media_type": "image/tiff", "width": 10, "height": 20, "pages": 2}
    place = {"captured": "2024-05-03 12:00:00", "latitude": 12.1, "longitude": -68.9}
    origin = {"file_name": "100%_sure.tif", "file_path": None, "file_md5": None, "notes": None, "address": None}
    assert row == {**key, **content, **pixels, **place, **origin, "redacted": False}


ASKED: list[tuple[dict[str, str], list[str]]] = [
    ({"name": "a1.jpg"}, ["a1.jpg", "A1.JPG"]),
    ({"name": "KÄFER.TIF"}, ["Käfer.tif"]),
    ({"name": "Ka\u0308fer.tif"}, ["Käfer.tif"]),
    ({"name": "k?fer.*"}, ["Kafer.tif", "Käfer.tif"]),
    ({"name": "*.TIF"}, ["Kafer.tif", "Käfer.tif"]),
    ({"name": "b*"}, ["b2.mp4", "b3.bin"]),
    ({"name": "sseta*"}, ["ßeta.png"]),
    ({"name": "a1"}, []),
    ({"file_name": "img_8032.jpg"}, ["a1.jpg", "A1.JPG"]),
    ({"file_name": "100%*"}, ["Käfer.tif"]),
    ({"file_name": "*%_*"}, ["Käfer.tif"]),
    ({"file_path": "/users/joe/*"}, ["a1.jpg"]),
    ({"file_path": "*8032*"}, ["a1.jpg"]),
    ({"file_path": f"{LONG}one.png"}, ["ßeta.png"]),
    ({"file_path": f"{LONG}*"}, ["ßeta.png", "b2.mp4"]),
    ({"sha256": f"{3:064X}"}, ["Kafer.tif"]),
    ({"md5": f"{4:032x}"}, ["ßeta.png"]),
    ({"md5": "F" * 32}, ["b3.bin"]),
    ({"type": "image/tiff"}, ["Käfer.tif", "Kafer.tif"]),
    ({"type": "IMAGE/"}, ["a1.jpg", "A1.JPG", "ßeta.png", "Käfer.tif", "Kafer.tif"]),
    ({"captured": "2024-05"}, ["Kafer.tif", "Käfer.tif"]),
    ({"captured": "2024-05-03"}, ["Käfer.tif"]),
    ({"captured": "2023-12..2024-05-02"}, ["ßeta.png", "Kafer.tif"]),
    ({"captured": "2024-06.."}, ["b2.mp4"]),
    ({"captured": "..2023"}, ["ßeta.png"]),
    ({"size": "1 MB.."}, ["ßeta.png"]),
    ({"size": "..999"}, ["b3.bin"]),
    ({"size": "5"}, ["b3.bin"]),
    ({"stored": "2023-11"}, [kept.name for kept in KEPT]),
    ({"stored": "2024.."}, []),
    ({"near": "12.1,-68.9,1 m"}, ["Käfer.tif"]),
    ({"near": "12.2,-68.9,10 km"}, []),
    ({"near": "12.2,-68.9,12km"}, ["Käfer.tif"]),
    ({"near": "-17,180,20 km"}, ["b2.mp4", "b3.bin"]),
    ({"box": "-18,179,-16,-179"}, ["b2.mp4", "b3.bin"]),
    ({"box": "12,-69,13,-68"}, ["Käfer.tif"]),
    ({"near": "-90,0,9000km", "type": "video/"}, ["b2.mp4"]),
    ({"name": "*", "size": "2 MB", "captured": "2023"}, ["ßeta.png"]),
    ({}, [kept.name for kept in KEPT]),
]


@async_test
async def test_what_is_asked_is_found_in_its_order(finder: Finder) -> None:
    for texts, found in ASKED:
        assert (texts, await names(finder, **texts)) == (texts, found)


@async_test
async def test_collections_have_the_names_that_clients_use(finder: Finder) -> None:
    assert await names(finder, ("casich",), type="image/") == ["a1.jpg", "A1.JPG", "Käfer.tif", "Kafer.tif"]
    assert await names(finder, ("Botany",)) == ["ßeta.png", "b2.mp4", "b3.bin"]
    assert len(await names(finder, ("Botany", "Fish"))) == len(KEPT)
    with pytest.raises(BadSearch, match="Birds"):
        finder.directories(("Birds",))
    assert [row["collection"] async for row in finder.each(parse_search({"size": "5"}))] == ["Botany"]


@async_test
async def test_pages_of_one_row_tell_the_same(finder: Finder) -> None:
    for texts, found in ASKED:
        search, after = parse_search(texts), None
        paged: list[str] = []
        while True:
            page = await finder.page(search, after, 1)
            paged += [row["name"] for row in page.rows]
            after = page.cursor
            if not after:
                break
        assert (texts, paged) == (texts, found)


@async_test
async def test_backwards_pages_tell_the_last_first(finder: Finder) -> None:
    for texts, found in ASKED:
        search, after = parse_search(texts), None
        paged: list[str] = []
        while True:
            page = await finder.page(search, after, 2, backwards=True)
            paged += [row["name"] for row in page.rows]
            after = page.cursor
            if not after:
                break
        assert (texts, paged) == (texts, found[::-1])


@async_test
async def test_the_latest_of_a_collection_come_first_backwards(finder: Finder) -> None:
    search = parse_search({}, finder.directories(("Botany",)))
    page = await finder.page(search, None, 2, backwards=True)
    assert [row["name"] for row in page.rows] == ["b3.bin", "b2.mp4"]
    page = await finder.page(search, page.cursor, 2, backwards=True)
    assert ([row["name"] for row in page.rows], page.cursor) == (["ßeta.png"], None)


@pytest.mark.parametrize(
    ("texts", "is_by_time"),
    [
        ({}, True),
        ({"sha256": "0" * 64}, True),
        ({"captured": "2024"}, True),
        ({"stored": "2024"}, True),
        ({"name": "a*"}, False),
        ({"size": "5", "type": "image/"}, False),
    ],
)
def test_originals_come_in_the_order_of_time_unless_another_is_asked_for(
    texts: dict[str, str], is_by_time: bool
) -> None:
    assert goes_by_time(parse_search(texts)) is is_by_time
    assert goes_by_time(parse_search(texts, ("fish",))) is is_by_time


@async_test
async def test_collections_are_those_that_are_configured_or_else_those_in_the_catalogue(finder: Finder) -> None:
    assert await finder.collections() == ["Fish", "casich", "Botany"]
    assert await Finder(finder._catalogue, {}).collections() == []
    assert await Finder(finder._catalogue, None).collections() == ["fish", "plants"]


@async_test
async def test_a_decision_that_an_original_is_private_is_told(finder: Finder) -> None:
    rows = [row async for row in finder.each(parse_search({"name": "a1.jpg"}))]
    assert [(row["name"], row["redacted"]) for row in rows] == [("a1.jpg", False), ("A1.JPG", True)]


@async_test
async def test_the_history_of_a_name_goes_on_after_its_end(url: URL, tmp_path: Path) -> None:
    database = CatalogueDatabase(url)
    key = AssetKey("fish", Kind.ORIGINAL, "a.jpg")
    other = AssetKey("plants", Kind.ORIGINAL, "a.jpg")
    events = [
        Event.new(EventKind.DELETED, "main", key, at=3.0),
        Event.new(EventKind.STORED, "main", key, Digest(1, "1" * 64), Origin("fish.jpg", "192.0.2.9"), 1.0),
        Event.new(EventKind.REPLACED, "main", key, Digest(2, "2" * 64), at=2.0),
        Event.new(EventKind.STORED, "main", other, Digest(3, "3" * 64), at=2.0),
        Event.new(EventKind.STORED, "main", AssetKey("fish", Kind.ORIGINAL, "A.JPG"), Digest(3, "3" * 64), at=2.0),
    ]
    await database.run(record, events)
    catalogue = Catalogue(database, Journal(tmp_path / "journal.sqlite"))
    finder = Finder(catalogue, COLLECTIONS)
    told = [(row["kind"], row["at"], row["size"], row["collection"]) async for row in finder.each_event("a.jpg", None)]
    assert told == [
        ("stored", 1.0, 1, "Fish"),
        ("replaced", 2.0, 2, "Fish"),
        ("stored", 2.0, 3, "Botany"),
        ("deleted", 3.0, None, "Fish"),
    ]
    page = await finder.history("a.jpg", ("fish",), None, 2)
    assert [row["kind"] for row in page.rows] == ["stored", "replaced"]
    page = await finder.history("a.jpg", ("fish",), page.cursor, 2)
    assert ([row["kind"] for row in page.rows], page.cursor) == (["deleted"], None)
    assert (page.rows[0]["file_name"], page.rows[0]["address"]) == (None, None)
    await catalogue.close()


@pytest.mark.parametrize(
    "texts",
    [
        {"colour": "red"},
        {"name": ""},
        {"name": "x" * 3000},
        {"sha256": "12"},
        {"md5": "g" * 32},
        {"type": ""},
        {"captured": "yesterday"},
        {"captured": "2024-13"},
        {"captured": ".."},
        {"stored": "2024-02-30"},
        {"stored": "9999"},
        {"size": "big"},
        {"near": "12,5"},
        {"near": "95,5,1 km"},
        {"near": "12,5,1 mile"},
        {"near": "nan,5,1 km"},
        {"box": "1,2,3"},
        {"box": "5,0,1,0"},
        {"box": "0,0,1,1", "near": "0,0,1 km"},
    ],
)
def test_what_cannot_be_understood_says_how_to_write_it(texts: dict[str, Any]) -> None:
    with pytest.raises(BadSearch, match=next(iter(texts))):
        parse_search(texts)


@pytest.mark.parametrize(
    ("pattern", "text", "is_like"),
    [
        ("a*c", "abc", True),
        ("a*c", "ac", True),
        ("a*c", "acb", False),
        ("ab*ba", "aba", False),
        ("*b*", "abc", True),
        ("a?c*", "abc", True),
        ("*?b", "b", False),
        ("*a?", "xbay", True),
        ("*a?", "xaa", True),
        ("**", "", True),
        ("a.c", "abc", False),
        ("*[a]*", "x[a]y", True),
        ("*a" * 500, "a" * 1000 + "b", False),
    ],
)
def test_wildcards(pattern: str, text: str, is_like: bool) -> None:
    assert Pattern(pattern).matches(text) == is_like


@async_test
async def test_every_page_is_read_by_an_index_in_its_order(tmp_path: Path) -> None:
    database = CatalogueDatabase(URL.create("sqlite", database=str(tmp_path / "catalogue.sqlite")))
    statements: list[tuple[str, Any]] = []

    def plans(connection: Connection) -> dict[str, list[str]]:
        event.listen(connection, "before_cursor_execute", lambda *call: statements.append((call[2], call[3])))
        searches = [*(parse_search(texts) for texts, _ in ASKED), parse_search({"captured": "2024"}, ("fish",))]
        for search in [*searches, parse_search({}, ("fish",))]:
            for after in ("", 5), (0, 5):
                with suppress(BadSearch):
                    find(connection, search, after, 10)
        undescribed(connection, ["main"], 10)
        undescribed_after(connection, "main", ["fish"], (0, 5), 10)
        return {
            statement: [
                row[3]
                for row in connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
            ]
            for statement, values in list(statements)
        }

    for statement, steps in (await database.read(plans)).items():
        for step in steps:
            assert not step.startswith("SCAN assets") or "INDEX" in step or "ORDER BY assets.id" in statement, steps
            # Of a checksum there are few.
            assert "TEMP B-TREE FOR ORDER BY" not in step or "sha256 = ?" in statement or "UNION" in statement, steps
    await database.close()


def cursor(value: str) -> str:
    return base64.urlsafe_b64encode(value.encode()).decode()


WRONG = [
    f"size={'9' * 400}",
    f"size=1..{10**19}",
    f"limit={'9' * 5000}",
    "name=%00",
    "type=image%00",
    *(
        f"cursor={cursor(each)}&stored=2020.."
        for each in ('["x", 1]', "[1, true]", f"[1, {1 << 63}]", f"[{1 << 63}, 1]")
    ),
    *(f"cursor={cursor(each)}&name=*" for each in (r'["\u0000", 1]', r'["\ud800", 1]', "[1, 1]", "[" * 5000, "7")),
]


@async_test
async def test_questions_that_a_database_cannot_answer_are_refused_in_words(finder: Finder) -> None:
    for query in WRONG:
        with pytest.raises(BadSearch):
            await AssetQuery(query.encode()).assets(finder)
    for query in ("name=%00", "name=a.jpg&cursor=" + cursor('["x", 1]')):
        with pytest.raises(BadSearch):
            await AssetQuery(query.encode()).history(finder)
