"""Media types are found in the bytes, under the names that extensions have."""

import io
import zipfile

import pytest
from PIL import Image

from tests.support import images, raws, recordings, tiffs
from was_daemon.imaging.media_types import _PICTURES, _RAW_SIGNATURES, _SIGNATURES, detect_media_type
from was_daemon.model.media import media_type

CHART = images.chart()


def archive(*names: str, mimetype: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        if mimetype:
            file.writestr("mimetype", mimetype)
        for name in names:
            file.writestr(name, "content")
    return out.getvalue()


def ole(stream: str) -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + stream.encode("utf-16-le").ljust(512, b"\0")


ODF = "application/vnd.oasis.opendocument.text"
HEIC = images.heic()
CONTENTS = {
    "a.jpg": images.jpeg(),
    "a.png": images.encode(CHART, "PNG"),
    "a.gif": images.encode(CHART, "GIF"),
    "a.webp": images.encode(CHART, "WEBP"),
    "a.bmp": images.encode(CHART, "BMP"),
    "a.avif": images.encode(CHART, "AVIF"),
    "a.heic": HEIC,
    "a.jp2": raws.jp2(),
    "a.psd": images.psd(),
    "a.tif": images.encode(CHART, "TIFF"),
    "a.dng": tiffs.dng(),
    "a.raf": raws.raf(images.jpeg()),
    "a.mrw": raws.mrw(),
    "a.x3f": raws.x3f({}),
    "a.crw": raws.crw(),
    "a.cr3": raws.cr3(),
    "a.orf": raws.orf(),
    "a.rw2": raws.rw2(images.jpeg()),
    "a.pdf": images.pdf(),
    "a.mp4": recordings.film("mp4"),
    "a.mov": recordings.film("mov"),
    "a.webm": recordings.film("webm"),
    "a.mkv": recordings.film("mkv"),
    "a.mp3": recordings.sound("mp3"),
    "a.wav": recordings.sound("wav"),
    "a.flac": recordings.sound("flac"),
    "a.ogg": recordings.sound("opus"),
    "a.m4a": recordings.sound("m4a"),
    "a.zip": archive("a.txt", "b.txt"),
    "a.docx": archive("[Content_Types].xml", "word/document.xml"),
    "a.xlsx": archive("[Content_Types].xml", "xl/workbook.xml"),
    "a.odt": archive("content.xml", mimetype=ODF),
    "a.kmz": archive("doc.kml"),
    "a.doc": ole("WordDocument"),
    "a.xls": ole("Workbook"),
    "a.rtf": b"{\\rtf1\\ansi fish}",
    "a.txt": "Fische, Käfer und Öl\n".encode(),
    "a.csv": b"name;size\r\nfish;3\r\n",
    "a.json": b'{"fish": 3}',
    "a.nex": b"#NEXUS\nbegin trees;\n",
    "a.xml": b'<?xml version="1.0"?><records/>',
    "a.svg": b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "a.html": b"<!DOCTYPE html>\n<html><title>Fish</title></html>",
    "a.kml": b'<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"></kml>',
    "a.gpx": b'\xef\xbb\xbf<gpx version="1.1"></gpx>',
    "a.glb": b"glTF\2\0\0\0" + bytes(20),
    "a.dcm": bytes(128) + b"DICM" + bytes(20),
}


def detect(content: bytes, name: str) -> str | None:
    return detect_media_type(io.BytesIO(content), name)


@pytest.mark.parametrize("name", CONTENTS)
def test_the_bytes_tell_the_type_that_the_right_extension_has(name: str) -> None:
    assert media_type(name) != "application/octet-stream"
    assert detect(CONTENTS[name], name) == media_type(name)


@pytest.mark.parametrize("name", [name for name in CONTENTS if name not in ("a.csv", "a.json", "a.nex", "a.m4a")])
def test_a_wrong_extension_does_not_deceive(name: str) -> None:
    wrong = "a.png" if name != "a.png" else "a.jpg"
    assert detect(CONTENTS[name], wrong) == media_type(name)
    assert detect(CONTENTS[name], "a") == media_type(name)


def test_an_extension_chooses_among_the_types_that_the_bytes_allow() -> None:
    assert detect(CONTENTS["a.csv"], "a.csv") == "text/csv"
    assert detect(CONTENTS["a.csv"], "a.jpg") == "text/plain"
    assert detect(b"K\xe4fer", "a.txt") == "text/plain"
    assert detect(b"K\xe4fer", "a.jpg") is None
    assert detect("Käfer".encode("utf-16"), "a") == "text/plain"


def test_a_tiff_of_a_camera_is_told_by_its_maker() -> None:
    with_maker = Image.Exif()
    with_maker[271] = "NIKON CORPORATION"
    nef = images.encode(CHART, "TIFF", exif=with_maker)
    assert detect(nef, "a.nef") == media_type("a.nef")
    assert detect(nef, "a.tif") == media_type("a.tif")
    assert detect(CONTENTS["a.tif"], "a.nef") == media_type("a.tif")


@pytest.mark.parametrize("content", [b"", bytes(2000), b"\x01\x02\x03", b"\xff\xe0 no sound", b"RIFF\0\0\0\0ABCD\0"])
def test_bytes_that_tell_nothing_have_no_type(content: bytes) -> None:
    assert detect(content, "a.jpg") is None


def test_words_in_a_text_are_no_marks() -> None:
    assert detect(b"The free text, with %PDF- in it", "a.txt") in ("text/plain", media_type("a.pdf"))
    assert detect(b"The free text", "a.txt") == "text/plain"
    assert detect(b"MZB 123", "a.txt") == "text/plain"
    assert detect(b"ID3 is a tag", "a.txt") == "text/plain"


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("length", [1, 7, 13, 40, 200])
def test_the_beginning_of_a_file_is_read_without_an_error(name: str, length: int) -> None:
    detect(CONTENTS[name][:length], name)


def test_every_extension_in_the_tables_has_a_type() -> None:
    extensions = [found for _, _, found in (*_SIGNATURES, *_RAW_SIGNATURES) if found.startswith(".")]
    for extension in (*extensions, *_PICTURES.values()):
        assert media_type(f"a{extension}") != "application/octet-stream", extension
