"""Collections (contract, section 4): which there are, and where each one lives."""

import pytest

from was_daemon.library.collections import Collections, Place
from was_daemon.model.errors import BadName, UnknownCollection
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.memory import MemoryStore

MAIN, NAS, FAST = MemoryStore(), MemoryStore(), MemoryStore()

SINGLE = Collections(Place("", MAIN, FAST))
AUTO = Collections(Place("", MAIN, FAST), auto=True)
MAP = Collections(
    Place("", MAIN, MAIN),
    {
        "KUFishvoucher": Place("Ichthyology", MAIN, FAST),
        "KUHerbarium": Place("Botany", NAS, NAS),
        "KU Fisch-Präparate": Place("Ichthyology/Slides", MAIN, FAST),
        "KUEverything": Place("", MAIN, MAIN),
    },
)


def original(directory: str, name: str = "a.jpg") -> AssetKey:
    return AssetKey(directory, Kind.ORIGINAL, name)


@pytest.mark.parametrize("collection", [None, "", "KUFishvoucher", "../etc", ".hidden", "a/b", "\0"])
def test_with_no_collections_configured_the_collection_is_ignored(collection: str | None) -> None:
    assert SINGLE.original(collection, "a.jpg") == original("")


@pytest.mark.parametrize(
    ("collection", "directory"),
    [
        ("KUFishvoucher", "Ichthyology"),
        ("KUHerbarium", "Botany"),
        ("KU Fisch-Präparate", "Ichthyology/Slides"),
        ("KUEverything", ""),
    ],
)
def test_a_map_leads_to_the_directory(collection: str, directory: str) -> None:
    assert MAP.original(collection, "a.jpg") == original(directory)


@pytest.mark.parametrize("collection", [None, "", "Ichthyology", "kufishvoucher", "KUFishvoucher ", "..", "/", "\0"])
def test_a_map_knows_no_other_collection(collection: str | None) -> None:
    with pytest.raises(UnknownCollection):
        MAP.original(collection, "a.jpg")


@pytest.mark.parametrize("collection", ["Fish", "Käfer", "two words", "KUFishvoucher"])
def test_with_auto_any_acceptable_name_is_its_own_directory(collection: str) -> None:
    assert AUTO.original(collection, "a.jpg") == original(collection)


@pytest.mark.parametrize(
    "collection",
    [None, "", ".", "..", "a/b", "/etc", ".hidden", "a\\b", "a\0", "x" * 256, "\ud800", "originals", "thumbnails"],
)
def test_with_auto_any_other_name_is_unknown(collection: str | None) -> None:
    with pytest.raises(UnknownCollection):
        AUTO.original(collection, "a.jpg")


@pytest.mark.parametrize("collections", [SINGLE, AUTO, MAP], ids=["single", "auto", "map"])
@pytest.mark.parametrize("name", ["", "..", "../a.jpg", "/a.jpg", ".a.jpg", "a\n.jpg"])
def test_a_bad_name_is_bad_in_every_collection(collections: Collections, name: str) -> None:
    with pytest.raises(BadName):
        collections.original("KUFishvoucher", name)


@pytest.mark.parametrize("collections", [AUTO, MAP], ids=["auto", "map"])
def test_the_message_names_neither_directory_nor_collection(collections: Collections) -> None:
    with pytest.raises(UnknownCollection) as caught:
        collections.original("../secret", "a.jpg")
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_every_key_lives_where_its_collection_is_configured() -> None:
    assert SINGLE.place(original("")).store is MAIN
    assert SINGLE.place(original("")).thumbnails is FAST
    assert AUTO.place(original("Fish")).store is MAIN
    assert MAP.place(original("Ichthyology")) == Place("Ichthyology", MAIN, FAST)
    assert MAP.place(original("Botany")).store is NAS
    assert MAP.place(original("Botany").thumbnail(123)).thumbnails is NAS
    assert MAP.place(original("")).store is MAIN


@pytest.mark.parametrize(
    ("collections", "directory"),
    [(SINGLE, "Fish"), (AUTO, ""), (MAP, "KUFishvoucher"), (MAP, "Ichthyology/Other"), (MAP, "Zoology")],
)
def test_a_key_of_no_collection_lives_nowhere(collections: Collections, directory: str) -> None:
    with pytest.raises(UnknownCollection):
        collections.place(original(directory))
