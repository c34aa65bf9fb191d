"""Large TIFF files whose strips are unpacked side by side: to the pixels that libvips reads, or not at all."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFilter

from tests.support import images, profiles, tiffs
from tests.support.likeness import difference
from tests.support.pyramids import PyramidFile
from was_daemon.imaging import full_size, unpacked_tiff
from was_daemon.imaging.libvips import pyvips
from was_daemon.imaging.unpacked_tiff import unpacked

OFFSETS, LENGTHS = 273, 279
PACKED: dict[str, Any] = {"compression": "lzw", "tile_height": 8}
CHART = images.chart()
GREY = CHART.convert("L")


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have small files count as large ones, of many parts."""
    monkeypatch.setattr(unpacked_tiff, "_LARGE", 0)
    monkeypatch.setattr(unpacked_tiff, "_PART", 10_000)


def _by_pillow(image: Image.Image, **options: Any) -> bytes:
    return images.encode(image, "TIFF", **{"compression": "tiff_lzw", "tiffinfo": {278: 8}, **options})


def _of_other_order() -> bytes:
    """The chart in LZW, with all numbers in the order that machines of today have not."""
    with Image.open(io.BytesIO(tiffs.tiff(**PACKED))) as image:
        tags = {tag: image.tag_v2[tag] for tag in (256, 257, 258, 259, 262, 277, 278, LENGTHS)}
        strips = [_part_of(image, *each) for each in zip(image.tag_v2[OFFSETS], image.tag_v2[LENGTHS], strict=True)]
    start, far, table = 8 + 2 + 12 * (len(tags) + 1) + 4, b"", b""
    offset = start + 4 * len(strips) * 2 + 6
    tags[OFFSETS] = [offset := offset + len(before) for before in (b"", *strips[:-1])]
    for tag, value in sorted(tags.items()):
        numbers = value if isinstance(value, tuple | list) else (value,)
        code, kind = ("I", 4) if tag in (OFFSETS, LENGTHS) else ("H", 3)
        data = struct.pack(f">{len(numbers)}{code}", *numbers)
        place = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack(">I", start + len(far))
        far += data if len(data) > 4 else b""
        table += struct.pack(">HHI", tag, kind, len(numbers)) + place
    return b"MM" + struct.pack(">HIH", 42, 8, len(tags)) + table + bytes(4) + far + b"".join(strips)


def _part_of(image: Any, offset: int, length: int) -> bytes:
    image.fp.seek(offset)
    return bytes(image.fp.read(length))


UNPACKED: dict[str, Callable[[], bytes]] = {
    "LZW": lambda: tiffs.tiff(**PACKED),
    "Deflate": lambda: tiffs.tiff(compression="deflate", tile_height=8),
    "differences": lambda: tiffs.tiff(**PACKED, predictor="horizontal"),
    "BigTIFF": lambda: tiffs.tiff(**PACKED, bigtiff=True),
    "other order": _of_other_order,
    "one row a strip": lambda: _by_pillow(CHART, tiffinfo={278: 1}),
    "one strip": lambda: tiffs.tiff(compression="lzw", tile_height=images.CHART_SIZE[1]),
    "grey": lambda: tiffs.tiff(image=GREY, **PACKED),
    "16 bits": lambda: tiffs.tiff("ushort", 257, **PACKED, predictor="horizontal"),
    "grey of 16 bits": lambda: tiffs.tiff("ushort", 257, image=GREY, **PACKED),
    "CMYK": lambda: tiffs.tiff(image=CHART.convert("CMYK"), **PACKED),
    "alpha": lambda: _by_pillow(images.translucent()),
    "grey with alpha": lambda: _by_pillow(images.translucent().convert("LA")),
    "a profile": lambda: _by_pillow(CHART, icc_profile=profiles.adobe_rgb()),
    "turned": lambda: _by_pillow(CHART, tiffinfo={274: 6, 278: 8}),
}


@pytest.mark.parametrize("kind", UNPACKED)
def test_pixels_are_those_that_libvips_reads(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(UNPACKED[kind]())
    expected = pyvips.Image.new_from_file(str(path), access="sequential")
    with path.open("rb") as source:
        feed = unpacked(source, 0)
        assert feed
        image = pyvips.Image.tiffload_source(feed.source, access="sequential", fail_on="error")
        for form in ("format", "interpretation", "bands", "width", "height"):
            assert getattr(image, form) == getattr(expected, form)
        for field in ("icc-profile-data", "orientation"):
            assert image.get_typeof(field) == expected.get_typeof(field)
            assert not image.get_typeof(field) or image.get(field) == expected.get(field)
        assert image.write_to_memory() == expected.write_to_memory()
        assert feed.error is None


def test_a_page_further_on_is_unpacked(tmp_path: Path) -> None:
    data = _by_pillow(GREY, save_all=True, append_images=[CHART])
    second = PyramidFile(tmp_path, data, page=2).level(0)
    assert difference(second, CHART) <= 3
    with (tmp_path / "source").open("rb") as source:
        assert unpacked(source, 1)
        assert unpacked(source, 2) is None


def _with_number(tag: int, number: int) -> bytes:
    """The chart in LZW, with another last number in an entry that has several."""
    data = bytearray(_by_pillow(CHART))
    with Image.open(io.BytesIO(data)) as image:
        kind, count = image.tag_v2.tagtype[tag], len(image.tag_v2[tag])
    (position,) = struct.unpack_from("<I", data, data.index(struct.pack("<HHI", tag, kind, count)) + 8)
    form = {3: "<H", 4: "<I"}[kind]
    struct.pack_into(form, data, position + struct.calcsize(form) * (count - 1), number)
    return bytes(data)


LEFT: dict[str, Callable[[], bytes]] = {
    "not packed": lambda: tiffs.tiff(tile_height=8),
    "JPEG": lambda: tiffs.tiff(compression="jpeg", tile_height=16, predictor="none"),
    "tiles": lambda: tiffs.tiff(compression="lzw", tile=True, tile_width=64, tile_height=64),
    "planes": tiffs.planar_tiff,
    "white is zero": lambda: tiffs.tiff(image=GREY, miniswhite=True, **PACKED),
    "one bit": lambda: tiffs.tiff(image=GREY, bitdepth=1, predictor="none", **PACKED),
    "real numbers": lambda: tiffs.tiff("float", **PACKED),
    "LAB": lambda: tiffs.tiff(space="lab", **PACKED),
    "a strip without bytes": lambda: _with_number(LENGTHS, 0),
    "a strip that is too long": lambda: _with_number(LENGTHS, 30_000),
    "a strip behind the end": lambda: _with_number(OFFSETS, 1 << 30),
    "no TIFF": lambda: images.jpeg(),
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("kind", LEFT)
def test_other_files_are_left_to_libvips(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(LEFT[kind]())
    with path.open("rb") as source:
        assert unpacked(source, 0) is None


def test_small_files_are_left_to_libvips(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    path = tmp_path / "a.tif"
    path.write_bytes(tiffs.tiff(**PACKED))
    with path.open("rb") as source:
        assert unpacked(source, 0) is None


def _damaged(number: int) -> bytes:
    """The chart in LZW, a strip of which is no LZW."""
    data = tiffs.tiff(image=CHART.filter(ImageFilter.BoxBlur(2)), **PACKED)
    with Image.open(io.BytesIO(data)) as image:
        offset, length = image.tag_v2[OFFSETS][number], image.tag_v2[LENGTHS][number]
    return data[:offset] + b"\xff" * length + data[offset + length :]


@pytest.mark.parametrize("number", [0, 12])
def test_what_a_damaged_file_shows_is_what_libvips_shows_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    shown = []
    for large in (0, 1 << 60):
        monkeypatch.setattr(unpacked_tiff, "_LARGE", large)
        shown.append(PyramidFile(tmp_path, _damaged(number)).level(0).tobytes())
    assert shown[0] == shown[1]


def test_a_file_that_is_too_large_to_be_unpacked_is_streamed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_memory(*_: Any, **__: Any) -> bytes:
        raise MemoryError

    monkeypatch.setattr(unpacked_tiff._Strips, "unpack", no_memory)
    monkeypatch.setattr(full_size, "read_picture", no_memory)
    assert difference(PyramidFile(tmp_path, tiffs.tiff(**PACKED)).level(0), CHART) <= 3
