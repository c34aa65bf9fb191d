"""Identifiers name an asset and a page, and capabilities let those look who have the address."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was_daemon.model import tokens
from was_daemon.model.errors import AssetNotFound
from was_daemon.web.capabilities import Capability, Purpose, grant, is_capability, problem_of
from was_daemon.web.iiif.identifiers import Identifier, parse_identifier

KEY, OTHER_KEY = "a key", "another key"
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(st.one_of(st.none(), NAMES), NAMES, st.integers(1, 4096), st.booleans())
def test_an_identifier_is_read_as_it_was_written(
    collection: str | None, name: str, page: int, has_capability: bool
) -> None:
    capability = grant(KEY, collection, name, 1_800_000_000) if has_capability else None
    identifier = Identifier(collection, name, page, capability)
    text = str(identifier)
    assert text.isascii() and not set(text) & set("/\\?#% ") - {"%"}
    assert "%2F" not in text and "%25" not in text and "%5C" not in text, "proxies change these"
    assert parse_identifier(unquote(text)) == identifier


@pytest.mark.parametrize(
    ("text", "collection", "name", "page"),
    [
        ("sp6123.att.jpg", None, "sp6123.att.jpg", 1),
        ("KUFish:a.tif;2", "KUFish", "a.tif", 2),
        ("a~3Bb.jpg", None, "a;b.jpg", 1),
        ("a.tif;1", None, "a.tif", 1),
    ],
)
def test_identifiers_are_readable(text: str, collection: str | None, name: str, page: int) -> None:
    identifier = parse_identifier(text)
    assert (identifier.collection, identifier.name, identifier.page) == (collection, name, page)


@pytest.mark.parametrize(
    "text", ["a;0", "a;x", "a;2;3", "a;4097", "a;", "a;;", "a:b:c", "a;1800000000.short", "a;1800000000." + "é" * 22]
)
def test_others_are_none(text: str) -> None:
    with pytest.raises(AssetNotFound):
        parse_identifier(text)


def test_a_capability_is_for_one_asset_until_a_time() -> None:
    capability = grant(KEY, "Fish", "a.jpg", 1000)
    assert problem_of(capability, KEY, "Fish", "a.jpg", 999) is None
    assert problem_of(capability, KEY, "Fish", "a.jpg", 1001) == "the address has expired"
    later = Capability(2000, capability.mac)
    for wrong in (
        (capability, OTHER_KEY, "Fish", "a.jpg"),
        (capability, KEY, "Birds", "a.jpg"),
        (capability, KEY, "Fish", "b.jpg"),
        (capability, KEY, None, "a.jpg"),
        (later, KEY, "Fish", "a.jpg"),
    ):
        assert problem_of(*wrong, 999) == "the address is not signed with the server's key"


def test_a_capability_is_no_token_and_a_token_no_capability() -> None:
    capability = grant(KEY, None, "a.jpg", 1000)
    for token in (str(capability), f"{capability.mac}:1000", f"{capability.mac}00000000000:1000"):
        assert tokens.verify(KEY, "a.jpg", token, 1000, 0) is not None
    token = tokens.sign(KEY, "a.jpg", 1000)
    with pytest.raises(AssetNotFound):
        Capability.parse(token)


def test_what_lets_look_does_not_let_read_and_the_other_way_round() -> None:
    for purpose, other in ((Purpose.LOOK, Purpose.READ), (Purpose.READ, Purpose.LOOK)):
        capability = grant(KEY, None, "a.jpg", 1000, purpose)
        assert problem_of(capability, KEY, None, "a.jpg", 999, purpose) is None
        assert problem_of(capability, KEY, None, "a.jpg", 999, other)


def test_a_capability_and_a_token_differ_in_form() -> None:
    assert is_capability(str(grant(KEY, None, "a.jpg", 1000)))
    assert not is_capability(tokens.sign(KEY, "a.jpg", 1000))


def test_a_capability_shows_no_part_of_its_signature_in_a_log() -> None:
    capability = grant(KEY, None, "a.jpg", 1000)
    assert capability.mac not in repr(capability)
