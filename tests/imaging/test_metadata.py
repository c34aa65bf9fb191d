"""Metadata as Specify asks for it: contract, section 3, getmetadata."""

import io
import json
import random
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support import images, tiffs
from was_daemon.imaging.capture_date import capture_date
from was_daemon.imaging.metadata import read_metadata

Read = Callable[[bytes], list[dict[str, Any]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """The metadata of a file of these bytes."""

    def read_bytes(data: bytes) -> list[dict[str, Any]]:
        source = tmp_path / "source"
        source.write_bytes(data)
        with source.open("rb") as file:
            return read_metadata(file)

    return read_bytes


def fields(metadata: list[dict[str, Any]], group: str) -> dict[str, str]:
    """The fields of a group, which occurs once."""
    (found,) = (entry["Fields"] for entry in metadata if entry["Name"] == group)
    return dict(found)


def exif_of_photograph() -> bytes:
    return bytes(Image.open(io.BytesIO(images.photograph())).info["exif"])


CARRIERS: dict[str, Callable[[], bytes]] = {
    "JPEG": images.photograph,
    "TIFF": tiffs.photograph,
    "PNG": lambda: images.encode(images.chart(), "PNG", exif=exif_of_photograph()),
    "WebP": lambda: images.encode(images.chart(), "WEBP", exif=exif_of_photograph()),
    "AVIF": lambda: images.encode(images.chart(), "AVIF", exif=exif_of_photograph()),
    "HEIC": lambda: images.heic(exif=exif_of_photograph()),
}


@pytest.mark.parametrize("kind", CARRIERS)
def test_tags_are_grouped_by_their_first_word(kind: str, read: Read) -> None:
    metadata = read(CARRIERS[kind]())
    assert {"Image", "EXIF", "GPS"} <= {group["Name"] for group in metadata}
    assert fields(metadata, "EXIF")["DateTimeOriginal"] == images.TAKEN
    assert fields(metadata, "Image")["Make"] == "Specimen Optics"
    assert fields(metadata, "GPS")["GPSLatitude"] == "[52, 31, 48]"


@pytest.mark.parametrize("kind", CARRIERS)
def test_the_date_is_when_the_picture_was_taken(kind: str, read: Read) -> None:
    assert capture_date(read(CARRIERS[kind]())) == "2012:02:02 13:48:41"


def test_values_are_short_printable_strings(read: Read) -> None:
    data = images.photograph()
    metadata = read(data)
    json.dumps(metadata)
    for group in metadata:
        assert set(group) == {"Name", "Fields"}
        for name, value in group["Fields"].items():
            assert isinstance(value, str), name
            assert value.isprintable(), name
            assert len(value.encode()) <= 1024, name
            assert "binary maker note" not in value


def test_long_values_are_cut(read: Read) -> None:
    exif = Image.Exif()
    exif[0x010E] = "é甲" * 10_000
    value = fields(read(images.jpeg(exif=exif)), "Image")["ImageDescription"]
    assert 50 < len(value.encode()) <= 1024


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_text_in_an_old_encoding_is_text(encoding: str, read: Read) -> None:
    exif = Image.Exif()
    exif[0x013B] = "Zoé A".encode(encoding)
    assert fields(read(images.jpeg(exif=exif)), "Image")["Artist"] == "Zoé A"


def test_control_characters_are_dropped(read: Read) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a\x07b\x1b[31m\r\nc"
    assert fields(read(images.jpeg(exif=exif)), "Image")["ImageDescription"].isprintable()


def test_an_embedded_thumbnail_is_not_handed_out(read: Read) -> None:
    metadata = read(tiffs.with_jpeg_thumbnail())
    assert "JPEGInterchangeFormat" in fields(metadata, "Thumbnail")
    assert not {"JPEGThumbnail", "TIFFThumbnail"} & {group["Name"] for group in metadata}


@pytest.mark.parametrize(
    "data",
    [
        images.jpeg(),
        images.encode(images.chart(), "PNG"),
        images.pdf(),
        images.psd(),
        images.animated_gif(),
        b"",
        b"text",
        bytes(5000),
    ],
)
def test_a_file_without_exif_has_none(data: bytes, read: Read) -> None:
    assert read(data) == []
    assert capture_date([]) is None


@pytest.mark.parametrize(
    "written",
    ["2012-02-02 13:48:41", "2012:02:02", "    :  :     :  :  ", "", "2012:02:02 13:48:41 +01", "0000:00:00 00:00:00"],
)
def test_a_date_in_another_form_is_none(written: str) -> None:
    assert capture_date([{"Name": "EXIF", "Fields": {"DateTimeOriginal": written}}]) is None


def test_another_date_is_not_the_capture_date(read: Read) -> None:
    exif = Image.Exif()
    exif[0x0132] = "2013:05:06 07:08:09"
    assert capture_date(read(images.jpeg(exif=exif))) is None


@pytest.mark.parametrize("kind", CARRIERS)
def test_hostile_exif_is_survived(kind: str, read: Read) -> None:
    data = CARRIERS[kind]()
    start = max(0, data.find(b"Specimen") - 400)
    chance = random.Random(7)
    for _ in range(60):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 3, 20))):
            broken[chance.randrange(start, min(start + 1200, len(broken)))] = chance.choice((0, 1, 255, 127))
        json.dumps(read(bytes(broken)))
    for size in range(0, len(data), max(1, len(data) // 40)):
        read(data[:size])


def test_what_was_read_before_the_damage_is_kept(read: Read) -> None:
    data = images.photograph()
    at = data.index(b"Exif\0\0")
    assert fields(read(data[: at + 300]), "Image")["Make"] == "Specimen Optics"


def test_a_large_tiff_is_not_read_whole(tmp_path: Path) -> None:
    source = tmp_path / "large.tif"
    source.write_bytes(tiffs.photograph())
    with source.open("r+b") as file:
        file.truncate(2 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF)
    with source.open("rb") as file:
        assert capture_date(read_metadata(file)) == images.TAKEN
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_maxrss - before.ru_maxrss < 20_000
    assert after.ru_utime - before.ru_utime < 1
