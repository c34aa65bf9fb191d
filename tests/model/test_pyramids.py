"""The geometry of pyramids, and their index."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was_daemon.model.pyramids import TRAILER_SIZE, BadIndex, Box, Geometry, PyramidIndex, index_size, parse_index

SIDES = st.integers(1, 9000)


def index_of(geometry: Geometry, pages: int = 1, is_grey: bool = False) -> PyramidIndex:
    lengths = array("I", range(1, geometry.count + 1))
    return PyramidIndex(geometry, pages, is_grey, array("Q", [1 << 33] * geometry.count), lengths, lengths)


@given(SIDES, SIDES)
def test_the_tiles_of_a_level_cover_it_once(width: int, height: int) -> None:
    geometry = Geometry(width, height)
    numbers = []
    for level, (across, down) in enumerate(geometry.levels):
        tiles = list(geometry.tiles_in(level, Box(0, 0, across, down)))
        assert sum(tile.size[0] * tile.size[1] for tile in tiles) == across * down
        assert sum(tile.region.width * tile.region.height for tile in tiles) == width * height
        numbers += [tile.number for tile in tiles]
    assert numbers == list(range(geometry.count))
    assert max(geometry.levels[-1]) <= geometry.tile_size


@given(SIDES, SIDES, st.data())
def test_a_tile_is_found_by_its_region(width: int, height: int, data: st.DataObject) -> None:
    geometry = Geometry(width, height)
    tile = geometry.tile(data.draw(st.integers(0, geometry.count - 1)))
    assert tile in list(geometry.tiles_of(tile.region))


def test_another_region_is_no_tile() -> None:
    geometry = Geometry(2000, 1000)
    assert list(geometry.tiles_of(Box(0, 0, 512, 512)))
    for box in (Box(0, 0, 511, 512), Box(1, 0, 512, 512), Box(512, 512, 512, 489), Box(0, 0, 1000, 1000)):
        assert not list(geometry.tiles_of(box))


@given(SIDES, SIDES, st.integers(1, 4096), st.booleans())
def test_an_index_is_read_as_it_was_written(width: int, height: int, pages: int, is_grey: bool) -> None:
    index = index_of(Geometry(width, height), pages, is_grey)
    content = index.pack()
    assert index_size(content[-TRAILER_SIZE:]) == len(content)
    assert parse_index(content) == index


@given(st.binary(max_size=200))
def test_other_bytes_are_no_index(content: bytes) -> None:
    with pytest.raises(BadIndex):
        parse_index(content)


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_damaged_index_is_an_index_or_none(at: int, flip: int) -> None:
    """A worker that a file has taken over may write anything: it costs no more than reading it."""
    content = bytearray(index_of(Geometry(1000, 600)).pack())
    content[at % len(content)] ^= flip
    try:
        index = parse_index(bytes(content))
    except BadIndex:
        return
    assert index.geometry.count == len(index.offsets) == len(index.lengths) == len(index.checksums)
