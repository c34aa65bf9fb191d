"""Names and where they lead (contract, section 4): nothing that comes from outside leaves the layout."""

from posixpath import normpath, splitext

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from was_daemon.model.errors import AssetNotFound, BadName
from was_daemon.model.keys import MAX_NAME_BYTES, PYRAMID_NAME, AssetKey, Kind, Layout, check_name

patiently = settings(deadline=None)

KINDS = {kind.value for kind in Kind}

anything = st.text(st.characters(exclude_categories=())) | st.text("./\\~_ab\0\n\x7f\x85\ud800é%", max_size=12)
"""Any string that Python can hold, lone surrogates included, and more of those that mean something to a file system."""

segments = st.text("abAé_.~ 0o", min_size=1, max_size=6).filter(
    lambda text: not text.startswith(".")
) | st.sampled_from(["originals", "thumbnails", "ab.jpg", "a.jpg", "ab..jpg", "abc.jpg", "or", "ig", "a_", "__"])
directories = st.lists(segments.filter(lambda name: name not in KINDS), max_size=2).map("/".join)
keys = st.builds(AssetKey, directories, st.sampled_from(Kind), segments)
layouts = st.sampled_from(Layout)
scales = st.integers(1, 10**6)

DISPLAYABLE = [".jpg", ".jpeg", ".JPG", ".png", ".PNG", ".gif", ".webp", ".bmp"]
displayable = st.builds(str.__add__, segments, st.sampled_from(DISPLAYABLE))

BAD_NAMES = {
    "empty": "",
    "the directory itself": ".",
    "the directory above": "..",
    "hidden": ".htaccess",
    "staging": ".staging",
    "three dots": "...",
    "absolute": "/etc/passwd",
    "upwards": "../x.jpg",
    "downwards": "a/b.jpg",
    "upwards in the middle": "a/../../b.jpg",
    "a slash at the end": "a/",
    "a backslash": "a\\b.jpg",
    "upwards on Windows": "..\\x.jpg",
    "NUL": "a.jpg\0.png",
    "a line break": "a\n.jpg",
    "a carriage return": "a\r.jpg",
    "a tab": "a\t.jpg",
    "escape": "a\x1b[0m.jpg",
    "delete": "a\x7f.jpg",
    "a control character of Latin-1": "a\x85.jpg",
    "a lone surrogate": "a\ud800.jpg",
    "256 bytes": "x" * 256,
    "256 bytes in 128 letters": "é" * 128,
}

GOOD_NAMES = [
    "a",
    "4ee6b5a6-6f0c-4b44-9d53-8c9c3f4d9f1e.jpg",
    "4ee6b5a6-6f0c-4b44-9d53-8c9c3f4d9f1e.JPG",
    "4ee6b5a6-6f0c-4b44-9d53-8c9c3f4d9f1e",
    "sp6123456789.att.jpg",
    "two words.jpg",
    "Käfer.jpg",
    "標本.tiff",
    "🐟.png",
    "a..b",
    "ends with dots..",
    "100%2f.jpg",
    "x" * 255,
    "é" * 127 + "x",
]


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())
def test_a_bad_name_makes_no_key(name: str) -> None:
    with pytest.raises(BadName) as caught:
        AssetKey("", Kind.ORIGINAL, name)
    assert str(caught.value).isprintable()
    assert len(name) < 3 or name not in str(caught.value)
    with pytest.raises(BadName):
        check_name(name)


def test_a_collection_may_be_the_root_or_a_path() -> None:
    assert Layout.FLAT.path(AssetKey("", Kind.ORIGINAL, "a.jpg")) == "originals/a.jpg"
    assert Layout.FLAT.path(AssetKey("KU/Fish", Kind.ORIGINAL, "a.jpg")) == "KU/Fish/originals/a.jpg"


@pytest.mark.parametrize("directory", ["/", "a/", "/a", "a//b", "a/../b", "a/./b", "a/.b", "a\\b", "a/b\0"])
def test_a_bad_directory_makes_no_key(directory: str) -> None:
    with pytest.raises(BadName):
        AssetKey(directory, Kind.ORIGINAL, "a.jpg")


@pytest.mark.parametrize("directory", ["originals", "thumbnails", "Fish/originals", "thumbnails/Fish"])
def test_a_directory_called_like_a_kind_of_assets_makes_no_key(directory: str) -> None:
    with pytest.raises(BadName):
        AssetKey(directory, Kind.ORIGINAL, "a.jpg")


@pytest.mark.parametrize("name", GOOD_NAMES)
@pytest.mark.parametrize("layout", Layout)
def test_good_names_are_kept_as_they_are(name: str, layout: Layout) -> None:
    key = AssetKey("", Kind.ORIGINAL, name)
    assert layout.path(key).rpartition("/")[2] == name
    assert layout.parse(layout.path(key)) == key


def test_the_flat_layout_is_the_official_server_s() -> None:
    key = AssetKey("Ichthyology", Kind.ORIGINAL, "sp6123.att.jpg")
    assert Layout.FLAT.path(key) == "Ichthyology/originals/sp6123.att.jpg"
    assert Layout.FLAT.path(key.thumbnail(123)) == "Ichthyology/thumbnails/sp6123.att_123.jpg"


def test_the_sharded_layout_has_two_levels_of_two_letters() -> None:
    key = AssetKey("Ichthyology", Kind.ORIGINAL, "4ee6b5a6.jpg")
    assert Layout.SHARDED.path(key) == "Ichthyology/originals/4e/e6/4ee6b5a6.jpg"
    assert Layout.SHARDED.path(key.thumbnail(123)) == "Ichthyology/thumbnails/4e/e6/4ee6b5a6_123.jpg"


@patiently
@given(anything, st.sampled_from(Kind), anything, layouts)
@example("", Kind.ORIGINAL, "a...", Layout.SHARDED)
@example("", Kind.ORIGINAL, "ab..", Layout.SHARDED)
@example("", Kind.ORIGINAL, "ab.jpg", Layout.SHARDED)
def test_no_string_whatever_makes_a_path_that_leaves_the_layout(
    directory: str, kind: Kind, name: str, layout: Layout
) -> None:
    try:
        key = AssetKey(directory, kind, name)
    except BadName:
        return
    path = layout.path(key)
    assert normpath(path) == path
    assert path.startswith(f"{directory}/{kind.value}/" if directory else f"{kind.value}/")
    assert path.endswith(f"/{name}")
    for segment in path.split("/"):
        assert segment not in ("", ".", "..", ".staging")
        assert "\0" not in segment
        assert "\\" not in segment
        assert len(segment.encode()) <= MAX_NAME_BYTES
    below = path.removeprefix(f"{directory}/" if directory else "").split("/")
    assert len(below) == (2 if layout is Layout.FLAT else 4)


@patiently
@given(keys, layouts)
@example(AssetKey("", Kind.ORIGINAL, "ab.jpg"), Layout.SHARDED)
def test_a_path_leads_back_to_its_key(key: AssetKey, layout: Layout) -> None:
    assert layout.parse(layout.path(key)) == key


@patiently
@given(anything | st.lists(segments | st.just(".."), max_size=6).map("/".join), layouts)
def test_any_path_is_that_of_a_key_or_refused(path: str, layout: Layout) -> None:
    try:
        key = layout.parse(path)
    except (AssetNotFound, BadName):
        return
    assert layout.path(key) == path


@settings(deadline=None, max_examples=400)
@given(keys, keys, layouts)
@example(AssetKey("", Kind.ORIGINAL, "originals"), AssetKey("or/ig", Kind.ORIGINAL, "originals"), Layout.SHARDED)
def test_no_two_keys_share_a_path_and_none_is_a_directory_on_the_way_to_another(
    one: AssetKey, other: AssetKey, layout: Layout
) -> None:
    assume(one != other)
    path, other_path = layout.path(one), layout.path(other)
    assert path != other_path
    assert not other_path.startswith(f"{path}/")
    assert not path.startswith(f"{other_path}/")


@pytest.mark.parametrize(
    ("name", "thumbnail"),
    [
        ("a.jpg", "a_123.jpg"),
        ("a.JPG", "a_123.JPG"),
        ("a.jpeg", "a_123.jpeg"),
        ("a.gif", "a_123.gif"),
        ("a.png", "a_123.png"),
        ("sp6123.att.jpg", "sp6123.att_123.jpg"),
        ("a.pdf", "a_123.png"),
        ("a.PDF", "a_123.png"),
        ("a.tif", "a_123.png"),
        ("a.TIFF", "a_123.png"),
        ("a.heic", "a_123.png"),
        ("a.heif", "a_123.png"),
        ("a.psd", "a_123.png"),
        ("a.nef", "a_123.png"),
        ("a", "a_123.png"),
    ],
)
def test_a_thumbnail_is_called_as_on_the_official_server_and_png_where_a_browser_cannot_show_it(
    name: str, thumbnail: str
) -> None:
    assert AssetKey("Fish", Kind.ORIGINAL, name).thumbnail(123) == AssetKey("Fish", Kind.THUMBNAIL, thumbnail)


@settings(deadline=None, max_examples=400)
@given(displayable, displayable, scales, scales)
@example("a.jpg", "a_1.jpg", 12, 2)
@example("a_1.jpg", "a.jpg", 1, 11)
@example("a.jpg", "a.JPG", 1, 1)
def test_thumbnails_of_different_originals_that_a_browser_shows_never_collide(
    name: str, other: str, scale: int, other_scale: int
) -> None:
    assume((name, scale) != (other, other_scale))
    one, another = (AssetKey("", Kind.ORIGINAL, each) for each in (name, other))
    assert one.thumbnail(scale) != another.thumbnail(other_scale)


long_roots = st.builds(
    lambda letter, count: letter * count, st.sampled_from(["x", "é", "標", "🐟"]), st.integers(50, 251)
)


@patiently
@given(long_roots, st.text("ab", min_size=1, max_size=3), st.text("ab", min_size=1, max_size=3), scales)
def test_thumbnails_of_long_names_are_shortened_and_stay_different(root: str, one: str, other: str, scale: int) -> None:
    names = [f"{root}{ending}.jpg" for ending in (one, other)]
    assume(one != other)
    assume(all(len(name.encode()) <= MAX_NAME_BYTES for name in names))
    thumbnails = [AssetKey("", Kind.ORIGINAL, name).thumbnail(scale) for name in names]
    assert thumbnails[0] != thumbnails[1]
    for thumbnail in thumbnails:
        assert len(thumbnail.name.encode()) <= MAX_NAME_BYTES
        assert thumbnail.name.endswith(f"_{scale}.jpg")
        assert Layout.FLAT.parse(Layout.FLAT.path(thumbnail)) == thumbnail


@pytest.mark.parametrize("letter", ["x", "é", "標", "🐟"])
def test_no_name_collides_with_what_a_longer_one_is_shortened_to(letter: str) -> None:
    longest = letter * (251 // len(letter.encode())) + ".jpg"
    shortened = AssetKey("", Kind.ORIGINAL, longest).thumbnail(123)
    impostor = splitext(shortened.name)[0].removesuffix("_123") + ".jpg"
    assert impostor != longest
    assert AssetKey("", Kind.ORIGINAL, impostor).thumbnail(123) != shortened


pictures = segments | st.text("aé_1", min_size=120, max_size=250).filter(
    lambda text: len(text.encode()) <= MAX_NAME_BYTES
)


@given(st.lists(pictures, min_size=2, max_size=2, unique=True), st.lists(st.integers(1, 4096), min_size=2, max_size=2))
def test_a_pyramid_has_a_name_of_its_own(names: list[str], pages: list[int]) -> None:
    first, second = (AssetKey("", Kind.ORIGINAL, name).pyramid(page) for name, page in zip(names, pages, strict=True))
    assert first != second
    assert len(first.name.encode()) <= MAX_NAME_BYTES
    assert PYRAMID_NAME.fullmatch(first.name)
    assert Layout.FLAT.path(first).startswith(".pyramids/")
