"""XMP and IPTC: what of them is told, and that hostile packets cost nothing."""

import io
import random
import struct
import time
import tracemalloc
from pathlib import Path

import pytest

from tests.imaging.test_metadata_containers import CARRIERS, groups_of
from tests.support import images, raws
from tests.support.slow import slow_after
from was_daemon.imaging.iptc import read_iptc
from was_daemon.imaging.metadata import read_metadata
from was_daemon.imaging.xmp import read_xmp

NAMESPACES = " ".join(
    f'xmlns:{prefix}="{uri}"'
    for prefix, uri in {
        "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        "dc": "http://purl.org/dc/elements/1.1/",
        "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "xmp": "http://ns.adobe.com/xap/1.0/",
        "exif": "http://ns.adobe.com/exif/1.0/",
        "ext": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    }.items()
)


def packet(properties: str, attributes: str = "", before: str = "") -> bytes:
    """An XMP packet of one description."""
    return (
        f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{before}<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f"<rdf:RDF {NAMESPACES}><rdf:Description {attributes}>{properties}</rdf:Description></rdf:RDF></x:xmpmeta>"
        f'{" " * 200}<?xpacket end="w"?>'
    ).encode()


def xmp(data: bytes) -> list[tuple[str, str]]:
    return [(field.name, field.text) for field in read_xmp(io.BytesIO(data))]


def test_properties_are_read_from_elements_and_attributes() -> None:
    data = packet("<photoshop:City>Berlin</photoshop:City>", 'photoshop:Country="Germany" xmp:Rating="5"')
    assert xmp(data) == [("Country", "Germany"), ("Rating", "5"), ("City", "Berlin")]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (b"K\xe4fer", "K?fer"),
        (b"K\xe4", "K?"),
        (b"\xc3\xc3\xa4", "?\xe4"),
        (b"a\x01b", "a b"),
        (b"a\0b", "a b"),
        (b"a\xef\xbf\xbfb", "a b"),
        (b"a&#1;b &#228; &#xE4; &amp;", "a b \xe4 \xe4 &"),
        (b"a&#xD800;&#99999999;b", "a  b"),
    ],
)
def test_what_xml_does_not_allow_is_replaced(written: bytes, told: str) -> None:
    before, after = packet("<dc:title>@</dc:title><dc:rights>CC0</dc:rights>").split(b"@")
    # Also where one chunk that is read ends and the next one begins.
    for start in (0, *range((1 << 16) - 30, 1 << 16)):
        filled = before.replace(b"<dc:title>", b" " * max(0, start - len(before)) + b"<dc:title>")
        assert xmp(filled + written + after) == [("Title", told), ("Rights", "CC0")]


@pytest.mark.parametrize("order", [1, -1])
def test_a_packet_that_continues_in_further_segments_is_read_to_its_end(order: int, tmp_path: Path) -> None:
    guid = "2B5C1B1E9F0B4D7AB0E5A7A3F1C2D3E4"
    note = f'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="{guid}"'
    standard = packet("<dc:title>Beetle</dc:title>", note)
    rest = packet("<dc:description>Pinned</dc:description><dc:title>Another</dc:title>" + " " * 70_000)
    written = raws.extended_xmp_jpeg(standard, rest, guid, order)
    assert groups_of(written, tmp_path)["XMP"] == {"Title": "Beetle", "Description": "Pinned"}
    # Left behind by a program that wrote another packet and did not know of it.
    assert groups_of(raws.extended_xmp_jpeg(standard, rest, "F" * 32, order), tmp_path)["XMP"] == {"Title": "Beetle"}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "iso-8859-1"])
def test_a_packet_in_another_encoding_is_read(encoding: str) -> None:
    text = packet("<dc:title>K\xe4fer</dc:title>").decode().replace("\ufeff", "")
    beginning = "\ufeff" if encoding.startswith("utf-16") else f"<?xml version='1.0' encoding='{encoding}'?>"
    assert xmp((beginning + text).encode(encoding)) == [("Title", "K\xe4fer")]


def test_of_several_languages_the_default_one_counts() -> None:
    languages = '<rdf:li xml:lang="de">Käfer</rdf:li><rdf:li xml:lang="x-default">Beetle</rdf:li>'
    assert xmp(packet(f"<dc:title><rdf:Alt>{languages}</rdf:Alt></dc:title>")) == [("Title", "Beetle")]
    without = languages.replace("x-default", "en")
    assert xmp(packet(f"<dc:title><rdf:Alt>{without}</rdf:Alt></dc:title>")) == [("Title", "Käfer")]


def test_a_list_has_all_its_items() -> None:
    bag = "<rdf:Bag><rdf:li>Coleoptera</rdf:li><rdf:li>pinned</rdf:li></rdf:Bag>"
    assert xmp(packet(f"<dc:subject>{bag}</dc:subject>")) == [("Keywords", "Coleoptera"), ("Keywords", "pinned")]


@pytest.mark.parametrize(
    "place",
    [
        '<rdf:li rdf:parseType="Resource"><ext:City>Berlin</ext:City><ext:Sublocation>Mitte</ext:Sublocation></rdf:li>',
        '<rdf:li ext:City="Berlin" ext:Sublocation="Mitte"/>',
        '<rdf:li><rdf:Description ext:City="Berlin"><ext:X>Mitte</ext:X></rdf:Description></rdf:li>',
    ],
)
def test_a_place_is_one_text(place: str) -> None:
    data = packet(f"<ext:LocationShown><rdf:Bag>{place}</rdf:Bag></ext:LocationShown>")
    assert xmp(data) == [("LocationShown", "Berlin, Mitte")]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("2012-02-02T13:48:41.25+01:00", "2012:02:02 13:48:41.25+01:00"),
        ("2012-02-02", "2012:02:02"),
        ("2012-02", "2012:02"),
        ("spring of 2012", "spring of 2012"),
    ],
)
def test_a_date_has_the_form_of_exif(written: str, told: str) -> None:
    assert xmp(packet("", f'xmp:CreateDate="{written}"')) == [("CreateDate", told)]


@pytest.mark.parametrize(
    ("written", "told"),
    [("80/10", "8"), ("28/10", "14/5"), ("1/0", "1/0"), ("5.6", "5.6"), ("1e99999999/1", "1e99999999/1")],
)
def test_a_rational_has_the_form_of_exif(written: str, told: str) -> None:
    assert xmp(packet("", f'exif:FNumber="{written}"')) == [("FNumber", told)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_packet_may_be_in_any_unicode(encoding: str) -> None:
    text = packet("<photoshop:City>Käfer</photoshop:City>").decode()
    assert xmp(text[text.index("<x:xmpmeta") :].encode(encoding)) == [("City", "Käfer")]


def test_a_packet_that_ends_early_tells_what_it_had() -> None:
    data = packet("<photoshop:City>Berlin</photoshop:City><dc:rights><rdf:Alt><rdf:li>never closed")
    assert xmp(data) == [("City", "Berlin")]


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
        + "".join(
            f'<!ENTITY {next_}{""} "{f"&{this};" * 10}">' for this, next_ in zip("abcdefgh", "bcdefghi", strict=True)
        )
        + "]>",
        '<!DOCTYPE x [<!ENTITY i SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/evil.dtd">',
        '<!DOCTYPE x [<!ENTITY % i SYSTEM "file:///etc/passwd"> %i;]>',
    ],
)
def test_entities_are_refused(doctype: str) -> None:
    assert xmp(packet("<photoshop:City>&i;</photoshop:City>", before=doctype)) == []


@pytest.mark.parametrize(
    "content",
    [
        "<a>" * 400_000,
        "<dc:title><rdf:Alt>" + "<rdf:li>" * 400_000,
        "<dc:subject><rdf:Bag>" + "<rdf:li>x</rdf:li>" * 200_000 + "</rdf:Bag></dc:subject>",
        "<photoshop:City>" + "x" * (8 << 20) + "</photoshop:City>",
        "<photoshop:City>" + "<b/>x" * 500_000 + "</photoshop:City>",
        "<photoshop:City " + " ".join(f'a{number}="x"' for number in range(100_000)) + "/>",
    ],
)
def test_a_hostile_packet_costs_little(content: str, tmp_path: Path) -> None:
    data = packet(content)
    source = tmp_path / "source.gif"
    source.write_bytes(raws.box(b"ftyp", b"heic\0\0\0\0heic") + raws.box(b"uuid", raws.XMP_UUID + data))
    tracemalloc.start()
    with source.open("rb") as file:
        start = time.process_time()
        metadata = read_metadata(file)
        seconds = time.process_time() - start
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 64 << 20
    assert seconds < 10
    assert all(len(value.encode()) <= 1000 for group in metadata for value in group["Fields"].values())


def dataset(record: int, number: int, value: bytes) -> bytes:
    return struct.pack(">BBBH", 0x1C, record, number, len(value)) + value


def iptc(data: bytes) -> list[tuple[str, str]]:
    return [(field.name, field.text) for field in read_iptc(io.BytesIO(data))]


@pytest.mark.parametrize(
    ("encoded", "declared"),
    [("Käfer".encode(), b"\x1b%G"), ("Käfer".encode(), None), ("Käfer".encode("latin-1"), None)],
)
def test_iptc_is_text_in_the_encodings_in_use(encoded: bytes, declared: bytes | None) -> None:
    start = dataset(1, 90, declared) if declared else b""
    assert iptc(start + dataset(2, 0, b"\0\2") + dataset(2, 5, encoded)) == [("Title", "Käfer")]


def test_dates_of_iptc_have_the_form_of_exif() -> None:
    data = dataset(2, 55, b"20120202") + dataset(2, 60, b"134841+0100")
    assert iptc(data) == [("DateCreated", "2012:02:02"), ("TimeCreated", "13:48:41+01:00")]


def test_a_long_dataset_is_read() -> None:
    long = struct.pack(">BBBHI", 0x1C, 2, 120, 0x8004, 40_000) + b"x" * 40_000
    assert [(name, len(text)) for name, text in iptc(long + dataset(2, 5, b"t"))] == [
        ("Description", 40_000),
        ("Title", 1),
    ]


def test_only_known_fields_are_told(tmp_path: Path) -> None:
    """A packet may hold what its owner does not know of: histories, serial numbers, thumbnails."""
    data = packet(
        "<photoshop:City>Berlin</photoshop:City><xmp:Thumbnails>secret</xmp:Thumbnails><dc:secret>1</dc:secret>"
    )
    assert groups_of(images.jpeg(xmp=data), tmp_path)["XMP"] == {"City": "Berlin"}


@pytest.mark.parametrize("extension", slow_after(4, CARRIERS))
def test_damaged_containers_are_survived(extension: str, tmp_path: Path) -> None:
    data = CARRIERS[extension]()
    chance = random.Random(16)
    broken = [data[: size * len(data) // 60] for size in range(60)]
    early = min(len(data), 4000)
    for _ in range(150):
        changed = bytearray(data)
        for _ in range(chance.choice((1, 3, 20))):
            changed[chance.randrange(early)] = chance.choice((0, 1, 127, 128, 255))
        broken.append(bytes(changed))
    tracemalloc.start()
    for each in broken:
        start = time.process_time()
        groups_of(each, tmp_path)
        assert time.process_time() - start < 5
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 32 << 20


def test_boxes_within_boxes_end(tmp_path: Path) -> None:
    """Boxes that claim to have no size, to be endless, or to hold themselves."""
    start = raws.box(b"ftyp", b"heic\0\0\0\0heic")
    for size in (0, 1, 2, 7, 8, 0xFFFFFFFF):
        assert groups_of(start + struct.pack(">I4s", size, b"meta") * 2000, tmp_path) == {}
