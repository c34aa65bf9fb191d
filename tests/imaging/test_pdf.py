"""The first page of PDF files that are no plain pictures: forms, scans, encrypted ones."""

import pytest

from tests.imaging.conftest import Render
from tests.support import images, pdfs
from tests.support.likeness import same_corners
from tests.support.slow import slow_after
from was_daemon.imaging.jpeg2000 import decomposition_levels
from was_daemon.model.errors import BrokenImage

SCAN_SIZE = (1200, 800)


def jpeg_2000(resolutions: int) -> bytes:
    return images.encode(images.chart(SCAN_SIZE), "JPEG2000", num_resolutions=resolutions, irreversible=True)


@pytest.mark.parametrize("fields", ["[5 0 R]", "[]", ""])
def test_form_fields_are_drawn(fields: str, thumbnail: Render) -> None:
    assert same_corners(thumbnail(pdfs.form(fields), "permit.pdf"))


@pytest.mark.parametrize("fields", ["[5 0 R]", "[]", ""])
def test_fields_of_no_kind_are_drawn(fields: str, thumbnail: Render) -> None:
    assert same_corners(thumbnail(pdfs.form(fields, kind=""), "permit.pdf"))


def test_a_field_of_no_kind_is_drawn_beside_what_was_filled_in(thumbnail: Render) -> None:
    image = thumbnail(pdfs.filled_form(beside_a_loose_field=True), "permit.pdf").convert("L")
    assert sum(image.crop((0, 40, 240, 160)).histogram()[:100]) > 200
    assert image.crop((200, 0, 240, 30)).getextrema()[0] < 200


def test_what_was_filled_in_is_drawn(thumbnail: Render) -> None:
    image = thumbnail(pdfs.filled_form(), "permit.pdf").convert("L")
    assert sum(image.histogram()[:100]) > 200
    assert image.getpixel((230, 10)) == 255


@pytest.mark.parametrize("scale", slow_after(2, [60, 256, 1, 16, 123, 600]))
@pytest.mark.parametrize("resolutions", [1, 2, 3, 6])
def test_a_scan_of_few_resolutions_is_shown_at_every_scale(resolutions: int, scale: int, thumbnail: Render) -> None:
    image = thumbnail(pdfs.scan(jpeg_2000(resolutions), SCAN_SIZE), "scan.pdf", scale=scale)
    assert image.size == (scale, max(1, round(scale * 2 / 3)))
    assert scale < 16 or same_corners(image)
    assert image.convert("L").getextrema()[0] < 200


@pytest.mark.parametrize("size", [(240, 160), (612, 792), (595.28, 841.89), (333, 1201), (842, 1191), (100.5, 71.3)])
def test_a_page_fills_the_box_and_keeps_its_proportions_at_every_scale(
    size: tuple[float, float], thumbnail: Render
) -> None:
    for scale in (7, 60, 100, 123, 200, 256, 500, 1000, 2048):
        expected = tuple(round(side * scale / max(size)) for side in size)
        assert thumbnail(images.pdf(size), "a.pdf", scale=scale).size == expected


@pytest.mark.parametrize("resolutions", [1, 3, 6])
def test_a_scan_has_the_size_of_any_other_page(resolutions: int, thumbnail: Render) -> None:
    data = pdfs.scan(jpeg_2000(resolutions), SCAN_SIZE)
    for scale in (256, 500, 1000):
        assert thumbnail(data, "a.pdf", scale=scale).size == thumbnail(images.pdf(), "a.pdf", scale=scale).size


@pytest.mark.parametrize("nested", [False, True])
def test_a_scan_is_shown_beside_what_else_is_on_its_page(nested: bool, thumbnail: Render) -> None:
    data = pdfs.scan(jpeg_2000(1), SCAN_SIZE, text="17", nested=nested)
    assert same_corners(thumbnail(data, "scan.pdf", scale=60))


def test_a_white_page_stays_white(thumbnail: Render) -> None:
    assert thumbnail(pdfs.white(), "white.pdf", scale=60).convert("RGB").getextrema() == ((255, 255),) * 3


def test_a_pdf_that_opens_with_the_empty_password_is_shown(thumbnail: Render) -> None:
    assert same_corners(thumbnail(pdfs.encrypted(), "a.pdf"))


def test_a_pdf_that_needs_a_password_is_refused(thumbnail: Render) -> None:
    with pytest.raises(BrokenImage, match="protected by a password"):
        thumbnail(pdfs.encrypted(b"secret"), "a.pdf")
    with pytest.raises(BrokenImage, match="protected by a password"):
        thumbnail(pdfs.encrypted().replace(b"/Standard", b"/Unknown "), "a.pdf")


@pytest.mark.parametrize("resolutions", [1, 2, 6])
def test_the_levels_of_a_jpeg_2000_are_found(resolutions: int) -> None:
    data = jpeg_2000(resolutions)
    assert decomposition_levels(data) == resolutions - 1
    start = data.index(b"\xff\x4f\xff\x51")
    assert decomposition_levels(data[start:]) == resolutions - 1
    assert decomposition_levels(data[:start]) is None
    assert decomposition_levels(data[: start + 40]) is None
