"""EXIF, XMP and IPTC are found wherever thumbnails are made, as exiftool finds them."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which

import pytest
from PIL.TiffImagePlugin import IFDRational

from tests.support import images, raws, tiffs
from tests.support.needs import require
from tests.support.slow import slow_after
from was_daemon.imaging.capture_date import capture_date
from was_daemon.imaging.metadata import read_metadata

Groups = dict[str, dict[str, str]]

SIGMA = {"CAMMANUF": "SIGMA", "CAMMODEL": "SIGMA SD10", "TIME": "978309395", "LENSFRANGE": "15 to 30", "FLENGTH": "30"}
OPTICS = {"CAMMANUF": "Specimen Optics", "CAMMODEL": "Field 24"}

CARRIERS: dict[str, Callable[[], bytes]] = {
    "jpg": raws.camera_jpeg,
    "mpo": raws.mpo,
    "png": lambda: images.encode(images.chart(), "PNG", exif=raws.exif()),
    "webp": lambda: images.encode(images.chart(), "WEBP", exif=raws.exif()),
    "avif": lambda: images.encode(images.chart(), "AVIF", exif=raws.exif().tobytes()),
    "heic": raws.heic_with_exif,
    "jp2": raws.jp2,
    "psd": lambda: raws.psd_with({0x0422: raws.exif_block()}),
    "tif": raws.exif_block,
    "cr3": raws.cr3,
    "raf": lambda: raws.raf(raws.camera_jpeg()),
    "mrw": raws.mrw,
    "orf": raws.orf,
    "rw2": lambda: raws.rw2(raws.camera_jpeg()),
    "x3f": lambda: raws.x3f(OPTICS, raws.camera_jpeg()),
}

WRITABLE = {
    "jpg": images.jpeg,
    "mpo": lambda: images.encode(images.chart(), "MPO", save_all=True, append_images=[images.chart()]),
    "png": lambda: images.encode(images.chart(), "PNG"),
    "webp": lambda: images.encode(images.chart(), "WEBP"),
    "avif": lambda: images.encode(images.chart(), "AVIF"),
    "heic": images.heic,
    "jp2": lambda: images.encode(images.chart(), "JPEG2000"),
    "psd": images.psd,
    "tif": lambda: images.encode(images.chart(), "TIFF"),
    "dng": tiffs.dng,
    "gif": images.animated_gif,
    "pdf": images.pdf,
}
"""Files without metadata, by the extensions of formats that exiftool writes."""

WRITTEN = {
    "EXIF:DateTimeOriginal": ("EXIF", "DateTimeOriginal", images.TAKEN),
    "EXIF:Make": ("Image", "Make", "Specimen Optics"),
    "EXIF:Model": ("Image", "Model", "Käfer 7"),
    "EXIF:LensModel": ("EXIF", "LensModel", raws.LENS),
    "EXIF:ExposureTime": ("EXIF", "ExposureTime", "1/125"),
    "EXIF:FNumber": ("EXIF", "FNumber", "8"),
    "EXIF:ISO": ("EXIF", "ISOSpeedRatings", "125"),
    "XMP-dc:Title": ("XMP", "Title", "Käfer"),
    "XMP-dc:Creator": ("XMP", "Creator", "Ann; Bob"),
    "XMP-dc:Rights": ("XMP", "Rights", "CC0"),
    "XMP-photoshop:Credit": ("XMP", "Credit", "Museum <Berlin> & friends"),
    "XMP-dc:Description": ("XMP", "Description", "A beetle"),
    "XMP-dc:Subject": ("XMP", "Keywords", "Coleoptera; Käfer"),
    "XMP-iptcCore:Location": ("XMP", "Location", "Berlin"),
    "IPTC:ObjectName": ("IPTC", "Title", "Käfer"),
    "IPTC:By-line": ("IPTC", "Creator", "Ann; Bob"),
    "IPTC:CopyrightNotice": ("IPTC", "Rights", "CC0"),
    "IPTC:Credit": ("IPTC", "Credit", "Museum"),
    "IPTC:Caption-Abstract": ("IPTC", "Description", "A beetle"),
    "IPTC:Keywords": ("IPTC", "Keywords", "Coleoptera; Käfer"),
    "IPTC:Sub-location": ("IPTC", "Location", "Berlin"),
    "IPTC:DateCreated": ("IPTC", "DateCreated", "2012:02:02"),
}
"""Tags of exiftool, and where their value is found here."""

WITHOUT_EXIF = ("gif", "pdf")
WITH_IPTC = ("jpg", "mpo", "png", "jp2", "psd", "tif", "dng")


@pytest.fixture(scope="session")
def exiftool() -> str:
    path = which("exiftool")
    require(path, "exiftool")
    return str(path)


def groups(path: Path) -> Groups:
    with path.open("rb") as file:
        found = read_metadata(file)
    assert len({group["Name"] for group in found}) == len(found)
    return {group["Name"]: group["Fields"] for group in found}


def groups_of(data: bytes, tmp_path: Path) -> Groups:
    path = tmp_path / "source"
    path.write_bytes(data)
    return groups(path)


@pytest.mark.parametrize("extension", CARRIERS)
def test_camera_lens_time_and_place_are_found(extension: str, tmp_path: Path) -> None:
    found = groups_of(CARRIERS[extension](), tmp_path)
    assert found["EXIF"]["DateTimeOriginal"] == images.TAKEN
    assert (found["Image"]["Make"], found["Image"]["Model"]) == ("Specimen Optics", "Field 24")
    assert found["EXIF"]["LensModel"] == raws.LENS
    assert (found["GPS"]["GPSLatitude"], found["GPS"]["GPSLatitudeRef"]) == ("[52, 31, 48]", "N")
    assert (found["GPS"]["GPSLongitude"], found["GPS"]["GPSLongitudeRef"]) == ("[13, 22, 47]", "E")


@pytest.mark.parametrize("extension", CARRIERS)
def test_exiftool_finds_the_same(extension: str, tmp_path: Path, exiftool: str) -> None:
    path = tmp_path / f"source.{extension}"
    path.write_bytes(CARRIERS[extension]())
    command = [exiftool, "-j", "-n", "-DateTimeOriginal", "-Make", "-Model", "-LensModel", "-GPSLatitude", str(path)]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)[0]
    ours = groups(path)
    assert theirs["DateTimeOriginal"] == ours["EXIF"]["DateTimeOriginal"]
    assert (theirs["Make"], theirs["Model"]) == (ours["Image"]["Make"], ours["Image"]["Model"])
    assert theirs["LensModel"] == ours["EXIF"]["LensModel"]
    assert float(theirs["GPSLatitude"]) == pytest.approx(52.53)


@pytest.mark.parametrize("extension", slow_after(4, WRITABLE))
def test_what_exiftool_writes_is_found(extension: str, tmp_path: Path, exiftool: str) -> None:
    path = tmp_path / f"source.{extension}"
    path.write_bytes(WRITABLE[extension]())
    tags = [f"-{tag}={text}" for tag, (_, _, value) in WRITTEN.items() for text in value.split("; ")]
    command = [exiftool, "-q", "-m", "-overwrite_original", "-IPTC:CodedCharacterSet=UTF8", *tags, str(path)]
    subprocess.run(command, check=True, capture_output=True)
    found = groups(path)
    lacking = {"EXIF"} & {tag.partition(":")[0] for tag in WRITTEN if extension in WITHOUT_EXIF}
    lacking |= set() if extension in WITH_IPTC else {"IPTC"}
    expected = {
        (group, name): value for tag, (group, name, value) in WRITTEN.items() if tag.partition(":")[0] not in lacking
    }
    assert {key: found.get(key[0], {}).get(key[1]) for key in expected} == expected


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kind", ["exif", "APP1"])
def test_exif_in_a_raw_profile_of_a_png_is_found(prefix: bytes, compressed: bool, kind: str, tmp_path: Path) -> None:
    png = raws.png_with_raw_profile(kind, prefix + raws.exif_block(), compressed)
    assert groups_of(png, tmp_path)["EXIF"]["DateTimeOriginal"] == images.TAKEN


def test_a_big_tiff_is_read(tmp_path: Path) -> None:
    found = groups_of(raws.big_tiff(), tmp_path)
    assert found["EXIF"]["DateTimeOriginal"] == images.TAKEN
    assert (found["Image"]["Make"], found["Image"]["Model"]) == ("Specimen Optics", "Field 24")


def test_a_camera_without_exif_is_told_from_sigmas_properties(tmp_path: Path) -> None:
    found = groups_of(raws.x3f(SIGMA), tmp_path)
    assert found["Image"] == {"Make": "SIGMA", "Model": "SIGMA SD10"}
    assert found["EXIF"] == {"DateTimeOriginal": "2001:01:01 00:36:35", "FocalLength": "30"}
    assert found["MakerNote"] == {"LensFocalRange": "15 to 30"}


def test_a_camera_without_exif_is_told_from_canons_heap(tmp_path: Path, exiftool: str) -> None:
    path = tmp_path / "source.crw"
    path.write_bytes(raws.crw())
    found = groups(path)
    assert found["Image"] == {"Make": "Canon", "Model": "Canon EOS DIGITAL REBEL"}
    command = [exiftool, "-s3", "-DateTimeOriginal", str(path)]
    theirs = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert found["EXIF"]["DateTimeOriginal"] == theirs == "2003:11:10 17:39:26"


def test_the_first_picture_of_an_mpo_counts(tmp_path: Path) -> None:
    second = raws.camera_jpeg().replace(images.TAKEN.encode(), b"1999:09:09 09:09:09")
    assert groups_of(raws.camera_jpeg() + second, tmp_path)["EXIF"]["DateTimeOriginal"] == images.TAKEN


def test_exif_behind_other_segments_is_found(tmp_path: Path) -> None:
    data = raws.camera_jpeg()
    comments = b"".join(b"\xff\xfe\xff\xff" + bytes(65533) for _ in range(3)) + b"\xff\xff\xff"
    assert groups_of(data[:2] + comments + data[2:], tmp_path)["EXIF"]["LensModel"] == raws.LENS


def test_exif_behind_a_damaged_segment_is_found(tmp_path: Path) -> None:
    data = raws.camera_jpeg()
    assert groups_of(data[:2] + b"\xff\xe2\x00\x04damage" + data[2:], tmp_path)["EXIF"]["LensModel"] == raws.LENS


def test_a_tiff_of_very_many_pages_keeps_its_date(tmp_path: Path) -> None:
    data = tiffs.photograph()
    first = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[first : first + 2], "little")
    following = first + 2 + 12 * entries
    page = bytes([20, 0]) + data[first + 2 : first + 14] * 20
    pages = b""
    for number in range(3000):
        pages += page + (len(data) + (number + 1) * (len(page) + 4)).to_bytes(4, "little")
    whole = data[:following] + len(data).to_bytes(4, "little") + data[following + 4 :] + pages
    assert capture_date([{"Name": "EXIF", "Fields": groups_of(whole, tmp_path)["EXIF"]}]) == images.TAKEN


def test_the_maker_note_is_grouped(tmp_path: Path) -> None:
    exif = raws.exif()
    exif[0x010F] = "Panasonic"
    lens = b"LUMIX G 20/F1.7\0"
    photo = exif.get_ifd(0x8769)
    photo[0x927C] = b"Panasonic\0\0\0\1\0" + b"\x51\0\x02\0\x10\0\0\0ADDR" + bytes(4) + lens
    block = bytearray(exif.tobytes())
    note = block.index(b"Panasonic\0\0\0")
    at = block.index(b"ADDR")
    block[at : at + 4] = (note - 6 + len(b"Panasonic\0\0\0\1\0") + 16).to_bytes(4, "little")
    assert groups_of(images.jpeg(exif=bytes(block)), tmp_path)["MakerNote"]["LensModel"] == "LUMIX G 20/F1.7"


@pytest.mark.parametrize("tag", [0x8825, 0x829A, 0x0112, 0x9286])
def test_one_damaged_field_costs_no_others(tag: int, tmp_path: Path) -> None:
    """Its offset, or its value, lies behind the end of the file."""
    block = bytearray(raws.exif_block())
    at = next(at for at in range(8, len(block), 2) if block[at : at + 2] == tag.to_bytes(2, "little"))
    block[at + 2 : at + 12] = b"\x05\0\xff\xff\xff\x7f\xff\xff\xff\xff"
    found = groups_of(images.jpeg(exif=b"Exif\0\0" + block), tmp_path)
    assert found["EXIF"]["DateTimeOriginal"] == images.TAKEN
    assert found["EXIF"]["LensModel"] == raws.LENS


def test_numbers_read_as_numbers(tmp_path: Path) -> None:
    exif = raws.exif()
    photo = exif.get_ifd(0x8769)
    photo[0x829A] = IFDRational(10, 1250)
    photo[0x829D] = IFDRational(80, 10)
    photo[0x920A] = 60.0
    photo[0x8827] = 200
    photo[0xA432] = (IFDRational(24), IFDRational(70), IFDRational(28, 10), IFDRational(0, 0))
    found = groups_of(images.jpeg(exif=exif), tmp_path)["EXIF"]
    assert (found["ExposureTime"], found["FNumber"], found["FocalLength"]) == ("1/125", "8", "60")
    assert (found["ISOSpeedRatings"], found["LensSpecification"]) == ("200", "[24, 70, 14/5, 0/0]")


@pytest.mark.parametrize(
    ("comment", "text"),
    [
        (b"ASCII\0\0\0a beetle\0", "a beetle"),
        (b"UNICODE\0" + "Käfer甲".encode("utf-16-le"), "Käfer甲"),
        (b"UNICODE\0" + "Käfer甲".encode("utf-16-be"), "Käfer甲"),
        (bytes(8) + "Käfer".encode(), "Käfer"),
        (b"JIS\0\0\0\0\0" + "甲虫".encode("iso2022_jp"), "甲虫"),
    ],
)
def test_a_comment_is_text_in_each_of_its_encodings(comment: bytes, text: str, tmp_path: Path) -> None:
    exif = raws.exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    assert groups_of(images.jpeg(exif=exif), tmp_path)["EXIF"]["UserComment"] == text


def test_a_text_declared_as_utf8_is_text(tmp_path: Path) -> None:
    """Exif 3.0 has a field type for it."""
    exif = raws.exif()
    exif[0x013B] = "Zoé Ä.".encode()
    block = exif.tobytes().replace(b"\x3b\x01\x02\x00", b"\x3b\x01\x81\x00")
    assert groups_of(images.jpeg(exif=block), tmp_path)["Image"]["Artist"] == "Zoé Ä."


def test_texts_of_windows_are_text(tmp_path: Path) -> None:
    exif = raws.exif()
    exif[0x9C9B] = "Käfer\0".encode("utf-16-le")
    assert groups_of(images.jpeg(exif=exif), tmp_path)["Image"]["XPTitle"] == "Käfer"
