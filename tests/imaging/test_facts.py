"""Facts about files: pixels, pages, dates and positions."""

import io
import json
import struct
import tempfile
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from PIL import Image

from tests.support import images, pdfs, raws, recordings, tiffs, unusual
from was_daemon.imaging.dates import sortable_date
from was_daemon.imaging.description import describe
from was_daemon.imaging.positions import parse_iso6709, position_of_exif, position_of_xmp
from was_daemon.model.facts import NO_FACTS, Facts

TALL = Image.new("RGB", (300, 200), "red")
"""Turned by EXIF, 200 x 300."""


def facts(content: bytes, name: str) -> Facts:
    with tempfile.TemporaryFile() as source:
        source.write(content)
        found = describe(source, name).facts
    assert Facts.parse(json.loads(json.dumps(attrs.asdict(found)))) == found
    return found


def turned(kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return images.encode(TALL, kind, exif=exif)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_width_and_height_are_those_of_the_upright_picture(kind: str) -> None:
    found = facts(turned(kind), f"a.{kind.lower()}")
    assert (found.width, found.height, found.pages) == (200, 300, 1)


def test_a_tiff_that_libvips_misreads_is_upright_too() -> None:
    # Without a descriptor libvips cannot read it.
    found = describe(io.BytesIO(turned("TIFF")), "a.tif").facts
    assert (found.width, found.height) == (200, 300)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.gif", lambda: images.encode(images.chart(), "GIF")),
        ("a.bmp", lambda: images.encode(images.chart(), "BMP")),
        ("a.heic", images.heic),
        ("a.psd", images.psd),
        ("deep.psd", lambda: unusual.deep_psd(images.chart(), packed=True)),
        ("a.jp2", raws.jp2),
        ("lossless.jpg", unusual.lossless_jpeg),
        ("fields.bmp", lambda: unusual.bit_field_bmp((0xF800, 0x7E0, 0x1F, 0))),
    ],
)
def test_every_kind_of_picture_has_a_size(name: str, make: Callable[[], bytes]) -> None:
    found = facts(make(), name)
    assert (found.width, found.height) == images.CHART_SIZE
    assert found.pages == 1


@pytest.mark.parametrize("name", ["a.dng", "a.raf", "a.cr3", "a.rw2"])
def test_raw_files_have_the_size_of_what_the_camera_took(name: str) -> None:
    preview = images.jpeg((640, 480))
    content = {
        "a.dng": tiffs.dng(),
        "a.raf": raws.raf(preview),
        "a.cr3": raws.cr3(preview),
        "a.rw2": raws.rw2(preview),
    }[name]
    found = facts(content, name)
    assert found.width and found.height


def test_documents_have_pages() -> None:
    two = tiffs.two_pages(Image.new("RGB", (300, 200)), Image.new("RGB", (120, 400)), reduced=False)
    found = facts(two, "a.tif")
    assert (found.width, found.height, found.pages) == (300, 200, 2)
    assert facts(images.pdf((595, 842), pages=3), "a.pdf").pages == 3
    assert facts(pdfs.encrypted(b"secret"), "a.pdf").pages is None


def test_a_film_has_the_size_of_its_picture_and_a_sound_has_none() -> None:
    film = facts(recordings.film("mp4"), "a.mp4")
    assert (film.media_type, film.width, film.height, film.pages) == ("video/mp4", *recordings.FILM, None)
    assert facts(recordings.film("webm"), "without extension").width == recordings.FILM[0]
    sound = facts(recordings.sound("mp3"), "a.mp3")
    assert (sound.media_type, sound.width, sound.pages) == ("audio/mpeg", None, None)


def test_a_photograph_tells_when_and_where_it_was_taken() -> None:
    found = facts(images.photograph(), "a.jpg")
    assert found.captured == "2012-02-02 13:48:41"
    assert (found.latitude, found.longitude) == pytest.approx((52.53, 13.3797222))


def xmp_jpeg(**fields: str) -> bytes:
    attributes = " ".join(f'exif:{name}="{value}"' for name, value in fields.items())
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" {attributes}/></rdf:RDF></x:xmpmeta>'
    )
    return images.encode(images.chart(), "JPEG", xmp=packet.encode())


def test_xmp_tells_what_exif_does_not() -> None:
    found = facts(xmp_jpeg(DateTimeOriginal="1987-05", GPSLatitude="38,57.5N", GPSLongitude="95,15,30W"), "a.jpg")
    assert found.captured == "1987-05"
    assert (found.latitude, found.longitude) == pytest.approx((38.9583333, -95.2583333))


def with_boxes(movie: bytes, extra: bytes, seconds: int) -> bytes:
    """A film whose box moov is at the end, with further boxes in it, created so many seconds after 1904."""
    start = movie.index(b"moov") - 4
    (size,) = struct.unpack_from(">I", movie, start)
    assert start + size == len(movie)
    moov = bytearray(movie[start:] + extra)
    struct.pack_into(">I", moov, 0, len(moov))
    struct.pack_into(">I", moov, moov.index(b"mvhd") + 8, seconds)
    return movie[:start] + bytes(moov)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def test_films_tell_when_and_where_they_were_made() -> None:
    place = b"+37.7749-122.4194+010.000/"
    user_data = box(b"udta", box(b"\xa9xyz", struct.pack(">HH", len(place), 0) + place))
    found = facts(with_boxes(recordings.film("mp4"), user_data, 3_300_000_000), "a.mp4")
    assert found.captured == "2008-07-27 10:40:00"
    assert (found.latitude, found.longitude) == (37.7749, -122.4194)
    assert facts(recordings.film("mp4"), "a.mp4").captured is None


def test_quicktimes_own_date_comes_first_as_it_is_in_the_time_of_the_place() -> None:
    values = {
        b"com.apple.quicktime.location.ISO6709": b"-05.5000+120.2500/",
        b"com.apple.quicktime.creationdate": b"2021-06-01T23:30:00+0200",
    }
    keys = b"".join(box(b"mdta", key) for key in values)
    items = b"".join(
        box(struct.pack(">I", number), box(b"data", bytes(8) + value))
        for number, value in enumerate(values.values(), 1)
    )
    meta = box(b"meta", box(b"keys", struct.pack(">II", 0, len(values)) + keys) + box(b"ilst", items))
    found = facts(with_boxes(recordings.film("mov"), meta, 3_300_000_000), "a.mov")
    assert found.captured == "2021-06-01 23:30:00"
    assert (found.latitude, found.longitude) == (-5.5, 120.25)


def test_sounds_of_broadcasters_tell_when_they_were_recorded() -> None:
    sound = recordings.sound("wav")
    chunk = b"bext" + struct.pack("<I", 602) + bytes(320) + b"1999-03-0407:08:09" + bytes(264)
    data = sound[:12] + chunk + sound[12:]
    assert facts(data, "a.wav").captured == "1999-03-04 07:08:09"


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2012:02:02 13:48:41", "2012-02-02 13:48:41"),
        ("2012-02-02T13:48:41.25+01:00", "2012-02-02 13:48:41"),
        ("2012-02-02T13:48", "2012-02-02 13:48:00"),
        ("2012:02:02", "2012-02-02"),
        ("2012:02:00 00:00:00", "2012-02"),
        ("1987:00:00 00:00:00", "1987"),
        ("1987", "1987"),
        ("0000:00:00 00:00:00", None),
        ("2012:13:02 00:00:00", None),
        ("2012:02:30 00:00:00", None),
        ("20120202", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates_are_in_the_order_of_time(text: str, date: str | None) -> None:
    assert sortable_date(text) == date


def test_positions_have_many_forms() -> None:
    gps = {
        "GPSLatitude": "[38, 57, 153/5]",
        "GPSLatitudeRef": "S",
        "GPSLongitude": "[95, 15, 0]",
        "GPSLongitudeRef": "E",
    }
    assert position_of_exif(gps) == pytest.approx((-38.9585, 95.25))
    assert position_of_exif({**gps, "GPSLatitude": "[0, 0, 0]", "GPSLongitude": "[0, 0, 0]"}) is None
    assert position_of_exif({**gps, "GPSLatitude": "[0/0, 0/0, 0/0]"}) is None
    assert position_of_exif({**gps, "GPSLatitude": "[99, 0, 0]"}) is None
    assert position_of_xmp({"GPSLatitude": "38,57.5N"}) is None
    assert parse_iso6709("+1230.5-06915/") == pytest.approx((12.5083333, -69.25))
    assert parse_iso6709("+123030-0691500/") == pytest.approx((12.5083333, -69.25))
    assert parse_iso6709("nowhere") is None


@pytest.mark.parametrize(
    "lie",
    [
        {"media_type": "image/png\nX-Evil: 1"},
        {"media_type": 7},
        {"width": 1 << 40},
        {"width": -1},
        {"pages": "many"},
        {"captured": "2012-02-02; DROP TABLE assets"},
        {"latitude": float("nan"), "longitude": 1.0},
        {"latitude": 1e300, "longitude": 1.0},
        {"latitude": 5.0, "longitude": None},
    ],
)
def test_what_a_hostile_worker_writes_is_not_believed(lie: dict[str, Any]) -> None:
    assert Facts.parse(attrs.asdict(NO_FACTS) | lie) == NO_FACTS


def test_a_damaged_file_has_the_facts_that_can_be_read() -> None:
    cut = images.photograph()[:3000]
    assert facts(cut, "a.jpg").media_type == "image/jpeg"
    assert facts(b"", "a.jpg") == NO_FACTS
    assert facts(b"\xff\xd8\xff", "a.jpg").width is None
