"""Files made to hurt whoever reads them: small ones that claim, or become, something huge or endless."""

import struct
import zlib
from collections.abc import Callable

from PIL import Image

from tests.support import images, tiffs
from tests.support.images import encode, png_file

_SIDE = 20_000
"""Pixels per side of a picture that is within the limit of 500 megapixels and beyond all memory."""

_BEYOND = 768 << 20
"""More bytes than the memory of the workers under test."""


def _deflated(size: int, pattern: bytes = b"\0") -> bytes:
    """What inflates to so many bytes of a pattern. Made of repeated blocks, which is quicker than to deflate it all."""
    deflate = zlib.compressobj(9, wbits=-15)
    piece = pattern * ((1 << 20) // len(pattern))
    block = deflate.compress(piece) + deflate.flush(zlib.Z_FULL_FLUSH)
    count = -(-size // len(piece))
    checksum = 1
    for _ in range(count):
        checksum = zlib.adler32(piece, checksum)
    return b"\x78\xda" + block * count + b"\x03\x00" + struct.pack(">I", checksum)


# -- PNG, GIF, WebP, BMP, Photoshop ------------------------------------------------------------------------------------


def _png(*extra: tuple[bytes, bytes], side: int = 16, interlaced: int = 0, pixels: bytes | None = None) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, interlaced)
    pixels = zlib.compress(bytes((3 * side + 1) * side)) if pixels is None else pixels
    return png_file((b"IHDR", header), *extra, (b"IDAT", pixels))


def _png_with_endless_frames() -> bytes:
    frame = struct.pack(">IIIIIHHBB", 0, 16, 16, 0, 0, 1, 10, 0, 0)
    return _png((b"acTL", struct.pack(">II", 0xFFFFFFFF, 0)), *[(b"fcTL", frame)] * 1000)


def _gif(size: tuple[int, int], frames: int = 1) -> bytes:
    """A GIF of one grey canvas, its frame repeated."""
    data = encode(Image.new("L", (16, 16)), "GIF")
    start = data.index(b"\x2c\0\0\0\0")
    frame = data[start:-1]
    return data[:6] + struct.pack("<HH", *size) + data[10:start] + frame * frames + b";"


def _gif_of_one_colour(side: int) -> bytes:
    """Codes for ever longer runs: LZW at its best."""
    return encode(Image.new("L", (side, side)), "GIF")


def _webp(side: int) -> bytes:
    return encode(Image.new("RGB", (side, side)), "WEBP", lossless=True, method=0, quality=0)


def _run_length_bmp(side: int) -> bytes:
    """8 bits a pixel, run-length encoded, with nothing but the end of the picture."""
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, 2, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1080, 0, 0, 54 + 1024) + header + bytes(1024) + b"\0\1"


def _packed_psd(side: int) -> bytes:
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, side, side, 8, 3)
    rows = struct.pack(">H", 2) * (3 * side)
    return header + bytes(12) + b"\0\1" + rows + b"\x81\0" * (3 * side)


# -- JPEG and its relatives --------------------------------------------------------------------------------------------


def _jpeg_of_size(data: bytes, side: int, marker: bytes) -> bytes:
    at = data.index(marker) + 5
    return data[:at] + struct.pack(">HH", side, side) + data[at + 4 :]


def _jpeg_of_many_scans() -> bytes:
    """A progressive picture of 400 megapixels whose first scan is repeated thousands of times."""
    data = _jpeg_of_size(encode(Image.new("L", (64, 64)), "JPEG", progressive=True), _SIDE, b"\xff\xc2")
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xda", first + 2)
    return data[:first] + data[first:second] * 2000 + data[second:]


def _jpeg_with(*segments: tuple[int, bytes]) -> bytes:
    extra = b"".join(struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data for marker, data in segments)
    data = images.jpeg()
    return data[:2] + extra + data[2:]


def _jpeg_with_exif(exif: bytes) -> bytes:
    return _jpeg_with((0xE1, b"Exif\0\0" + exif))


def _with_profile(profile: bytes) -> bytes:
    return images.jpeg(icc_profile=profile)


def _profile_with(tag: bytes, data: bytes, entries: int = 1) -> bytes:
    """An sRGB profile with another content for one of its tags, repeated in its directory."""
    profile = bytearray(images.srgb_profile())
    table = [
        profile[132 + 12 * number : 144 + 12 * number] for number in range(int.from_bytes(profile[128:132], "big"))
    ]
    offset = len(profile) + 12 * entries
    shifted = [
        entry[:4] + struct.pack(">I", int.from_bytes(entry[4:8], "big") + 12 * entries) + entry[8:] for entry in table
    ]
    added = [tag + struct.pack(">II", offset, len(data))] * entries
    head = bytes(profile[:128]) + struct.pack(">I", len(table) + entries)
    whole = head + b"".join([*added, *map(bytes, shifted)]) + bytes(profile[132 + 12 * len(table) :]) + data
    return struct.pack(">I", len(whole)) + whole[4:]


def _jp2_of_tiny_tiles() -> bytes:
    """JPEG 2000 of 400 megapixels in tiles of one pixel."""
    data = bytearray(encode(images.chart((32, 32)), "JPEG2000", no_jp2=True))
    at = data.index(b"\xff\x51") + 6
    struct.pack_into(">IIIIIIII", data, at, _SIDE, _SIDE, 0, 0, 1, 1, 0, 0)
    return bytes(data)


def _of_claimed_size(data: bytes, side: int) -> bytes:
    """A HEIC or AVIF whose boxes say that all its pictures are so large."""
    changed = bytearray(data)
    at = changed.find(b"ispe")
    while at >= 0:
        struct.pack_into(">II", changed, at + 8, side, side)
        at = changed.find(b"ispe", at + 4)
    return bytes(changed)


# -- TIFF and EXIF -----------------------------------------------------------------------------------------------------

_Entry = tuple[int, int, int, int]
"""Tag, type, count, value or offset."""


def _directory(entries: list[_Entry], following: int = 0) -> bytes:
    packed = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return struct.pack("<H", len(entries)) + packed + struct.pack("<I", following)


def _tiff(entries: list[_Entry], rest: bytes = b"", following: int = 0) -> bytes:
    """A TIFF of one directory, at 8, and what follows it."""
    return struct.pack("<2sHI", b"II", 42, 8) + _directory(entries, following) + rest


def _grey(side: int, strips: tuple[int, int], rows: int, compression: int = 1) -> list[_Entry]:
    """The entries of a grey picture; `strips` is the number of strips and where their lists are."""
    count, at = strips
    return [
        *((256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1)),
        *((273, 4, count, at), (277, 3, 1, 1), (278, 4, 1, rows), (279, 4, count, at + 4 * count)),
    ]


_LISTS = 8 + 2 + 9 * 12 + 4


def _deflated_tiff() -> bytes:
    strip = _deflated(_SIDE * _SIDE)
    lists = struct.pack("<IIII", _LISTS + 16, _LISTS + 16, len(strip), len(strip))
    return _tiff(_grey(_SIDE, (2, _LISTS), _SIDE // 2, 8), lists + strip)


def _tiff_of_a_million_strips() -> bytes:
    count = 1_000_000
    return _tiff(_grey(count, (count, _LISTS), 1), struct.pack("<I", 8) * count + struct.pack("<I", 1) * count)


def _tiff_of_tiny_tiles() -> bytes:
    page = [entry for entry in _grey(_SIDE, (1, 0), 1) if entry[0] not in (273, 278, 279)]
    return _tiff([*page, (322, 3, 1, 16), (323, 3, 1, 16), (324, 4, 1 << 20, 200), (325, 4, 1 << 20, 200)], bytes(1000))


def _looping_tiff() -> bytes:
    return _tiff(_grey(16, (1, 200), 16), bytes(1000), following=8)


def _tiff_of_looping_children() -> bytes:
    """Its EXIF, GPS, interoperability and child directories are itself."""
    loops = [(tag, 4, 1, 8) for tag in (330, 34665, 34853, 40965)]
    return _tiff([*_grey(16, (1, 200), 16), *loops], bytes(1000), following=8)


def _tiff_of_huge_tags(count: int = 65_535, size: int = 0x0FFFFFFF, kind: int = 5) -> bytes:
    """Every entry says that it has millions of fractions."""
    return _tiff([(1000 + number % 60_000, kind, size, 8) for number in range(count)], bytes(1 << 20))


def _wordy_tiff() -> bytes:
    """Many entries that share a long text."""
    count, text = 15_000, b"specimen " * 111
    table = 8 + 2 + 12 * count + 4
    return _tiff([(1000 + number, 2, len(text), table) for number in range(count)], text + bytes(6 << 20))


def exif_loop() -> bytes:
    """An EXIF block whose directories lead to each other, and on to themselves."""
    first = [(271, 2, 4, 0x41414141), (34665, 4, 1, 8), (34853, 4, 1, 8), (40965, 4, 1, 8)]
    return _tiff(first, bytes(100), following=8)


def exif_of_greed(entries: int = 4000) -> bytes:
    """An EXIF block of entries that each claim the rest of the file, as numbers."""
    return _tiff([(37000 + number, 3, 0x7FFFFFFF, 8) for number in range(entries)], bytes(1000))


def _maker_note(make: bytes) -> bytes:
    """A camera's note in which every entry claims millions of numbers."""
    note = {b"Canon": b"", b"NIKON": b"Nikon\0\2\0\0\0II*\0\x08\0\0\0", b"OLYMPUS": b"OLYMP\0\1\0"}[make]
    note += _directory([(number, 3, 0x00FFFFFF, 0) for number in range(2000)])
    at = 8 + 2 + 2 * 12 + 4
    exif_at = at + len(make) + 1
    note_at = exif_at + 2 + 12 + 4
    exif = _directory([(37500, 7, len(note), note_at)])
    return _tiff([(271, 2, len(make) + 1, at), (34665, 4, 1, exif_at)], make + b"\0" + exif + note)


def _huge_dng() -> bytes:
    data = tiffs.dng()
    width, height = images.CHART_SIZE
    for tag, value in ((256, width), (257, height)):
        data = data.replace(struct.pack("<HHII", tag, 4, 1, value), struct.pack("<HHII", tag, 4, 1, 22_000))
    return data


# -- PDF ---------------------------------------------------------------------------------------------------------------


def _pdf(
    content: bytes = b"", resources: str = "", box: str = "[0 0 200 200]", objects: dict[int, bytes] | None = None
) -> bytes:
    """A PDF of one page; `objects` are further ones, from 5 on. Without a table: readers search for the objects."""
    parts = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: f"<< /Type /Page /Parent 2 0 R /MediaBox {box} /Resources << {resources} >> /Contents 4 0 R >>".encode(),
        4: _stream(content),
        **(objects or {}),
    }
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % part for part in parts.items())
    return b"%PDF-1.4\n" + body + b"trailer\n<< /Root 1 0 R >>\n%%EOF\n"


def _stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), entries, data)


def _form(content: bytes, forms: str) -> bytes:
    return _stream(content, f"/Type /XObject /Subtype /Form /BBox [0 0 200 200] /Resources << {forms} >>".encode())


def _pdf_of_itself() -> bytes:
    """A form that draws itself, twice."""
    forms = "/XObject << /F 5 0 R >>"
    return _pdf(b"/F Do", forms, objects={5: _form(b"/F Do /F Do 0 0 10 10 re f", forms)})


def _pdf_of_laughs(levels: int = 9) -> bytes:
    """A form that draws a form ten times, which draws a form ten times, and so on."""
    numbers = range(5, 5 + levels)
    objects = {number: _form(b"/F Do " * 10, f"/XObject << /F {number + 1} 0 R >>") for number in numbers}
    objects[5 + levels] = _form(b"0 0 10 10 re f", "")
    return _pdf(b"/F Do", "/XObject << /F 5 0 R >>", objects=objects)


def _pdf_with_image(side: int, data: bytes, filters: bytes) -> bytes:
    entries = b"/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceRGB /BitsPerComponent 8 " % (
        side,
        side,
    )
    return _pdf(b"200 0 0 200 0 0 cm /I Do", "/XObject << /I 5 0 R >>", objects={5: _stream(data, entries + filters)})


def _pdf_of_nested_streams() -> bytes:
    content = zlib.compress(_deflated(_BEYOND, b"q "))
    return _pdf(objects={4: _stream(content, b"/Filter [/FlateDecode /FlateDecode]")})


BOMBS: dict[str, Callable[[], bytes]] = {
    "claims-all.png": images.png_bomb,
    "inflates.png": lambda: _png(side=_SIDE, pixels=_deflated(_SIDE * (3 * _SIDE + 1))),
    "interlaced.png": lambda: _png(side=_SIDE, interlaced=1, pixels=_deflated(_SIDE * (3 * _SIDE + 1))),
    "inflates-beyond.png": lambda: _png(pixels=_deflated(_BEYOND)),
    "text.png": lambda: _png((b"zTXt", b"Comment\0\0" + _deflated(_BEYOND))),
    "texts.png": lambda: _png(*[(b"zTXt", b"Comment\0\0" + _deflated(1 << 20))] * 500),
    "chunks.png": lambda: _png(*[(b"tEXt", b"Comment\0x")] * 100_000),
    "profile.png": lambda: _png((b"iCCP", b"icc\0\0" + _deflated(_BEYOND))),
    "frames.png": _png_with_endless_frames,
    "claims-all.gif": images.gif_bomb,
    "canvas.gif": lambda: _gif((_SIDE, _SIDE)),
    "frames.gif": lambda: _gif((16, 16), 50_000),
    "one-colour.gif": lambda: _gif_of_one_colour(9_000),
    "one-colour.webp": lambda: _webp(8_000),
    "claims-all.bmp": images.bmp_bomb,
    "run-lengths.bmp": lambda: _run_length_bmp(_SIDE),
    "claims-all.psd": images.psd_bomb,
    "packed.psd": lambda: _packed_psd(_SIDE),
    "claims-all.jpg": images.jpeg_bomb,
    "claims-much.jpg": lambda: _jpeg_of_size(images.jpeg(), _SIDE, b"\xff\xc0"),
    "scans.jpg": _jpeg_of_many_scans,
    "segments.jpg": lambda: _jpeg_with(*[(0xE1, bytes(60_000))] * 500),
    "tiny-segments.jpg": lambda: _jpeg_with(*[(0xE5, b"")] * 200_000),
    "profile-of-noise.jpg": lambda: _with_profile(bytes(range(256)) * 4000),
    "profile-of-tags.jpg": lambda: _with_profile(_profile_with(b"A2B0", b"mft2" + b"\xff" * 1000, 90)),
    "profile-of-a-curve.jpg": lambda: _with_profile(
        _profile_with(b"rTRC", b"curv" + struct.pack(">II", 0, 0x7FFFFFFF))
    ),
    "profile-of-a-table.jpg": lambda: _with_profile(
        _profile_with(b"A2B0", b"mft2\0\0\0\0" + bytes((15, 15, 255, 0)) + bytes(36) + struct.pack(">HH", 4096, 4096))
    ),
    "exif-loop.jpg": lambda: _jpeg_with_exif(exif_loop()),
    "exif-greed.jpg": lambda: _jpeg_with_exif(exif_of_greed()),
    "exif-canon.jpg": lambda: _jpeg_with_exif(_maker_note(b"Canon")),
    "exif-nikon.jpg": lambda: _jpeg_with_exif(_maker_note(b"NIKON")),
    "exif-olympus.jpg": lambda: _jpeg_with_exif(_maker_note(b"OLYMPUS")),
    "exif-loop.webp": lambda: encode(images.chart(), "WEBP", exif=exif_loop()),
    "exif-greed.png": lambda: encode(images.chart(), "PNG", exif=b"Exif\0\0" + exif_of_greed()),
    "tiny-tiles.j2k": _jp2_of_tiny_tiles,
    "claims-much.heic": lambda: _of_claimed_size(images.heic(), _SIDE),
    "claims-all.heic": lambda: _of_claimed_size(images.heic(), 0xFFFFFFFF),
    "exif-loop.heic": lambda: images.heic(exif=b"Exif\0\0" + exif_loop()),
    "exif-greed.heic": lambda: images.heic(exif=b"Exif\0\0" + exif_of_greed()),
    "claims-much.avif": lambda: _of_claimed_size(encode(images.chart(), "AVIF"), _SIDE),
    "claims-all.tif": images.tiff_bomb,
    "deflated.tif": _deflated_tiff,
    "strips.tif": _tiff_of_a_million_strips,
    "tiny-tiles.tif": _tiff_of_tiny_tiles,
    "loop.tif": _looping_tiff,
    "looping-children.tif": _tiff_of_looping_children,
    "huge-tags.tif": _tiff_of_huge_tags,
    "huge-texts.tif": lambda: _tiff_of_huge_tags(kind=2),
    "long-tags.tif": lambda: _tiff_of_huge_tags(size=100_000),
    "wordy.tif": _wordy_tiff,
    "huge.dng": _huge_dng,
    "noise.cr3": lambda: b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(range(256)) * 100,
    "noise.raf": lambda: b"FUJIFILMCCD-RAW 0201" + b"\xff" * 10_000,
    "huge-page.pdf": lambda: _pdf(b"0 0 10 10 re f", box="[0 0 1000000000 1000000000]"),
    "thin-page.pdf": lambda: _pdf(b"0 0 10 10 re f", box="[0 0 1000000000 0.0001]"),
    "itself.pdf": _pdf_of_itself,
    "laughs.pdf": _pdf_of_laughs,
    "nested-streams.pdf": _pdf_of_nested_streams,
    "image.pdf": lambda: _pdf_with_image(_SIDE, _deflated(_BEYOND), b"/Filter /FlateDecode"),
    "huge-image.pdf": lambda: _pdf_with_image(0x7FFFFFFF, b"x", b""),
    "brackets.pdf": lambda: _pdf(b"[" * 5_000_000),
    "looping-pages.pdf": lambda: _pdf(objects={2: b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 99999999 >>"}),
}
