"""Regions are made of decoded tiles, of which a worker keeps those that it used last."""

from pathlib import Path

import pytest
from PIL import Image

from tests.support.images import detailed_photograph, encode
from tests.support.pyramids import PyramidFile
from was_daemon.imaging import decoded_tiles
from was_daemon.imaging.decoded_tiles import DecodedTiles, PlacedTile
from was_daemon.imaging.region import View, render_region
from was_daemon.model.pyramids import Box

PLAIN = View(600, 500, mirrored=False, rotation=0, quality="default", format="png")
REGIONS = [(0, 0), (100, 50), (500, 300), (0, 0), (700, 400)]


def placed(pyramid: PyramidFile, box: Box) -> list[PlacedTile]:
    """The tiles of level 0 that show a part of `box`."""
    spans = [(pyramid.index.span(tile), tile) for tile in pyramid.index.geometry.tiles_in(0, box)]
    return [
        PlacedTile(start, stop - start, pyramid.index.checksum(tile), tile.left, tile.top)
        for (start, stop), tile in spans
    ]


def rendered(pyramid: PyramidFile, decoded: DecodedTiles, x: int, y: int, view: View = PLAIN) -> bytes:
    with pyramid.path.open("rb") as source:
        tiles = placed(pyramid, Box(x, y, 600, 500))
        return bytes(render_region(source, tiles, (x, y, x + 600, y + 500), view, decoded))


def directory(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def test_a_region_of_tiles_that_were_kept_is_the_same(tmp_path: Path) -> None:
    pyramid, kept = PyramidFile(tmp_path, detailed_photograph((1400, 1000))), DecodedTiles()
    for x, y in REGIONS:
        # What is done to one region is not seen in another.
        rendered(pyramid, kept, x, y, View(300, 200, mirrored=True, rotation=30, quality="bitonal", format="jpg"))
        assert rendered(pyramid, kept, x, y) == rendered(pyramid, DecodedTiles(), x, y)


def test_tiles_of_one_file_are_not_taken_for_those_of_another(tmp_path: Path) -> None:
    kept = DecodedTiles()
    for number, colour in enumerate(("red", "blue", "red")):
        picture = encode(Image.new("RGB", (1400, 1000), colour), "PNG")
        pyramid = PyramidFile(directory(tmp_path, str(number)), picture)
        assert rendered(pyramid, kept, 0, 0) == rendered(pyramid, DecodedTiles(), 0, 0)


def test_a_tile_is_decoded_once_while_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyramid, kept = PyramidFile(tmp_path, detailed_photograph((1400, 1000))), DecodedTiles()
    decoded: list[PlacedTile] = []
    decode = decoded_tiles._decode
    monkeypatch.setattr(decoded_tiles, "_decode", lambda source, tile: (decoded.append(tile), decode(source, tile))[1])
    for _ in range(2):
        rendered(pyramid, kept, 0, 0)
    assert decoded == placed(pyramid, Box(0, 0, 600, 500))


def test_what_is_kept_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded_tiles, "_MOST_BYTES", 2 << 20)
    pyramid, kept = PyramidFile(tmp_path, detailed_photograph((1400, 1000))), DecodedTiles()
    for x, y in REGIONS:
        rendered(pyramid, kept, x, y)
        sizes = [image.width * image.height * 4 for image in kept._images.values()]
        assert 0 < sum(sizes) == kept._size <= 2 << 20
