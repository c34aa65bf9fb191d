"""The settings of a REST store: what is wrong is said before the daemon starts."""

import hashlib
import re
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.paths import ROOT
from tests.support.scripted_dam import SETTINGS
from was_daemon.config.paths import PathResolver
from was_daemon.config.structure import Mistakes, structure
from was_daemon.model.errors import StoreFailed
from was_daemon.model.keys import Kind
from was_daemon.stores.rest.matching import Matching
from was_daemon.stores.rest.options import RestOptions
from was_daemon.stores.rest.pages import next_link
from was_daemon.stores.rest.templates import RequestTemplate, Values
from was_daemon.stores.rest.values import MISSING, Checksum, Condition, Pointer
from was_daemon.testing.contract import LEGAL_NAMES, original

PLAIN = {
    "url": "https://dam.example.org",
    "get": "/{path}",
    "put": "/{path}",
    "delete": "/{path}",
    "list": "/?after={after}",
    "match": {"": "{path}"},
}
"""A DAM with addresses made of names."""

BY_ID = SETTINGS | {"url": "https://dam.example.org/api"}


def mistakes_in(table: dict[str, Any]) -> list[str]:
    """The mistakes in a table; settings that are None are left out."""
    found = Mistakes()
    known = {name: value for name, value in table.items() if value is not None}
    structure(known, RestOptions, "stores.main", PathResolver(Path("/nowhere"), {}), found)
    return found.lines


@pytest.mark.parametrize("table", [PLAIN, BY_ID], ids=["plain", "by id"])
def test_what_is_right_has_no_mistakes(table: dict[str, Any]) -> None:
    assert mistakes_in(table) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"get": "files/{path}"}, "stores.main.get: expected a request"),
        ({"get": "FETCH /files"}, "stores.main.get: expected a request"),
        ({"get": "/files/{Path}"}, "brace without a placeholder"),
        ({"get": "/files/{path"}, "brace without a placeholder"),
        ({"get": "/files#a"}, "or a #"),
        ({"get": "/files/{nmae}"}, "get: there is no {nmae} here, but "),
        ({"get": "/files/{prefix}"}, "there is no {prefix} here"),
        ({"get": "POST /files/{path}"}, "method has to be GET"),
        ({"get": "/files/{id}"}, "{id} needs the pointer id"),
        ({"get": "{/href}"}, "search or info is needed"),
        ({"get": "http://dam.example.org/{path}"}, "not in origins"),
        ({"get": "https://elsewhere.example.org/{path}"}, "not in origins"),
        ({"list": "/?q={/next}"}, "no answer before it"),
        ({"list": "/all"}, "is needed to get all pages"),
        ({"list": "/?p={page}&o={offset}"}, "only one of"),
        ({"list": "/?c={cursor}"}, "{cursor} needs the pointer next"),
        ({"list": "/?p={page}", "next": "none"}, 'next = "none" goes without {page}'),
        ({"next": "nothing"}, 'expected a JSON pointer such as "/asset/id", got "nothing"'),
        ({"items": "results"}, "expected a JSON pointer"),
        ({"items": "/a~2b"}, "expected a JSON pointer"),
        ({"match": {}}, "one value needs {name} or {path} once"),
        ({"match": {"/a": "{name}", "/b": "{path}"}}, "one value needs {name} or {path} once"),
        ({"match": {"/a": "{name}{name}"}}, "one value needs {name} or {path} once"),
        ({"match": {"/a": "{name} {id}"}}, "match: there is no {id} here"),
        ({"match": {"a": "{name}"}}, "expected a JSON pointer"),
        ({"missing": ["not found"]}, "stores.main.missing[0]: expected a condition"),
        ({"failed": [""]}, "expected a condition"),
        ({"checksum": "crc32 /sum"}, "expected md5, sha1, sha256 or sha512"),
        ({"checksum": "md5 /sum"}, "checksum is found in answers to search or info"),
        ({"version": "/v"}, "found in answers to search or info"),
        ({"info": "/info/{path}", "size": "/size"}, "version is needed"),
        ({"put": None, "commit": "/done"}, "commit needs put"),
        ({"put": "{/put_to}"}, "put: a pointer needs begin"),
        ({"put": "{location}"}, "put: {location} needs begin"),
        ({"put": 'PUT /x {"name": "{name}"}'}, "its body is the file"),
        ({"begin": "POST /x {name: 1}"}, "the body in"),
        ({"begin": "POST /x name"}, "neither JSON nor fields"),
        ({"put_form": {"title": "{name}"}}, "put_form: one value has to be the file"),
        ({"put_form": {"a": "{file}", "b": "{file}"}}, "put_form: one value has to be the file"),
        ({"replace": "/x"}, "replace needs search"),
        ({"headers": {"X Key": "1"}}, "is no name of a header"),
        ({"headers": {"X-Key": "{key}"}}, "headers.X-Key: there is no {key} here"),
        ({"secrets": {"name": "/etc/key"}}, "secrets.name: expected another name"),
        ({"secrets": {"Key": "/etc/key"}}, "secrets.Key: expected another name"),
        (
            {"secrets": {"key": "/etc/key"}, "get": "/{key}/{path}"},
            "a secret in the path of an address would be logged",
        ),
        ({"secrets": {"key": "/etc/key"}, "url": "http://dam.example.org"}, "needs allow_http"),
        ({"user": "specify"}, "user goes with password_file"),
        ({"origins": ["https://a.example.org/path"]}, "without a path"),
        ({"url": "dam.example.org"}, "stores.main.url"),
        ({"url": "https://user:password@dam.example.org"}, "the login has settings of its own"),
        ({"duplicates": "oldest"}, 'expected "newest" or "refuse"'),
        ({"get": None}, "stores.main.get: is missing"),
        ({"gte": "/x"}, "stores.main.gte: unknown key"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else None,
)
def test_a_mistake_is_told_with_its_setting(changes: dict[str, Any], told: str) -> None:
    (line,) = mistakes_in(PLAIN | changes)
    assert told in line


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"id": None}, "{id} needs the pointer id"),
        ({"delete": None}, "put needs delete"),
        ({"modified": None}, "put needs the pointer modified"),
        ({"replace": "/files/{id}"}, "version is needed"),
        ({"size": None, "version": "/v"}, "version needs size"),
        ({"search": "/search?q={name}", "next": None, "list": "/?p={page}"}, "search: {cursor}, {page}"),
    ],
)
def test_a_dam_with_ids_needs_more(changes: dict[str, Any], told: str) -> None:
    (line,) = mistakes_in(BY_ID | changes)
    assert told in line


def test_the_guide_has_every_setting() -> None:
    guide = (ROOT / "docs" / "rest.md").read_text("utf-8")
    table = guide.partition("## All settings")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \|([^|]*)\|", table, re.MULTILINE)
    told = {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}
    fields = {field.name: field for field in attrs.fields(RestOptions)}
    assert told.keys() == fields.keys()
    required = {name for name, field in fields.items() if field.default is attrs.NOTHING}
    assert {name for name, default in told.items() if default.strip() == "required"} == required


def test_a_literal_secret_is_not_quoted_in_a_mistake() -> None:
    (line,) = mistakes_in(PLAIN | {"headers": {"Authorization": "Bearer sesame-street {oops}"}})
    assert "sesame-street" not in line


# -- JSON pointers, of RFC 6901, section 5 -----------------------------------------------------------------------------

DOCUMENT: dict[str, Any] = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", DOCUMENT),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
        ("/foo/2", MISSING),
        ("/foo/-", MISSING),
        ("/foo/01", MISSING),
        ("/foo/-1", MISSING),
        ("/foo/0/0", MISSING),
        ("/nothing", MISSING),
        ("/foo/\u0661", MISSING),
    ],
)
def test_pointers_find_what_the_rfc_says(pointer: str, value: Any) -> None:
    assert Pointer(pointer).find(DOCUMENT) == value


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-11-30T12:00:00Z", 1796040000),
        ("2026-11-30T13:00:00+01:00", 1796040000),
        ("2026-11-30 12:00:00", 1796040000),
        ("2026-11-30 12:00:00.5", 1796040000.5),
        ("Mon, 30 Nov 2026 12:00:00 GMT", 1796040000),
        (1796040000, 1796040000),
        (1796040000.5, 1796040000.5),
        ("1796040000", 1796040000),
        (1796040000500, 1796040000.5),
        (None, 0),
    ],
)
def test_times_are_read_in_all_forms(value: Any, seconds: float) -> None:
    assert Pointer("/t").time_in({"t": value}) == seconds


@pytest.mark.parametrize(
    "value", ["", "2026:11:30 12:00:00", "30.11.2026", True, {}, -1, pytest.param(10**400, id="huge"), "99999-01-01"]
)
def test_what_is_no_time_is_an_error(value: Any) -> None:
    with pytest.raises(StoreFailed):
        Pointer("/t").time_in({"t": value})


@pytest.mark.parametrize(
    ("condition", "status", "document", "holds"),
    [
        ("404", 404, MISSING, True),
        ("404", 200, {}, False),
        ("/error", 200, {"error": {"code": 1}}, True),
        ("/error", 200, {"error": None}, False),
        ("/error", 200, {"error": ""}, False),
        ("/error", 200, {}, False),
        ("/stat = fail", 200, {"stat": "fail"}, True),
        ("/stat=fail", 500, {"stat": "fail"}, True),
        ("/stat = fail", 200, {"stat": "failure"}, False),
        ("/stat = fail", 200, MISSING, False),
        ("/ok = false", 200, {"ok": False}, True),
        ("/total = 0", 200, {"total": 0}, True),
        ("/total = 0", 200, {"total": False}, False),
        ("/asset = null", 200, {"asset": None}, True),
        ("/asset = null", 200, {}, False),
        ("400 /code = not found", 400, {"code": "not found"}, True),
        ("400 /code = not found", 200, {"code": "not found"}, False),
    ],
)
def test_conditions(condition: str, status: int, document: Any, holds: bool) -> None:
    assert Condition.parse(condition).holds(status, document) == holds


@pytest.mark.parametrize("told", ["{hex}", "{HEX}", "{base64}", "sha256:{hex}", "SHA-256:{hex}"])
def test_checksums_are_understood_in_all_forms(told: str) -> None:
    checksum = Checksum.parse("sha256 /sum")
    digest = hashlib.sha256(b"bytes").digest()
    text = told.format(hex=digest.hex(), HEX=digest.hex().upper(), base64=b64encode(digest).decode())
    assert checksum.is_told({"sum": text}, digest)
    assert not checksum.is_told({"sum": text}, hashlib.sha256(b"others").digest())


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just(10**400),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", ""]), each, max_size=3),
)


@given(_JSON, st.sampled_from(["", "/a", "/a/b", "/0", "/a/0/b", "/"]))
def test_no_document_is_anything_but_understood_or_refused(document: Any, pointer: str) -> None:
    place = Pointer(pointer)
    for read in (place.text_in, place.size_in, place.time_in):
        with suppress(StoreFailed):
            read(document)
    matching = Matching.of({pointer: "{name}", "/b": "{folder}"} if pointer != "/b" else {pointer: "{name}"})
    matching.key_of(document, "Fish", Kind.ORIGINAL)
    for condition in ("/a", "/a/b = 1", "200 /a = x"):
        Condition.parse(condition).holds(200, document)


# -- names and pages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("match", [{"": "{path}"}, {"/n": "{name}"}, {"/n": "x {name}.y", "/f": "in {folder}"}])
@pytest.mark.parametrize("name", LEGAL_NAMES)
def test_a_name_is_told_from_an_item_as_it_was_put_into_it(match: dict[str, str], name: str) -> None:
    matching = Matching.of(match)
    path = f"Fish/originals/{name}"
    item = path if "" in match else {"n": match["/n"].replace("{name}", name), "f": "in Fish/originals"}
    assert matching.key_of(item, "Fish", Kind.ORIGINAL) == original(name, "Fish")
    assert matching.key_of(item, "Fish", Kind.THUMBNAIL) is None or "/f" not in match


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ('<https://a/?p=2>; rel="next"', "https://a/?p=2"),
        ("<?p=2>;rel=next", "?p=2"),
        ('<?p=1>; rel="prev", <?p=3>; title="x, <y>; z"; rel="last next"', "?p=3"),
        ('<?p=1>; rel="nextish"', None),
        ('<?p=1>; rel="prev"', None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_the_next_page_in_a_header(header: str, address: str | None) -> None:
    assert next_link(header) == address


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_value_never_leaves_its_place_in_an_address(value: str) -> None:
    template = RequestTemplate.parse("/a/{id}/b?c={name}&d=e")
    try:
        url = template.fill(Values({"id": value, "name": value}), "https://dam.example.org").url
    except StoreFailed:
        assert value in (".", "..")
        return
    path, _, query = url.partition("?")
    assert path.count("/") == 5
    assert query.count("&") == query.count("=") - 1 == 1
