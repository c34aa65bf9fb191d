"""Pyramids show what thumbnails show: every kind of file, upright, in sRGB, on white, without its metadata."""

import errno
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageDraw, TiffImagePlugin

from tests.imaging.test_render import FORMATS
from tests.stores.local.test_filesystem_store import tiny_disk
from tests.support import images, profiles, raws, tiffs
from tests.support.likeness import difference, on_white, same_corners
from tests.support.pyramids import MAX_PIXELS, PyramidFile
from tests.support.slow import slow_but
from was_daemon.imaging import turning
from was_daemon.imaging.colour import to_srgb
from was_daemon.imaging.libvips import pyvips
from was_daemon.imaging.pyramid import write_pyramid
from was_daemon.imaging.readers import read_picture
from was_daemon.imaging.writers import flatten
from was_daemon.model.errors import AssetNotFound, BrokenImage, NoThumbnail

LARGE = (1700, 1100)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_kind_of_image_is_shown_in_its_colours(kind: str, tmp_path: Path) -> None:
    make, expected, within = FORMATS[kind]
    pyramid = PyramidFile(tmp_path, make())
    assert pyramid.index.geometry.levels == [expected.size]
    # Of JPEG at quality 82, with colours of half the resolution.
    assert difference(pyramid.level(0), expected) <= max(within, 3) + 1.5


def test_levels_together_are_the_whole_picture(tmp_path: Path) -> None:
    data = images.photograph(LARGE)
    pyramid = PyramidFile(tmp_path, data)
    whole = Image.open(io.BytesIO(data)).convert("RGB")
    assert pyramid.index.geometry.levels == [(1700, 1100), (850, 550), (425, 275)]
    for number, size in enumerate(pyramid.index.geometry.levels):
        level, expected = pyramid.level(number), whole.resize(size, Image.Resampling.BOX)
        assert difference(level, expected) <= 3
        if number < 2:
            # A seam would show in the columns and rows where tiles meet.
            assert difference(level.crop((508, 0, 516, size[1])), expected.crop((508, 0, 516, size[1]))) <= 3
            assert difference(level.crop((0, 508, size[0], 516)), expected.crop((0, 508, size[0], 516))) <= 3


def _lines(colour: str, background: str) -> Image.Image:
    """Text, whose lines are one pixel wide."""
    image = Image.new("RGB", LARGE, background)
    for top in range(0, LARGE[1], 24):
        ImageDraw.Draw(image).text((10, top), "Puma concolor, Holotype " * 12, fill=colour)
    return image


@pytest.mark.parametrize(
    ("make", "mean", "most"),
    [
        (lambda: images.detailed_photograph(LARGE), 2.5, 26),
        (lambda: images.noisy_photograph(LARGE), 5.5, 60),
        (lambda: images.encode(_lines("black", "white"), "PNG"), 4, 36),
        (lambda: images.encode(_lines("blue", "red"), "PNG"), 32, 240),
    ],
)
def test_tiles_are_as_exact_as_the_guide_says(
    make: Callable[[], bytes], mean: float, most: int, tmp_path: Path
) -> None:
    data = make()
    pyramid = PyramidFile(tmp_path, data)
    whole = Image.open(io.BytesIO(data)).convert("RGB")
    for number, size in enumerate(pyramid.index.geometry.levels):
        level, expected = pyramid.level(number), whole.resize(size, Image.Resampling.BOX)
        assert difference(level, expected) <= mean
        assert max(high for _, high in ImageChops.difference(level, expected).getextrema()) <= most


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "TIFF", "PNG", "WEBP", "JPEG2000"])
def test_orientation_is_applied(form: str, orientation: int, tmp_path: Path) -> None:
    exif = images.photograph_exif(orientation)
    stored = images.stored_as(images.chart(), orientation)
    data = raws.jp2(stored, orientation) if form == "JPEG2000" else images.encode(stored, form, exif=exif)
    pyramid = PyramidFile(tmp_path, data)
    assert pyramid.index.geometry.levels == [images.CHART_SIZE]
    assert same_corners(pyramid.level(0))


@pytest.mark.parametrize("orientation", slow_but([3, 6], range(3, 9)))
@pytest.mark.parametrize("kind", ["plain", "profile", "alpha"])
def test_what_is_too_large_to_be_turned_in_memory_is_turned_in_parts(
    kind: str, orientation: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.open(io.BytesIO(images.photograph((1101, 703)))).convert("RGB")
    options: dict[str, Any] = {"exif": images.photograph_exif(orientation)}
    if kind == "profile":
        options["icc_profile"] = profiles.adobe_rgb()
    if kind == "alpha":
        picture.putalpha(picture.convert("L"))
    data = images.encode(images.stored_as(picture, orientation), "PNG", **options)
    in_memory = PyramidFile(tmp_path, data)
    monkeypatch.setattr(turning, "_LARGEST_PART", 400_000)
    in_parts = PyramidFile(tmp_path, data)
    assert in_parts.path.read_bytes() == in_memory.path.read_bytes()
    assert in_parts.index.has_alpha == (kind == "alpha")
    if kind != "profile":
        assert difference(in_parts.level(0), on_white(picture)) <= 4


ODD = (1027, 1541)
"""Sizes at which tiles of one, two and three pixels lie at the edges of some level."""


def _odd(mode: str) -> Image.Image:
    return Image.open(io.BytesIO(images.detailed_photograph(ODD))).convert("RGB").convert(mode)


def _deep_tiff() -> bytes:
    deep = pyvips.Image.new_from_memory(_odd("RGB").tobytes(), *ODD, 3, "uchar").cast("ushort") * 257
    written: bytes = deep.cast("ushort").copy(interpretation="rgb16").tiffsave_buffer(compression="deflate")
    return written


def _pyramidal_tiff(**options: Any) -> bytes:
    picture = pyvips.Image.new_from_memory(_odd("RGB").tobytes(), *ODD, 3, "uchar").copy(interpretation="srgb")
    written: bytes = picture.tiffsave_buffer(tile=True, pyramid=True, compression="deflate", **options)
    return written


LARGE_KINDS: dict[str, Callable[[], bytes]] = {
    "CMYK JPEG": lambda: images.encode(_odd("CMYK"), "JPEG", quality=95),
    "CMYK TIFF": lambda: images.encode(_odd("CMYK"), "TIFF", compression="tiff_lzw"),
    "LAB TIFF": lambda: images.encode(profiles.lab(_odd("RGB")), "TIFF"),
    "16-bit TIFF": _deep_tiff,
    "grey JPEG": lambda: images.encode(_odd("L"), "JPEG", quality=95),
    "grey PNG with alpha": lambda: images.encode(_odd("LA"), "PNG"),
    "GIF": lambda: images.encode(_odd("L"), "GIF"),
    "WebP": lambda: images.encode(_odd("RGB"), "WEBP", lossless=True, method=0),
    "progressive JPEG": lambda: images.encode(_odd("RGB"), "JPEG", quality=95, progressive=True),
    "pyramidal TIFF": _pyramidal_tiff,
    "pyramidal TIFF with SubIFDs": lambda: _pyramidal_tiff(subifd=True),
}
QUICK_KINDS = ("CMYK JPEG", "16-bit TIFF", "grey PNG with alpha", "pyramidal TIFF")


def _halved(image: Image.Image) -> Image.Image:
    """Means of four pixels; of odd sizes, the last row and column count twice."""
    even = Image.new("RGB", (image.width + image.width % 2, image.height + image.height % 2))
    even.paste(image, (image.width % 2, image.height % 2))
    even.paste(image, (0, image.height % 2))
    even.paste(image, (image.width % 2, 0))
    even.paste(image, (0, 0))
    return even.reduce(2)


@pytest.mark.parametrize("kind", slow_but(QUICK_KINDS, LARGE_KINDS))
def test_the_tiles_of_every_level_are_what_a_full_decode_shows(kind: str, tmp_path: Path) -> None:
    data = LARGE_KINDS[kind]()
    pyramid = PyramidFile(tmp_path, data)
    decoded = read_picture(io.BytesIO(data), "a", 1 << 20, MAX_PIXELS)
    whole = flatten(to_srgb(decoded.image, decoded.profile)).convert("RGB")
    assert (pyramid.index.pages, pyramid.index.geometry.levels[0]) == (1, ODD)
    expected = whole
    for number, size in enumerate(pyramid.index.geometry.levels):
        level, expected = pyramid.level(number), _halved(expected) if number else whole
        assert difference(level, expected) <= 3
        for seam in range(512, size[0], 512):
            box = (seam - 4, 0, min(seam + 4, size[0]), size[1])
            assert difference(level.crop(box), expected.crop(box)) <= 3
        for seam in range(512, size[1], 512):
            box = (0, seam - 4, size[0], min(seam + 4, size[1]))
            assert difference(level.crop(box), expected.crop(box)) <= 3


def test_colours_end_in_srgb_row_by_row_as_in_memory(tmp_path: Path) -> None:
    """A PNG with a profile is converted while it is read, a WebP in one piece."""
    profile = profiles.adobe_rgb()
    streamed = PyramidFile(tmp_path, images.encode(images.chart(), "PNG", icc_profile=profile)).level(0)
    whole = PyramidFile(tmp_path, images.encode(images.chart(), "WEBP", icc_profile=profile, lossless=True)).level(0)
    assert difference(streamed, whole) == 0
    assert difference(streamed, images.chart()) > 2


def test_clear_parts_are_white(tmp_path: Path) -> None:
    for form in ("PNG", "TIFF", "WEBP"):
        pyramid = PyramidFile(tmp_path, images.encode(images.translucent(), form))
        assert difference(pyramid.level(0), on_white(images.translucent())) <= 4


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_alpha_channel_of_a_picture_is_kept_beside_its_tiles(form: str, orientation: int, tmp_path: Path) -> None:
    stored = images.stored_as(images.translucent(), orientation)
    options = {"lossless": True} if form == "WEBP" else {}
    data = images.encode(stored, form, exif=images.photograph_exif(orientation), **options)
    alpha = PyramidFile(tmp_path, data).alpha(0)
    assert difference(alpha, images.translucent().getchannel("A")) == 0


def test_a_picture_that_is_opaque_has_no_alpha_channel(tmp_path: Path) -> None:
    opaque = images.chart().convert("RGBA")
    clear = images.chart().convert("RGBA")
    clear.putalpha(0)
    for data in (images.encode(opaque, "PNG"), images.encode(clear, "TIFF"), images.photograph()):
        assert not PyramidFile(tmp_path, data).index.has_alpha


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_colours_under_an_alpha_that_was_never_meant_are_shown(form: str, tmp_path: Path) -> None:
    clear = images.chart().convert("RGBA")
    clear.putalpha(0)
    options = {"exact": True, "lossless": True} if form == "WEBP" else {}
    assert same_corners(PyramidFile(tmp_path, images.encode(clear, form, **options)).level(0))


@pytest.mark.parametrize("size", [(300, 200), (1400, 1000)])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
def test_a_picture_of_one_colour_is_shown(form: str, size: tuple[int, int], tmp_path: Path) -> None:
    plain = Image.new("RGB", size, "red")
    assert difference(PyramidFile(tmp_path, images.encode(plain, form)).level(0), plain) <= 2


def test_a_pyramid_is_a_zip_with_the_canonical_addresses_of_the_tiles(tmp_path: Path) -> None:
    pyramid = PyramidFile(tmp_path, images.photograph((1000, 600)))
    with zipfile.ZipFile(pyramid.path) as archive:
        assert archive.testzip() is None
        names = {name for name in archive.namelist() if name.endswith(".jpg")}
        assert names == {
            "tiles/0,0,512,512/512,512/0/default.jpg",
            "tiles/512,0,488,512/488,512/0/default.jpg",
            "tiles/0,512,512,88/512,88/0/default.jpg",
            "tiles/512,512,488,88/488,88/0/default.jpg",
            "tiles/full/500,300/0/default.jpg",
        }
        for tile in pyramid.index.geometry.tiles():
            assert pyramid.tile(tile).size == tile.size


def test_no_metadata_is_left(tmp_path: Path) -> None:
    data = images.photograph((600, 600))
    assert b"Canon" in data or b"GPS" in data or b"Exif" in data
    pyramid = PyramidFile(tmp_path, data)
    content = pyramid.path.read_bytes()
    assert b"Exif" not in content and b"exif" not in content and images.TAKEN.encode() not in content
    assert not pyramid.tile(pyramid.index.geometry.tile(0)).getexif()


def test_of_camera_raw_the_preview_of_nearly_full_size_is_shown_in_its_own_size(tmp_path: Path) -> None:
    width, height = images.CHART_SIZE
    for factor, expected in ((0.97, (round(width * 0.97), round(height * 0.97))), (0.5, images.CHART_SIZE)):
        preview = Image.new("RGB", (round(width * factor), round(height * factor)), "blue")
        preview.paste("red", (0, 0, 20, 20))
        pyramid = PyramidFile(tmp_path, tiffs.dng(preview), "a.dng")
        assert pyramid.index.geometry.levels == [expected]
        assert pyramid.level(0).size == expected
        assert (difference(pyramid.level(0), preview.resize(expected)) < 3) == (factor > 0.9)


def test_pages_of_a_tiff_are_shown_and_counted_without_its_reduced_versions(tmp_path: Path) -> None:
    first, second = images.chart(), Image.new("RGB", (300, 200), (10, 200, 30))
    data = tiffs.two_pages(first, second, reduced=False)
    assert PyramidFile(tmp_path, data).index.pages == 2
    page = PyramidFile(tmp_path, data, page=2)
    assert page.index.geometry.levels == [(300, 200)]
    assert difference(page.level(0), second) <= 2
    with pytest.raises(AssetNotFound):
        PyramidFile(tmp_path, data, page=3)
    reduced = tiffs.two_pages(first, first.resize((120, 80)), reduced=True)
    assert PyramidFile(tmp_path, reduced).index.pages == 1
    with pytest.raises(AssetNotFound):
        PyramidFile(tmp_path, reduced, page=2)


def test_each_page_of_a_long_tiff_is_as_light_as_its_directory_says(tmp_path: Path) -> None:
    out = io.BytesIO()
    entries = TiffImagePlugin.ImageFileDirectory_v2()
    entries[281] = 4095  # MaxSampleValue: 12 bits stored in 16
    with TiffImagePlugin.AppendingTiffWriter(out, True) as writer:
        for _ in range(66):
            Image.new("I;16", (60, 50), 4000).save(writer, "TIFF", tiffinfo=entries)
            writer.newFrame()
    for page in (1, 66):
        assert PyramidFile(tmp_path, out.getvalue(), page=page).level(0).convert("L").getpixel((9, 9)) == 249


def test_pages_of_a_pdf_are_drawn_large_enough_to_be_read(tmp_path: Path) -> None:
    data = images.pdf((595, 842), pages=3)
    page = PyramidFile(tmp_path, data, "a.pdf")
    assert page.index.pages == 3
    assert page.index.geometry.levels[0] == (2480, 3509)
    black = PyramidFile(tmp_path, data, "a.pdf", page=3)
    smallest = len(black.index.geometry.levels) - 1
    assert difference(black.level(smallest), Image.new("RGB", black.index.geometry.levels[smallest])) < 1
    with pytest.raises(AssetNotFound):
        PyramidFile(tmp_path, data, "a.pdf", page=4)


def test_other_files_have_one_page(tmp_path: Path) -> None:
    for data in (images.jpeg(), images.animated_gif(), images.heic()):
        with pytest.raises(AssetNotFound):
            PyramidFile(tmp_path, data, page=2)


def test_a_truncated_jpeg_shows_what_there_is(tmp_path: Path) -> None:
    data = images.photograph(LARGE)
    pyramid = PyramidFile(tmp_path, data[: len(data) // 2])
    whole = Image.open(io.BytesIO(data)).convert("RGB")
    upper = (0, 0, LARGE[0], LARGE[1] // 4)
    assert difference(pyramid.level(0).crop(upper), whole.crop(upper)) <= 3


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoThumbnail):
        PyramidFile(tmp_path, b"text", "a.txt")
    for content in (b"", b"text", images.jpeg()[:100]):
        with pytest.raises(BrokenImage):
            PyramidFile(tmp_path, content)


def test_a_full_disk_is_told_from_a_damaged_picture(tmp_path: Path) -> None:
    source, disk = tmp_path / "source.jpg", tmp_path / "disk"
    source.write_bytes(images.noisy_photograph((3000, 2000)))
    with tiny_disk(disk), source.open("rb") as original, (disk / "target").open("w+b") as target:
        with pytest.raises(OSError) as caught:
            write_pyramid(original, "a.jpg", 1, target, MAX_PIXELS)
        assert caught.value.errno == errno.ENOSPC
        # What was not written yet shall not be tried again when the file is closed.
        target.raw.truncate(0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side", "profile", "orientation", "memory"),
    [
        (20_000, None, 1, 1 << 30),
        (20_000, profiles.adobe_rgb(), 1, 1 << 30),
        (12_000, None, 6, 1 << 29),
        (12_000, profiles.adobe_rgb(), 3, 1 << 29),
    ],
    ids=["sRGB", "Adobe RGB", "sideways", "upside down"],
)
def test_a_large_tiff_needs_less_memory_than_its_pixels(
    side: int, profile: bytes | None, orientation: int, memory: int, tmp_path: Path
) -> None:
    """Also when its colours are converted, as those of scanners are, and when it is turned."""
    script = f"""if True:
        import resource, sys
        from was_daemon.workers.heap import bound_heap
        bound_heap()
        from was_daemon.imaging.libvips import pyvips
        from was_daemon.imaging.pyramid import write_pyramid
        profile = {profile!r}
        ramp = pyvips.Image.grey({side}, {side}, uchar=True)
        picture = ramp.bandjoin([ramp, ramp]).copy(interpretation="srgb")
        if profile:
            picture.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
        picture.set_type(pyvips.GValue.gint_type, "orientation", {orientation})
        picture.tiffsave(sys.argv[1], compression="lzw")
        resource.setrlimit(resource.RLIMIT_AS, ({memory},) * 2)
        with open(sys.argv[1], "rb") as source, open(sys.argv[1] + ".zip", "w+b") as target:
            write_pyramid(source, "a.tif", 1, target, 500_000_000)
    """
    source = tmp_path / "a.tif"
    ran = subprocess.run([sys.executable, "-c", script, str(source)], capture_output=True, text=True)
    assert not ran.returncode, ran.stderr
    assert (tmp_path / "a.tif.zip").stat().st_size > 1_000_000
