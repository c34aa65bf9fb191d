"""Files that one engine shows wrong, or not at all, and another one right."""

import struct
from collections.abc import Callable
from itertools import pairwise

import pytest
from PIL import Image, ImageDraw

from tests.imaging.conftest import Render
from tests.support import images, profiles, tiffs, unusual
from tests.support.likeness import difference, same_corners
from tests.support.slow import slow_after
from was_daemon.model.errors import BrokenImage

pytestmark = pytest.mark.slow

CHART = images.chart()
LARGE = (1200, 800)

# -- what libvips shows wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tiled", [True, False])
def test_a_tiff_in_jpeg_as_of_1992_is_shown(tiled: bool, thumbnail: Render) -> None:
    assert difference(thumbnail(tiffs.old_jpeg(tiled), "a.tif"), CHART) < 2


@pytest.mark.parametrize("subsampling", [1, 2])
@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
def test_a_tiff_of_lightness_and_colours_is_shown_in_its_colours(
    compression: int, subsampling: int, thumbnail: Render
) -> None:
    assert difference(thumbnail(tiffs.ycbcr(compression, subsampling), "a.tif"), CHART) < 3


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_in_lab_of_icc_profiles_is_shown_in_its_colours(bits: int, thumbnail: Render) -> None:
    assert difference(thumbnail(tiffs.icc_lab(profiles.lab(CHART), bits), "a.tif"), CHART) < 2


@pytest.mark.parametrize("count", [1, 2, 5])
def test_bands_without_a_meaning_are_not_taken_for_alpha(count: int, thumbnail: Render) -> None:
    assert difference(thumbnail(tiffs.with_more_bands(count), "a.tif"), CHART) == 0


def test_a_reduced_version_that_shows_nothing_is_not_believed(thumbnail: Render) -> None:
    data = tiffs.two_pages(images.chart((960, 640)), Image.new("RGB", (480, 320), "white"), reduced=True)
    assert same_corners(thumbnail(data, "a.tif", scale=60))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8, 12, 16])
def test_grey_is_scaled_by_the_depth_that_the_tiff_declares(bits: int, compressed: bool, thumbnail: Render) -> None:
    grey = CHART.convert("L")
    most = 2**bits - 1
    reference = grey.point([round(round(value * most / 255) * 255 / most) for value in range(256)])
    assert difference(thumbnail(tiffs.of_depth(grey, bits, compressed), "a.tif"), reference) < 1


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("bits", [9, 10, 12, 14, 15])
def test_grey_of_fewer_bits_than_are_stored_is_scaled_by_the_largest_sample(
    bits: int, compression: str, inverted: bool, thumbnail: Render
) -> None:
    grey = CHART.convert("L")
    data = tiffs.of_fewer_bits(grey, bits, compression, inverted)
    assert difference(thumbnail(data, "a.tif"), grey) < 1
    small = thumbnail(data, "a.tif", scale=60)
    assert difference(small, grey.resize(small.size, Image.Resampling.LANCZOS)) < 2


def test_colours_of_fewer_bits_than_are_stored_are_scaled_by_the_largest_sample(thumbnail: Render) -> None:
    assert difference(thumbnail(tiffs.of_fewer_bits(CHART, 12), "a.tif"), CHART) < 1


@pytest.mark.parametrize("most", [0, 1, 255, 3000, 4094, 65535])
def test_a_largest_sample_that_is_no_depth_changes_nothing(most: int, thumbnail: Render) -> None:
    grey = CHART.convert("L")
    assert difference(thumbnail(tiffs.of_fewer_bits(grey, 16, most=most), "a.tif"), grey) < 1


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_pillow_shows_the_lowest_number_as_white_if_the_tiff_says_so(
    bits: int, thumbnail: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("was_daemon.imaging.tiff.is_misread_by_libvips", lambda _: True)
    grey = CHART.convert("L")
    assert difference(thumbnail(tiffs.of_depth(grey, bits, inverted=True), "a.tif"), grey) < 5


UNIFORM: dict[str, Callable[[Image.Image], bytes]] = {
    "a.jpg": lambda image: images.encode(image, "JPEG"),
    "a.png": lambda image: images.encode(image, "PNG"),
    "a.gif": lambda image: images.encode(image, "GIF"),
    "a.webp": lambda image: images.encode(image, "WEBP"),
    "a.bmp": lambda image: images.encode(image, "BMP"),
    "a.jp2": lambda image: images.encode(image, "JPEG2000"),
    "a.avif": lambda image: images.encode(image, "AVIF"),
    "a.heic": images.heic,
    "a.tif": lambda image: images.encode(image, "TIFF", compression="tiff_lzw"),
    "a.psd": images.psd,
}


@pytest.mark.parametrize("colour", ["white", "black", "red"])
@pytest.mark.parametrize("name", UNIFORM)
def test_a_picture_of_one_colour_stays_as_it_is(name: str, colour: str, thumbnail: Render) -> None:
    image = Image.new("RGB", LARGE, colour)
    assert difference(thumbnail(UNIFORM[name](image), name, scale=60), image.resize((60, 40))) <= 2


# -- alpha -------------------------------------------------------------------------------------------------------------


def disc() -> Image.Image:
    """A dark red disc on nothing."""
    image = Image.new("RGBA", (600, 600))
    ImageDraw.Draw(image).ellipse((100, 100, 500, 500), fill=(200, 30, 30, 255))
    return image


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_the_edge_of_a_gif_thumbnail_is_of_the_pictures_colours(kind: str, thumbnail: Render) -> None:
    image = thumbnail(images.encode(disc(), kind), scale=123, format_name="GIF").convert("RGBA")
    pixels = [pixel for pixel in image.get_flattened_data() if pixel[3]]  # type: ignore[index]
    assert {pixel[3] for pixel in pixels} == {255}  # type: ignore[index]
    assert all(abs(red - 200) <= 20 and max(green, blue) <= 45 for red, green, blue, _ in pixels)  # type: ignore[misc]
    whole = area(disc()) * 123**2 / 600**2
    assert len(pixels) == pytest.approx(whole, rel=0.02)
    clear = [[image.getpixel((x, y))[3] == 0 for x in range(123)] for y in range(123)]  # type: ignore[index]
    speckled = [row for row in clear if sum(left != right for left, right in pairwise(row)) > 2]
    # Where the edge lies along a row, each of its pixels is nearly half clear.
    assert len(speckled) <= 2


def area(image: Image.Image) -> int:
    """The number of pixels that are not clear."""
    return sum(image.getchannel("A").histogram()[128:])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_picture_whose_alpha_is_all_clear_is_shown_without_it(kind: str, thumbnail: Render) -> None:
    image = images.translucent()
    image.putalpha(0)
    assert same_corners(thumbnail(images.encode(image, kind)))


def test_a_picture_of_nothing_stays_clear(thumbnail: Render) -> None:
    image = thumbnail(images.encode(Image.new("RGBA", LARGE), "PNG"))
    assert image.getchannel("A").getextrema() == (0, 0)


# -- profiles ----------------------------------------------------------------------------------------------------------


NO_GREYS = ["bright", "negative", "dark", "tinted", "balanced", "black", "falling"]
NO_COLOURS = ["grey", "nearly grey", "two colours"]


@pytest.mark.parametrize("name", NO_GREYS + NO_COLOURS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG 2000"])
def test_an_implausible_profile_is_dropped(name: str, kind: str, thumbnail: Render) -> None:
    profile = profiles.nonsense(name)
    if kind == "PNG":
        data = images.encode(CHART, "PNG", icc_profile=profile)
    else:
        data = images.jp2_with_profile(CHART, profile, 2)
    assert difference(thumbnail(data), CHART) == 0


def test_an_unusual_profile_is_applied(thumbnail: Render) -> None:
    red, green, blue = CHART.split()
    data = images.encode(Image.merge("RGB", (green, red, blue)), "PNG", icc_profile=profiles.swapped())
    assert same_corners(thumbnail(data), within=6)


def test_a_profile_of_few_colours_is_applied(thumbnail: Render) -> None:
    shown = thumbnail(images.encode(CHART, "PNG", icc_profile=profiles.poor_display()))
    assert difference(shown, CHART) > 10


# -- what Pillow does not read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [60, 240])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_lossless_jpeg_is_shown(mode: str, scale: int, thumbnail: Render) -> None:
    image = images.chart((480, 320)).convert(mode)
    seen = thumbnail(unusual.lossless_jpeg(image), scale=scale)
    assert difference(seen, image.resize(seen.size, Image.Resampling.LANCZOS)) < 1


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "no marker": lambda data: data[:2] + b"\0" + data[3:],
    "another marker": lambda data: data[:3] + b"\1" + data[4:],
    "something before it": lambda data: data[:2] + b"\x12\x34" + data[2:],
    "no length": lambda data: data[:4] + b"\0\0" + data[6:],
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_whose_first_marker_is_damaged_is_shown(mode: str, damage: str, thumbnail: Render) -> None:
    image = images.chart(LARGE).convert(mode)
    data = DAMAGE[damage](images.encode(image, "JPEG", quality=92))
    for scale in (120, 1200):
        seen = thumbnail(data, scale=scale)
        assert seen.width == scale
        assert difference(seen, images.chart(LARGE).convert(mode).convert("RGB").resize(seen.size)) < 4


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_jpeg_without_a_picture_is_broken(damage: str, thumbnail: Render) -> None:
    with pytest.raises(BrokenImage, match="damaged or ends too early"):
        thumbnail(DAMAGE[damage](images.jpeg()[:300]))


def test_the_pixel_limit_counts_for_unusual_files(thumbnail: Render) -> None:
    for data in (
        DAMAGE["no marker"](images.jpeg()),
        unusual.bit_field_bmp((0x0F00, 0x00F0, 0x000F, 0)),
        unusual.deep_psd(CHART, packed=True),
    ):
        with pytest.raises(BrokenImage, match=r"0\.0384 megapixels, more than the limit of 0\.03"):
            thumbnail(data, max_pixels=30_000)


FIELDS = {
    "4444": (16, (0x0F00, 0x00F0, 0x000F, 0xF000)),
    "444": (16, (0x0F00, 0x00F0, 0x000F, 0)),
    "231": (16, (0x00C0, 0x0038, 0x0007, 0)),
    "565": (16, (0xF800, 0x07E0, 0x001F, 0)),
    "1010102": (32, (0x3FF00000, 0x000FFC00, 0x000003FF, 0xC0000000)),
    "888": (32, (0xFF000000, 0x00FF0000, 0x0000FF00, 0)),
    "7187": (32, (0xFE000000, 0x01FE0000, 0x0001FC00, 0)),
}


@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("fields", FIELDS)
def test_a_bmp_with_bit_fields_is_shown(fields: str, upright: bool, thumbnail: Render) -> None:
    bits, masks = FIELDS[fields]
    seen = thumbnail(unusual.bit_field_bmp(masks, bits, upright), "a.bmp")
    assert same_corners(seen, within=46 if fields == "231" else 9)
    assert difference(seen, CHART) < (24 if fields == "231" else 6)


def test_a_bmp_with_bit_fields_whose_alpha_is_all_clear_has_its_colours(thumbnail: Render) -> None:
    seen = thumbnail(unusual.bit_field_bmp(FIELDS["4444"][1], alpha=0), "a.bmp")
    assert same_corners(seen, within=9)


def test_a_bmp_with_bit_fields_that_ends_early_shows_what_there_is(thumbnail: Render) -> None:
    data = unusual.bit_field_bmp((0x0F00, 0x00F0, 0x000F, 0), upright=False)
    seen = images.corners(thumbnail(data[: len(data) * 2 // 3]))
    assert seen["top left"] == pytest.approx(images.CORNERS["top left"], abs=9)
    assert seen["bottom left"] == (0, 0, 0)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("mode", slow_after(1, ["RGB", "L", "CMYK"]))
def test_a_photoshop_file_of_16_bits_is_shown(mode: str, packed: bool, thumbnail: Render) -> None:
    image = CHART.convert(mode)
    assert difference(thumbnail(unusual.deep_psd(image, packed), "a.psd"), image.convert("RGB")) == 0
    seen = thumbnail(unusual.deep_psd(images.chart(LARGE).convert(mode), packed), "a.psd", scale=120)
    assert difference(seen, images.chart(LARGE).convert(mode).convert("RGB").resize((120, 80))) < 3


def test_the_profile_of_a_photoshop_file_of_16_bits_is_applied(thumbnail: Render) -> None:
    image = profiles.squares([profiles.in_adobe_rgb(colour) for colour in images.CORNERS.values()])
    data = unusual.deep_psd(image, packed=True, profile=profiles.adobe_rgb())
    assert same_corners(thumbnail(data, "a.psd"), within=3)


def test_a_photoshop_file_of_16_bits_that_ends_early_shows_what_there_is(thumbnail: Render) -> None:
    data = unusual.deep_psd(CHART.convert("L"), packed=False)
    seen = images.corners(thumbnail(data[: len(data) // 2], "a.psd"))
    assert seen["top left"] == images.corners(CHART.convert("L"))["top left"]
    assert seen["bottom left"] == (0, 0, 0)


def test_a_photoshop_file_without_a_composite_shows_its_preview(thumbnail: Render) -> None:
    image = thumbnail(images.psd_without_composite(images.chart((120, 80))), "a.psd")
    assert image.size == (120, 80)
    assert same_corners(image)


def test_the_lightest_samples_of_deep_jpeg_2000_are_not_black(thumbnail: Render) -> None:
    """Pillow gives 0 for samples of more than 8 bits that are to be rounded up to 256."""
    expected = Image.new("RGBA", (8, 8), "white")
    for place, colour in {(4, 0): "black", (0, 4): "red", (4, 4): (128, 128, 128)}.items():
        expected.paste(colour, (*place, place[0] + 4, place[1] + 4))
    image = thumbnail(unusual.deep_jpeg2000(), "a.jp2")
    assert image.mode == "RGBA"
    assert difference(image, expected) < 0.3


def test_white_of_jpeg_2000_with_few_bits_is_white(thumbnail: Render) -> None:
    image = thumbnail(unusual.shallow_jpeg2000(), "a.jp2")
    assert [image.getpixel(place) for place in ((1, 1), (6, 1), (1, 6), (6, 6))] == [255, 0, 0, 0]


@pytest.mark.parametrize(
    ("bits", "compression", "reason"),
    [
        (24, 4, "with a JPEG in them are not supported"),
        (24, 5, "with a PNG in them"),
        (2, 0, "2-bit BMP is not supported"),
    ],
)
def test_a_bmp_of_a_kind_that_nothing_reads_is_not_called_damaged(
    bits: int, compression: int, reason: str, thumbnail: Render
) -> None:
    header = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, bits, compression, 64, 0, 0, 0, 0)
    with pytest.raises(BrokenImage, match=reason):
        thumbnail(struct.pack("<2sIHHI", b"BM", 118, 0, 0, 54) + header + bytes(64), "a.bmp")
