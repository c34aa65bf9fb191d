"""Every asset has a value of its own in the field with the names, and ResourceSpace leaves it as it is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.resourcespace_search import has_phrase
from was_daemon.model.errors import BadName
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.stores.resourcespace.names import adopted_name, key_of, phrase, value_of
from was_daemon.testing.contract import LEGAL_NAMES, original

SIGNS = st.sampled_from([*"aZ09.%2F~\"' /-_é*@!:;,#?", "%2F", "%25", ".jpg", ".noext", ".trash", "e\u0301"])
TEXTS = st.lists(SIGNS, min_size=1, max_size=12).map("".join)


@given(TEXTS, TEXTS | st.just(""), st.sampled_from([Kind.ORIGINAL, Kind.TRASH]))
def test_the_asset_is_found_again_by_the_value_of_its_field(name: str, collection: str, kind: Kind) -> None:
    try:
        key = AssetKey(collection.strip("/"), kind, name.replace("/", ""))
    except BadName:
        return
    value = value_of(key)
    assert key_of(value) == key
    assert value.strip() == value
    assert not set(value) & set('/"~')
    assert re.search(r"\.[A-Za-z0-9]{1,10}$", value)
    assert has_phrase(value, phrase("field", value).removeprefix('"field:').removesuffix('"'))


@given(TEXTS)
def test_a_value_that_we_did_not_write_is_no_asset_or_the_one_that_has_it(value: str) -> None:
    key = key_of(value)
    assert key is None or value_of(key) == value


@pytest.mark.parametrize("name", LEGAL_NAMES)
def test_usual_names_are_their_own_values(name: str) -> None:
    is_usual = re.fullmatch(r"\S[^\"~/]*\.[A-Za-z0-9]{1,10}", name)
    assert value_of(original(name)) == (name if is_usual and "%2" not in name.upper() else value_of(original(name)))


def test_collections_and_the_trash_are_part_of_the_value() -> None:
    assert value_of(original("a.jpg", "Fish/Types")) == "Fish%2FTypes%2Fa.jpg"
    assert value_of(AssetKey("Fish", Kind.TRASH, "1.file")) == "Fish%2F.trash%2F1.file"
    assert value_of(original("no extension")) == "no extension.noext"


def test_signs_that_mean_something_in_a_search_are_left_out() -> None:
    assert phrase("f", '-rf "x" @@5 !y *:z -w - v.jpg') == '"f:rf x 5 y z w v.jpg"'
    assert len(phrase("f", "word " * 200)) < 420


@pytest.mark.parametrize(
    ("value", "extension", "name"),
    [("UF 1", "jpg", "UF 1.jpg"), ("a.JPG", "jpg", "a.JPG"), ("UF.4", "tif", "UF.4.tif"), ("a.jpg", "", "a.jpg")],
)
def test_an_adopted_resource_is_called_by_its_value_and_extension(value: str, extension: str, name: str) -> None:
    assert adopted_name(value, extension) == name
