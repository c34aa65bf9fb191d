"""Thumbnails of every kind of file: contract, section 5."""

import io
import math
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from tests.imaging.conftest import MAX_PIXELS, Render
from tests.support import images, profiles, raws, tiffs
from tests.support.likeness import difference, on_white, same_corners
from was_daemon.imaging.formats import output_format
from was_daemon.imaging.picture import fit
from was_daemon.imaging.png_owner import png_owner
from was_daemon.imaging.render import Output, render
from was_daemon.model.errors import BrokenImage, NoThumbnail
from was_daemon.workers.memory_files import in_memory

CHART = images.chart()
GREY = CHART.convert("L")
BITMAP = CHART.convert("1")
CLEAR = images.translucent()
HAZY = Image.merge("LA", (CHART.convert("L"), CLEAR.getchannel("A").point(lambda value: 100 + value // 2)))
LOW, HIGH = GREY.getextrema()
STRETCHED = GREY.point(lambda value: (value - LOW) * 255 / (HIGH - LOW))
NEGATIVE = STRETCHED.point(lambda value: 255 - value)

FORMATS: dict[str, tuple[Callable[[], bytes], Image.Image, float]] = {
    "baseline JPEG": (images.jpeg, CHART, 3),
    "progressive JPEG": (lambda: images.jpeg(progressive=True), CHART, 3),
    "grey JPEG": (lambda: images.encode(GREY, "JPEG", quality=95), GREY, 2),
    "Adobe CMYK JPEG": (lambda: images.encode(CHART.convert("CMYK"), "JPEG", quality=95), CHART, 3),
    "1-bit PNG": (lambda: images.encode(BITMAP, "PNG"), BITMAP, 0),
    "palette PNG": (lambda: images.encode(CHART.quantize(200), "PNG"), CHART.quantize(200), 0),
    "clear palette PNG": (lambda: images.encode(CLEAR.quantize(200), "PNG"), CLEAR.quantize(200), 1),
    "RGBA PNG": (lambda: images.encode(CLEAR, "PNG"), CLEAR, 0),
    "16-bit grey PNG": (lambda: images.png16("L"), GREY, 0),
    "16-bit grey PNG with alpha": (lambda: images.png16("LA"), CLEAR.convert("LA"), 1),
    "16-bit RGB PNG": (lambda: images.png16("RGB"), CHART, 0),
    "16-bit RGBA PNG": (lambda: images.png16("RGBA"), CLEAR, 0),
    "animated GIF": (images.animated_gif, CHART.quantize(256), 4),
    "WebP": (lambda: images.encode(CHART, "WEBP", lossless=True), CHART, 0),
    "WebP with alpha": (lambda: images.encode(CLEAR, "WEBP", lossless=True), CLEAR, 0.5),
    "BMP": (lambda: images.encode(CHART, "BMP"), CHART, 0),
    "HEIC": (images.heic, CHART, 3),
    "AVIF": (lambda: images.encode(CHART, "AVIF", quality=90), CHART, 3),
    "JPEG 2000": (lambda: images.encode(CHART, "JPEG2000"), CHART, 0),
    "JPEG 2000 codestream": (lambda: images.encode(CHART, "JPEG2000", no_jp2=True), CHART, 0),
    "Photoshop RGB": (images.psd, CHART, 0),
    "Photoshop grey": (lambda: images.psd(GREY), GREY, 0),
    "Photoshop CMYK": (lambda: images.psd(CHART.convert("CMYK")), CHART, 0),
    "Photoshop LAB": (lambda: images.psd(profiles.lab(CHART)), CHART, 2),
    "TIFF": (lambda: images.encode(CHART, "TIFF"), CHART, 0),
    "LZW TIFF": (lambda: images.encode(CHART, "TIFF", compression="tiff_lzw"), CHART, 0),
    "deflate TIFF": (lambda: images.encode(CHART, "TIFF", compression="tiff_adobe_deflate"), CHART, 0),
    "JPEG TIFF": (lambda: images.encode(CHART, "TIFF", compression="jpeg", quality=92), CHART, 3),
    "Zstandard TIFF": (lambda: images.encode(CHART, "TIFF", compression="zstd"), CHART, 0),
    "fax group 3 TIFF": (lambda: images.encode(BITMAP, "TIFF", compression="group3"), BITMAP, 0),
    "fax group 4 TIFF": (lambda: images.encode(BITMAP, "TIFF", compression="group4"), BITMAP, 0),
    "palette TIFF": (lambda: images.encode(CHART.quantize(200), "TIFF"), CHART.quantize(200), 0),
    "RGBA TIFF": (lambda: images.encode(CLEAR, "TIFF"), CLEAR, 0),
    "grey TIFF with alpha": (lambda: images.encode(CLEAR.convert("LA"), "TIFF"), CLEAR.convert("LA"), 0),
    "CMYK TIFF": (lambda: images.encode(CHART.convert("CMYK"), "TIFF"), CHART, 0),
    "LAB TIFF": (lambda: images.encode(profiles.lab(CHART), "TIFF"), CHART, 2),
    "16-bit LAB TIFF": (lambda: tiffs.tiff("uchar", space="labs"), CHART, 1),
    "16-bit grey TIFF": (lambda: tiffs.tiff("ushort", factor=257, image=GREY), GREY, 0),
    "16-bit RGB TIFF": (lambda: tiffs.tiff("ushort", factor=257), CHART, 0),
    "16-bit CMYK TIFF": (lambda: tiffs.tiff("ushort", factor=257, image=CHART.convert("CMYK")), CHART, 0),
    "BigTIFF": (lambda: tiffs.tiff(bigtiff=True), CHART, 0),
    "tiled TIFF": (lambda: tiffs.tiff(tile=True, tile_width=64, tile_height=64, compression="lzw"), CHART, 0),
    "TIFF in planes": (tiffs.planar_tiff, CHART, 0),
    "grey TIFF in planes": (lambda: tiffs.planar_grey(CLEAR.convert("LA")), CLEAR.convert("LA"), 0),
    "16-bit grey TIFF in planes": (lambda: tiffs.planar_grey(CLEAR.convert("LA"), 16), CLEAR.convert("LA"), 0),
    "grey TIFF in planes, white to black": (
        lambda: tiffs.planar_grey(CLEAR.convert("LA"), inverted=True),
        CLEAR.convert("LA"),
        0,
    ),
    "grey TIFF in planes, multiplied": (
        lambda: tiffs.planar_grey(HAZY, multiplied=True),
        HAZY,
        1,
    ),
    "16-bit grey TIFF in planes, multiplied": (
        lambda: tiffs.planar_grey(HAZY, 16, multiplied=True),
        HAZY,
        1,
    ),
    "float TIFF of 0 to 1": (lambda: tiffs.tiff("float", factor=1 / 255, image=GREY), GREY, 0),
    "float TIFF of 0 to 255": (lambda: tiffs.tiff("float", image=GREY), GREY, 0),
    "float TIFF of measurements": (lambda: tiffs.tiff("float", factor=-33.5, image=GREY), NEGATIVE, 1),
    "float TIFF of white to black": (
        lambda: tiffs.with_entry(tiffs.tiff("float", factor=1 / 255, image=GREY), 262, 0),
        GREY.point(lambda value: 255 - value),
        1,
    ),
    "32-bit TIFF of white to black": (
        lambda: tiffs.with_entry(tiffs.tiff("int", factor=70_000, image=GREY), 262, 0),
        NEGATIVE,
        1,
    ),
    "RGB TIFF with a fourth band": (lambda: tiffs.with_entry(images.encode(CLEAR, "TIFF"), 338, 0), CHART, 0),
    "32-bit TIFF of measurements": (lambda: tiffs.tiff("int", factor=70_000, image=GREY), STRETCHED, 1),
    "DNG with a preview": (lambda: tiffs.dng(CHART), CHART, 3),
    "DNG without a preview": (tiffs.dng, CHART, 16),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_kind_of_image_is_shown_in_its_colours(kind: str, thumbnail: Render) -> None:
    make, reference, within = FORMATS[kind]
    image = thumbnail(make(), "a.bin")
    assert image.size == reference.size
    assert difference(image, reference) <= within


@pytest.mark.parametrize(
    ("kind", "orientation"),
    [
        *product(["JPEG", "PNG", "WEBP", "TIFF", "HEIC", "AVIF", "JPEG 2000"], range(1, 9)),
        *product(["Zstandard TIFF"], [3, 5, 6]),  # libvips does not read these
        *product(["DNG"], [1, 3, 6, 8]),  # cameras do not mirror
    ],
)
def test_orientation_is_applied(kind: str, orientation: int, thumbnail: Render) -> None:
    stored = images.stored_as(CHART, orientation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind == "HEIC":
        data = images.heic(stored, exif=exif.tobytes())
    elif kind == "DNG":
        data = tiffs.dng(stored, orientation)
    elif kind == "JPEG 2000":
        data = raws.jp2(stored, orientation)
    elif kind == "Zstandard TIFF":
        data = images.encode(stored, "TIFF", exif=exif, compression="zstd")
    else:
        data = images.encode(stored, kind, exif=exif)
    image = thumbnail(data)
    assert image.size == CHART.size
    assert same_corners(image)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF"])
def test_a_thumbnail_is_of_the_format_asked_for(format_name: str, thumbnail: Render) -> None:
    image = thumbnail(images.jpeg(), format_name=format_name)
    assert image.format == format_name
    assert same_corners(image, within=40 if format_name == "GIF" else 12)


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("a_123.jpg", "JPEG"),
        ("a_123.JPEG", "JPEG"),
        ("a_1.jpe", "JPEG"),
        ("a_1.jfif", "JPEG"),
        ("a_1.png", "PNG"),
        ("a_1.gif", "GIF"),
        ("a_1.WebP", "WEBP"),
        ("a_1.bmp", "BMP"),
        ("a_1.avif", "AVIF"),
        ("a_1.tif", "PNG"),
        ("a", "PNG"),
    ],
)
def test_the_thumbnails_name_decides_its_format(name: str, format_name: str) -> None:
    assert output_format(name) == format_name


@pytest.mark.parametrize(
    ("size", "scale", "wanted"),
    [
        ((240, 160), 123, (123, 82)),
        ((160, 240), 123, (82, 123)),
        ((60, 40), 123, (60, 40)),
        ((123, 123), 123, (123, 123)),
        ((3000, 2), 100, (100, 1)),
        ((2, 3000), 100, (1, 100)),
        ((240, 160), 1, (1, 1)),
        ((1, 1), 4096, (1, 1)),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_thumbnail_fits_the_box_and_never_enlarges(
    size: tuple[int, int], scale: int, wanted: tuple[int, int], kind: str, thumbnail: Render
) -> None:
    assert thumbnail(images.encode(Image.new("RGB", size), kind), scale=scale).size == wanted


ODD = [(1201, 333), (333, 1201), (3000, 2000), (1000, 667), (801, 5), (299, 301), (50, 40)]
ORIGINALS = {
    "JPEG": ("a.jpg", "JPEG", images.jpeg),
    "rotated": ("a.jpg", "JPEG", lambda size: images.photograph(size, orientation=6)),
    "mirrored": ("a.jpg", "JPEG", lambda size: images.photograph(size, orientation=5)),
    "CMYK": ("a.jpg", "JPEG", lambda size: images.encode(images.chart(size).convert("CMYK"), "JPEG")),
    "PNG": ("a.png", "PNG", lambda size: images.encode(images.translucent().resize(size), "PNG")),
    "GIF": ("a.gif", "GIF", lambda size: images.encode(images.chart(size), "GIF")),
    "TIFF": ("a.tif", "PNG", lambda size: images.encode(images.chart(size), "TIFF")),
}
EVERY_SIZE = frozenset({"JPEG", "rotated"})


@pytest.mark.parametrize(
    ("kind", "size"), [(kind, size) for kind in ORIGINALS for size in (ODD if kind in EVERY_SIZE else ODD[:2])]
)
def test_a_smaller_thumbnail_is_of_the_same_size_whatever_it_is_made_of(kind: str, size: tuple[int, int]) -> None:
    name, format_name, make = ORIGINALS[kind]
    data = make(size)
    larger, whole = rendered(data, name, 280, format_name)
    assert whole is not None
    for scale in (140, 93, 70, 35, 2):
        fresh, _ = rendered(data, name, scale, format_name)
        ours, _ = rendered(larger, f"a_280{Path(name).suffix}", scale, format_name, whole)
        with Image.open(io.BytesIO(fresh)) as image, Image.open(io.BytesIO(ours)) as other:
            assert other.size == image.size == fit(whole, scale)
            assert min(image.size) < 16 or difference(image, other) < 3


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.webp", images.encode(images.chart(), "WEBP")),
        ("a.avif", images.encode(images.chart(), "AVIF")),
        ("a.jp2", images.encode(images.chart((1200, 800)), "JPEG2000")),
        ("a.pdf", images.pdf()),
    ],
)
def test_of_what_would_come_out_different_no_size_is_told(name: str, data: bytes) -> None:
    assert rendered(data, name, 100, output_format(f"a_100{Path(name).suffix}"))[1] is None


def rendered(
    data: bytes, name: str, scale: int, format_name: str, size: tuple[int, int] | None = None
) -> tuple[bytes, tuple[int, int] | None]:
    """A thumbnail, and what `render` tells of the original."""
    target = io.BytesIO()
    with in_memory(data) as source:
        whole = render(source, name, [Output(scale, format_name, target, name)], MAX_PIXELS, size)
    return target.getvalue(), whole


@pytest.mark.parametrize("kind", ["JPEG", "progressive", "PNG", "TIFF", "JPEG2000"])
def test_shrinking_on_load_is_as_good_as_a_full_decode(kind: str, thumbnail: Render) -> None:
    photo = Image.open(io.BytesIO(images.noisy_photograph((1500, 1000))))
    progressive = {"progressive": True} if kind == "progressive" else {}
    data = images.encode(photo, "JPEG" if progressive else kind, **progressive)
    reference = Image.open(io.BytesIO(data)).convert("RGB").resize((123, 82), Image.Resampling.LANCZOS)
    assert difference(thumbnail(data, scale=123), reference) < 3


def test_a_jpeg_thumbnail_of_a_detailed_photograph_is_near_a_full_decode(thumbnail: Render) -> None:
    data = images.detailed_photograph((3000, 2000))
    reference = Image.open(io.BytesIO(data)).convert("RGB").resize((123, 82), Image.Resampling.LANCZOS)
    image = thumbnail(data, scale=123, format_name="JPEG")
    assert sum(ImageStat.Stat(ImageChops.difference(image, reference)).mean) / 3 < 3


@pytest.mark.parametrize(
    ("profile", "numbers"),
    [(profiles.adobe_rgb(), profiles.in_adobe_rgb), (profiles.display_p3(), profiles.in_display_p3)],
    ids=["Adobe RGB", "Display P3"],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_colours_end_in_srgb(
    profile: bytes, numbers: Callable[[profiles.Colour], profiles.Colour], kind: str, thumbnail: Render
) -> None:
    image = profiles.squares([numbers(colour) for colour in images.CORNERS.values()])
    assert not same_corners(image)
    data = images.encode(image, kind, icc_profile=profile, **({} if kind in ("PNG", "TIFF") else {"quality": 95}))
    assert same_corners(thumbnail(data), within=8)


@pytest.mark.parametrize("method", [2, 3])
def test_the_profile_of_a_jpeg_2000_is_applied(method: int, thumbnail: Render) -> None:
    image = profiles.squares([profiles.in_adobe_rgb(colour) for colour in images.CORNERS.values()])
    assert same_corners(thumbnail(images.jp2_with_profile(image, profiles.adobe_rgb(), method)), within=3)


def test_a_grey_profile_is_applied(thumbnail: Render) -> None:
    data = images.encode(Image.new("L", (50, 50), 55), "PNG", icc_profile=profiles.linear_grey())
    assert thumbnail(data).getpixel((25, 25)) == pytest.approx(127, abs=2)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_a_cmyk_profile_is_applied(kind: str, thumbnail: Render) -> None:
    magenta_and_yellow = Image.new("CMYK", (50, 50), (0, 255, 255, 0))
    data = images.encode(magenta_and_yellow, kind, icc_profile=profiles.grey_inks())
    red, green, blue = thumbnail(data).getpixel((25, 25))  # type: ignore[misc]
    assert max(red, green, blue) - min(red, green, blue) <= 3
    assert green == pytest.approx(79, abs=4)


@pytest.mark.parametrize("profile", [b"nonsense", profiles.adobe_rgb()[:200], profiles.grey_inks()])
def test_a_profile_that_is_no_use_is_ignored(profile: bytes, thumbnail: Render) -> None:
    assert same_corners(thumbnail(images.jpeg(icc_profile=profile)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("format_name", ["PNG", "WEBP", "AVIF", "GIF"])
def test_alpha_is_kept(kind: str, format_name: str, thumbnail: Render) -> None:
    image = thumbnail(images.encode(CLEAR, kind), format_name=format_name, scale=120).convert("RGBA")
    assert image.getpixel((10, 10))[3] == 0  # type: ignore[index]
    assert image.getpixel((110, 10))[3] == 255  # type: ignore[index]
    if format_name != "GIF":
        assert image.getpixel((110, 70))[3] == pytest.approx(128, abs=3)  # type: ignore[index]


@pytest.mark.parametrize("format_name", ["JPEG", "BMP"])
def test_alpha_becomes_white_where_the_format_has_none(format_name: str, thumbnail: Render) -> None:
    image = thumbnail(images.encode(CLEAR, "PNG"), format_name=format_name)
    assert difference(image, on_white(CLEAR)) < 3


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF"])
@pytest.mark.parametrize("make", [images.photograph, images.animated_gif, images.annotated_png, images.annotated_tiff])
def test_no_metadata_is_left(make: Callable[[], bytes], format_name: str, thumbnail: Render, tmp_path: Path) -> None:
    image = thumbnail(make(), format_name=format_name)
    assert not image.getexif()
    assert not {"exif", "icc_profile", "xmp", "comment", "photoshop"} & set(image.info)
    content = (tmp_path / "target").read_bytes()
    assert not any(word in content for word in (b"secret", b"Exif", b"xmpmeta", b"Specimen", b"acsp"))


def test_the_second_page_is_not_shown(thumbnail: Render) -> None:
    data = images.encode(CHART, "TIFF", save_all=True, append_images=[Image.new("RGB", CHART.size)])
    assert difference(thumbnail(data), CHART) == 0


def test_a_smaller_second_page_is_not_taken_for_a_reduced_version(thumbnail: Render) -> None:
    data = tiffs.two_pages(images.chart((960, 640)), Image.new("RGB", (480, 320)), reduced=False)
    assert same_corners(thumbnail(data, scale=60))


def test_a_reduced_version_in_a_tiff_is_used_when_it_is_large_enough(thumbnail: Render) -> None:
    other = images.chart((480, 320)).transpose(Image.Transpose.ROTATE_180)
    data = tiffs.two_pages(images.chart((960, 640)), other, reduced=True)
    assert same_corners(thumbnail(data, scale=60).transpose(Image.Transpose.ROTATE_180))
    assert same_corners(thumbnail(data, scale=300))


@pytest.mark.parametrize("subifd", [False, True])
def test_a_pyramid_is_shown(subifd: bool, thumbnail: Render) -> None:
    image = images.chart((960, 640))
    data = tiffs.tiff(image=image, tile=True, tile_width=64, tile_height=64, pyramid=True, subifd=subifd)
    assert same_corners(thumbnail(data, scale=60))


@pytest.mark.parametrize("size", [(240, 160), (2, 1), (14_400, 14_400), (2_000_000, 1_000_000), (1, 9000)])
def test_the_first_page_of_a_pdf_of_any_size_fills_the_box(size: tuple[int, int], thumbnail: Render) -> None:
    image = thumbnail(images.pdf(size, pages=3), "a.pdf", scale=120)
    assert max(image.size) == 120
    if size[0] > 1:
        assert same_corners(image)
        assert image.convert("RGB").getpixel((image.width // 2, image.height // 2)) == (255, 255, 255)


def test_an_encrypted_pdf_is_refused(thumbnail: Render) -> None:
    with pytest.raises(BrokenImage, match="password"):
        thumbnail(images.pdf(encrypted=True), "a.pdf")


def test_a_pdf_without_pages_is_not_taken_for_an_encrypted_one(thumbnail: Render) -> None:
    with pytest.raises(BrokenImage, match="password"):
        thumbnail(images.pdf(encrypted=True), "a.pdf")
    with pytest.raises(BrokenImage, match="is damaged or has no pages"):
        thumbnail(images.pdf().replace(b"/Kids [3 0 R] /Count 1", b"/Kids [     ] /Count 0"), "a.pdf")


@pytest.mark.parametrize("compression", ["raw", "zstd"])
@pytest.mark.parametrize("wrong", [math.inf, -math.inf, math.nan, -3.4e38])
def test_what_is_no_measurement_is_black_and_the_rest_is_scaled(
    wrong: float, compression: str, thumbnail: Render
) -> None:
    image = STRETCHED.convert("F").point(lambda value: value * 10.0 + 1000.0)
    image.paste(wrong, (0, 0, 40, 40))
    seen = thumbnail(images.encode(image, "TIFF", compression=compression))
    reference = STRETCHED.copy()
    reference.paste(0, (0, 0, 40, 40))
    assert difference(seen, reference) <= 1


@pytest.mark.parametrize("compression", ["raw", "zstd"])
@pytest.mark.parametrize("mode", ["F", "I"])
def test_what_a_map_says_is_no_data_does_not_count(mode: str, compression: str, thumbnail: Render) -> None:
    image = STRETCHED.convert(mode).point(lambda value: value * 10 + 1000)
    image.paste(-9999, (0, 0, 40, 40))
    seen = thumbnail(images.encode(image, "TIFF", compression=compression, tiffinfo={42113: "-9999"}))
    reference = STRETCHED.copy()
    reference.paste(0, (0, 0, 40, 40))
    assert difference(seen, reference) <= 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiffs.with_entry(images.encode(CHART, "TIFF"), 259, 34712), "TIFF in JPEG 2000 compression is not supported"),
        (tiffs.with_entry(images.encode(CHART, "TIFF"), 259, 50002), "TIFF in JPEG XL compression is not supported"),
        (tiffs.with_entry(images.encode(CHART, "TIFF"), 259, 34887), "TIFF in LERC compression is not supported"),
        (tiffs.with_entry(images.encode(CHART, "TIFF"), 259, 7777), "damaged or ends too early"),
        (tiffs.with_entry(tiffs.tiff(image=GREY, compression="jpeg"), 258, 12), "TIFF in 12-bit JPEG compression is"),
        (tiffs.tiff("double", image=GREY), "TIFF of 64 bits per sample is not supported"),
        (tiffs.of_depth(GREY, 10), "TIFF with 10-bit samples is not supported"),
        (tiffs.of_depth(CHART, 4), "TIFF with several 4-bit samples per pixel is not supported"),
        (tiffs.of_depth(CHART, 12), "TIFF with several 12-bit samples per pixel is not supported"),
        (tiffs.with_depths(5, 6, 5), "TIFF with samples of different depths is not supported"),
        (tiffs.of_depth(CHART.convert("YCbCr"), 16), "TIFF in YCbCr with 16-bit samples is not supported"),
        (tiffs.planar_ycbcr(), "TIFF in YCbCr with separate planes is not supported"),
        (images.damaged(images.encode(CHART, "TIFF", compression="zstd")), "damaged or ends too early"),
        (images.jpeg_frame(0xC1, bits=12), "12-bit JPEG is not supported"),
        (images.jpeg_frame(0xC3, bits=16), "16-bit JPEG is not supported"),
        (images.jpeg_frame(0xCB), "lossless JPEG in arithmetic or differential coding is not supported"),
        (images.jpeg_frame(0xF7), "JPEG-LS is not supported"),
        (images.psd().replace(b"\0\x08\0\x03", b"\0\x20\0\x03", 1), "32-bit Photoshop files are not supported"),
    ],
)
def test_the_reason_is_the_true_one(data: bytes, reason: str, thumbnail: Render) -> None:
    with pytest.raises(BrokenImage, match=reason):
        thumbnail(data)


@pytest.mark.parametrize("format_name", ["WEBP", "JPEG"])
@pytest.mark.slow
def test_a_decoder_short_of_memory_does_not_make_a_file_damaged(format_name: str, tmp_path: Path) -> None:
    source = tmp_path / "large"
    progressive = {"progressive": True} if format_name == "JPEG" else {"method": 0}
    source.write_bytes(images.encode(Image.new("RGB", (8000, 8000)), format_name, **progressive))
    assert limited(source, "large", 180) == "the picture needs more memory than the limit of 180 MiB"


def test_a_truncated_jpeg_shows_what_there_is(thumbnail: Render) -> None:
    data = images.noisy_photograph((600, 400))
    image = thumbnail(data[: len(data) // 2], scale=120)
    seen, whole = images.corners(image), images.corners(thumbnail(data, scale=120))
    assert seen["top left"] == pytest.approx(whole["top left"], abs=3)
    assert seen["top right"] == pytest.approx(whole["top right"], abs=3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_truncated_file_of_another_kind_shows_what_there_is(kind: str, thumbnail: Render) -> None:
    data = images.encode(CHART, kind)
    if kind == "TIFF":
        data = tiffs.two_pages(CHART, CHART, reduced=False)[: CHART.width * CHART.height * 3]
    else:
        data = data[: len(data) * 3 // 4]
    assert images.corners(thumbnail(data))["top left"] == images.CORNERS["top left"]


@pytest.mark.parametrize("size", [40, 120, 200])
@pytest.mark.parametrize("kind", ["JPEG", "progressive", "WEBP", "GIF", "AVIF", "JPEG2000"])
def test_a_file_that_shows_nothing_is_broken(kind: str, size: int, thumbnail: Render) -> None:
    data = images.jpeg(progressive=True) if kind == "progressive" else images.encode(CHART, kind)
    with pytest.raises(BrokenImage, match="damaged or ends too early"):
        thumbnail(data[:size])


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (images.png_bomb(), "a.png"),
        (images.jpeg_bomb(), "a.jpg"),
        (images.tiff_bomb(), "a.tif"),
        (images.gif_bomb(), "a.gif"),
        (images.bmp_bomb(), "a.bmp"),
        (images.psd_bomb(), "a.psd"),
    ],
)
def test_a_bomb_is_refused_by_its_header(data: bytes, name: str, thumbnail: Render) -> None:
    with pytest.raises(BrokenImage, match="megapixels, more than the limit of 500"):
        thumbnail(data, name)


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "TIFF", "HEIC", "AVIF", "WEBP", "GIF", "BMP", "JPEG2000", "PSD", "DNG"]
)
def test_the_pixel_limit_counts_for_every_kind(kind: str, thumbnail: Render) -> None:
    makers = {"HEIC": images.heic, "PSD": images.psd, "DNG": lambda: tiffs.dng(CHART)}
    data = makers.get(kind, lambda: images.encode(CHART, kind))()
    with pytest.raises(BrokenImage, match=r"the picture has 0\.0384 megapixels, more than the limit of 0\.03"):
        thumbnail(data, max_pixels=30_000)


@pytest.mark.parametrize("name", ["a.txt", "a", "a.svg", "a.tif", "a.nef"])
def test_the_content_decides_how_a_file_is_read(name: str, thumbnail: Render) -> None:
    assert same_corners(thumbnail(images.jpeg(), name))
    assert same_corners(thumbnail(images.encode(CHART, "TIFF"), name))


@pytest.mark.parametrize("content", [b"", b"Just a text", b"\0" * 5000, b"BMW is no bitmap, this is a text"])
def test_a_name_that_claims_an_image_makes_other_content_broken(content: bytes, thumbnail: Render) -> None:
    for name in ("a.jpg", "a.TIF", "a.pdf", "a.heic", "a.nef", "a.psd"):
        with pytest.raises(BrokenImage):
            thumbnail(content, name)
    for name in ("a.txt", "a", "a.mp3", "a.docx", "a.svg"):
        with pytest.raises(NoThumbnail):
            thumbnail(content, name)


def limited(source: Path, name: str, mebibytes: int) -> str:
    """Render within so much address space: the reason why not, or "" when the thumbnail is there."""
    script = """if True:
        import resource, sys
        from was_daemon.imaging.render import Output, render
        from was_daemon.model.errors import BrokenImage
        resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[3]) << 20,) * 2)
        try:
            with open(sys.argv[1], "rb") as original, open(sys.argv[1] + ".out", "wb") as target:
                render(original, sys.argv[2], [Output(123, "PNG", target, sys.argv[2])], 500_000_000)
        except BrokenImage as error:
            sys.exit(str(error))
    """
    arguments = [sys.executable, "-c", script, str(source), name, str(mebibytes)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60).stderr.strip()


@pytest.mark.slow
def test_a_tiff_of_400_megapixels_fits_into_the_default_memory(tmp_path: Path) -> None:
    source = tmp_path / "large.tif"
    source.write_bytes(tiffs.blank((20_000, 20_000)))
    with source.open("r+b") as file:
        file.truncate(file.seek(0, 2) + 3 * 20_000**2)
    assert limited(source, "large.tif", 1024) == ""
    assert Image.open(f"{source}.out").size == (123, 123)


def test_a_webp_is_decoded_at_reduced_size(tmp_path: Path) -> None:
    """Whole, with its two canvases, one of 64 megapixels would need 768 MB."""
    source = tmp_path / "large.webp"
    Image.new("RGB", (8000, 8000), "green").save(source, method=0)
    assert limited(source, "large.webp", 512) == ""
    assert Image.open(f"{source}.out").size == (123, 123)


def test_a_picture_that_does_not_fit_into_memory_is_broken(tmp_path: Path) -> None:
    source = tmp_path / "large.bmp"
    source.write_bytes(images.bmp_bomb(18_000))
    with source.open("r+b") as file:
        file.truncate(54 + 3 * 18_000**2)
    assert limited(source, "large.bmp", 1024) == "the picture needs more memory than the limit of 1024 MiB"


def test_svg_has_no_thumbnails(thumbnail: Render) -> None:
    with pytest.raises(NoThumbnail):
        thumbnail(b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>', "a.svg")


def test_camera_raw_needs_its_extra(thumbnail: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(NoThumbnail, match='the optional extra "raw"'):
        thumbnail(tiffs.dng(CHART), "a.dng")


def test_reasons_are_one_line_without_a_path(thumbnail: Render, tmp_path: Path) -> None:
    for make in (images.jpeg, images.pdf, images.psd, images.heic, lambda: images.encode(CHART, "TIFF"), tiffs.dng):
        with pytest.raises(BrokenImage) as failure:
            thumbnail(make()[:60], "a.jpg")
        assert "\n" not in str(failure.value)
        assert str(tmp_path) not in str(failure.value)


def test_several_thumbnails_come_of_one_decode() -> None:
    outputs = [Output(scale, "PNG", io.BytesIO(), "a.jpg") for scale in (60, 480, 123)]
    render(io.BytesIO(images.jpeg((960, 640))), "a.jpg", outputs, MAX_PIXELS)
    for output in outputs:
        image = Image.open(output.target)
        assert image.width == output.scale
        assert same_corners(image)


@pytest.mark.parametrize("owner", ["a.tif", "Käfer – 甲虫.pdf", "x" * 255])
def test_a_png_thumbnail_records_its_owner(owner: str, thumbnail: Render, tmp_path: Path) -> None:
    thumbnail(images.jpeg(), owner)
    head = (tmp_path / "target").read_bytes()[:600]
    assert png_owner(head) == owner


@pytest.mark.parametrize("head", [b"", b"\x89PNG\r\n\x1a\n", images.encode(CHART, "PNG")[:600], images.jpeg()[:600]])
def test_other_files_record_no_owner(head: bytes) -> None:
    assert png_owner(head) is None
