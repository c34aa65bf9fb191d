"""Descriptions of originals: the sizes of pages are those in which they are shown."""

import io
import json
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image, TiffImagePlugin

from tests.support import images, recordings, tiffs
from was_daemon.imaging.description import describe
from was_daemon.imaging.full_size import readers
from was_daemon.model.descriptions import Description
from was_daemon.model.facts import Facts


def description(content: bytes, name: str) -> Description:
    found = describe(io.BytesIO(content), name)
    assert Description.parse(json.loads(json.dumps(found.pack()))) == found
    return found


def turned_tiff() -> bytes:
    out = io.BytesIO()
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (300, 200), "red").save(out, "TIFF", exif=turned)
    return out.getvalue()


def many_pages(count: int) -> bytes:
    first, *others = [Image.new("L", (30 + number, 20)) for number in range(count)]
    out = io.BytesIO()
    first.save(out, "TIFF", save_all=True, append_images=others)
    return out.getvalue()


def pages_with_levels(count: int) -> bytes:
    """A document whose pages are each followed by two smaller versions."""
    out = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(out, True) as writer:
        for reduction in (1, 2, 4) * count:
            entries = TiffImagePlugin.ImageFileDirectory_v2()
            entries[254] = int(reduction > 1)
            Image.new("RGB", (60 // reduction, 40 // reduction)).save(writer, "TIFF", tiffinfo=entries)
            writer.newFrame()
    return out.getvalue()


def uneven_pdf() -> bytes:
    document = pypdfium2.PdfDocument.new()
    for size in ((100.4, 200.7), (3000, 20), (842, 595)):
        document.new_page(*size)
    document[2].set_rotation(90)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("turned.tif", turned_tiff()),
        ("two.tif", tiffs.two_pages(Image.new("RGB", (300, 200)), Image.new("RGB", (120, 400)), reduced=False)),
        ("many.tif", many_pages(100)),
        ("uneven.pdf", uneven_pdf()),
        ("form.pdf", images.pdf((595, 842), pages=3)),
    ],
)
def test_pages_have_the_sizes_in_which_they_are_shown(tmp_path: Path, name: str, content: bytes) -> None:
    source = tmp_path / name
    source.write_bytes(content)
    with source.open("rb") as file:
        sizes = describe(file, name).pages
        assert len(sizes) == readers(file, name, 1, 1 << 40)[0]().pages
        for number, size in enumerate(sizes, 1):
            image = readers(file, name, number, 1 << 40)[0]().image
            assert (image.width, image.height) == size


def test_what_has_no_pages_has_no_sizes() -> None:
    assert description(images.photograph(), "a.jpg").pages == []
    assert description(tiffs.dng(), "a.dng").pages == []
    assert description(b"text", "a.txt") == Description([], [], None, Facts("text/plain"))
    assert description(b"%PDF-1.4 damaged", "a.pdf").pages == []


def test_a_recording_is_told_by_its_bytes_or_its_name() -> None:
    film = recordings.film("mp4")
    assert description(film, "a.mp4").recording
    assert description(film, "a.jpg").recording
    assert description(images.photograph(), "a.jpg").recording is None


def test_metadata_are_those_of_getmetadata() -> None:
    assert {group["Name"] for group in description(images.photograph(), "a.jpg").metadata} >= {"Image", "EXIF", "GPS"}


def test_smaller_versions_are_no_pages_however_many_pages_there_are(tmp_path: Path) -> None:
    source = tmp_path / "levels.tif"
    source.write_bytes(pages_with_levels(30))
    with source.open("rb") as file:
        assert describe(file, "levels.tif").pages == [(60, 40)] * 30
