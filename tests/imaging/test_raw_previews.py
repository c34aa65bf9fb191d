"""The preview in camera RAW files that LibRaw cannot read, because they are new or cut down: found, and upright."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.support import images, raws, tiffs
from was_daemon.imaging.render import Output, render
from was_daemon.model.errors import BrokenImage

Render = Callable[..., Image.Image]


@pytest.fixture
def thumbnail(tmp_path: Path) -> Render:
    """The thumbnail of a file of these bytes, as large as the chart."""

    def of_bytes(data: bytes, name: str, scale: int = 240) -> Image.Image:
        source, target = tmp_path / "source", io.BytesIO()
        source.write_bytes(data)
        with source.open("rb") as file:
            render(file, name, [Output(scale, "PNG", target, name)], 500_000_000)
        return Image.open(target)

    return of_bytes


def is_chart(image: Image.Image, size: tuple[int, int] = images.CHART_SIZE) -> bool:
    """Whether the picture is the chart, upright: its corners differ in colour."""
    expected = images.corners(images.chart())
    found = images.corners(image.convert("RGB"))
    near = all(abs(a - b) < 12 for corner in expected for a, b in zip(expected[corner], found[corner], strict=True))
    return near and image.size == size


def plain(orientation: int) -> bytes:
    """A preview without EXIF, its pixels stored for an orientation."""
    return images.encode(images.stored_as(images.chart(), orientation), "JPEG", quality=92)


def with_exif(orientation: int) -> bytes:
    return raws.camera_jpeg(images.stored_as(images.chart(), orientation), orientation)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.cr3", lambda turned: raws.cr3(plain(turned), turned)),
        ("b.cr3", lambda turned: raws.cr3(with_exif(turned), turned)),
        ("c.CR3", lambda turned: raws.cr3(with_exif(turned))),
        ("a.rw2", lambda turned: raws.rw2(with_exif(turned))),
        ("a.raf", lambda turned: raws.raf(with_exif(turned))),
        ("a.x3f", lambda turned: raws.x3f({"CAMMANUF": "SIGMA"}, with_exif(turned))),
        ("a.nef", lambda turned: tiffs.dng(images.stored_as(images.chart(), turned), turned, pruned=True)),
    ],
)
def test_the_preview_is_upright(name: str, make: Callable[[int], bytes], orientation: int, thumbnail: Render) -> None:
    assert is_chart(thumbnail(make(orientation), name))


def test_a_preview_that_says_nothing_of_its_own_turn_is_turned(thumbnail: Render) -> None:
    """Its EXIF says 1, but the camera was turned, and the preview is as wide as the sensor."""
    tall = images.chart((160, 240))
    wide = raws.camera_jpeg(images.stored_as(tall, 6), orientation=1)
    assert thumbnail(raws.cr3(wide, 6), "a.cr3").size == (160, 240)


def test_a_preview_that_was_turned_already_stays(thumbnail: Render) -> None:
    tall = raws.camera_jpeg(images.chart((160, 240)), orientation=1)
    assert thumbnail(raws.cr3(tall, 6), "a.cr3").size == (160, 240)


def test_the_largest_of_several_previews_is_shown(thumbnail: Render) -> None:
    small = images.encode(Image.new("RGB", (160, 120), "red"), "JPEG")
    large = images.jpeg((480, 320))
    assert is_chart(thumbnail(raws.cr3(small + large + small), "a.cr3"))


def test_a_damaged_preview_gives_way_to_a_smaller_one(thumbnail: Render) -> None:
    large = images.jpeg((960, 640))
    assert is_chart(thumbnail(raws.cr3(large[: len(large) // 3] + images.jpeg((480, 320))), "a.cr3"))


def test_what_there_is_of_the_only_preview_is_shown(thumbnail: Render) -> None:
    whole = images.jpeg((960, 640))
    cut = raws.cr3(b"")[:-72] + whole[: len(whole) * 2 // 3]
    assert thumbnail(cut, "a.cr3").size == images.CHART_SIZE


def test_the_sensors_lossless_jpeg_is_no_preview(thumbnail: Render) -> None:
    with pytest.raises(BrokenImage, match="the camera RAW data cannot be read"):
        thumbnail(raws.cr3(images.jpeg_frame(0xC3)), "a.cr3")


def test_a_file_of_many_starts_ends(thumbnail: Render) -> None:
    with pytest.raises(BrokenImage):
        thumbnail(raws.cr3(b"\xff\xd8\xff\xe0\0\2" * 500_000), "a.cr3")


def test_a_tiff_named_like_a_cameras_is_not_its_own_preview(thumbnail: Render) -> None:
    tiff = images.encode(images.chart(), "TIFF") + images.encode(Image.new("RGB", (400, 300), "red"), "JPEG")
    assert is_chart(thumbnail(tiff, "a.nef"))
