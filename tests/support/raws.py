"""Camera RAW files and other containers of metadata, as small as they can be: headers, EXIF and previews."""

import struct
import zlib

from PIL import Image

from tests.support.images import TAKEN, chart, encode, heic, photograph_exif, png_file, psd

LENS = "Makro 60mm f/2.8"
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_CANON_UUID = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_PREVIEW_UUID = bytes.fromhex("eaf42b5e1c984b88b9fbb7dc406e4d16")


def exif(orientation: int = 1) -> Image.Exif:
    """A camera's EXIF: maker, model, lens, the time and a position."""
    full = photograph_exif(orientation)
    full.endian = "<"
    full.get_ifd(0x8769)[0xA434] = LENS
    full.get_ifd(0x8769)[0x829D] = 8.0
    return full


def exif_block(orientation: int = 1) -> bytes:
    """EXIF as the TIFF file that every container holds."""
    return exif(orientation).tobytes().removeprefix(b"Exif\0\0")


def camera_jpeg(image: Image.Image | None = None, orientation: int = 1) -> bytes:
    """A JPEG that begins with EXIF, as those of cameras do; Pillow puts a segment of 18 bytes before it."""
    data = encode(image or chart(), "JPEG", quality=92, exif=exif(orientation))
    return data[:2] + data[20:]


def mpo() -> bytes:
    frames = {"save_all": True, "append_images": [chart()]}
    return encode(chart(), "MPO", exif=exif(), **frames)


def raf(jpeg: bytes) -> bytes:
    """Fujifilm: a header that tells where the JPEG is."""
    header = b"FUJIFILMCCD-RAW 0201FF383501".ljust(84, b"\0") + struct.pack(">6I", 160, len(jpeg), 0, 0, 0, 0)
    return header.ljust(160, b"\0") + jpeg


def mrw() -> bytes:
    """Minolta: blocks, of which TTW is EXIF."""
    blocks = struct.pack(">4sI", b"\0PRD", 24) + bytes(24)
    blocks += struct.pack(">4sI", b"\0TTW", len(exif_block())) + exif_block()
    return struct.pack(">4sI", b"\0MRM", len(blocks)) + blocks


def x3f(properties: dict[str, str], jpeg: bytes = b"") -> bytes:
    """Sigma: sections, and at the end a directory of them; older cameras write properties and no EXIF."""
    names = [text for pair in properties.items() for text in pair]
    offsets = [sum(len(before) + 1 for before in names[:number]) for number in range(len(names))]
    texts = "".join(name + "\0" for name in names).encode("utf-16-le")
    head = struct.pack("<4s5I", b"SECp", 0x20000, len(properties), 0, 0, len(texts) // 2)
    sections = [(b"PROP", head + struct.pack(f"<{len(offsets)}I", *offsets) + texts)]
    if jpeg:
        width, height = chart().size
        sections.append((b"IMA2", struct.pack("<4s6I", b"SECi", 0x20000, 2, 18, width, height, 0) + jpeg))
    out = b"FOVb" + struct.pack("<I16s5I", 0x20002, b"", 0, *chart().size, 0, 0) + bytes(64)
    directory = struct.pack("<4sII", b"SECd", 0x20000, len(sections))
    for name, section in sections:
        directory += struct.pack("<II4s", len(out), len(section), name)
        out += section + bytes(-len(section) % 4)
    return out + directory + struct.pack("<I", len(out))


def crw() -> bytes:
    """Canon before EXIF: a heap whose directory is at its end."""
    names = b"Canon\0Canon EOS DIGITAL REBEL\0"
    properties = names + struct.pack("<H", 1) + struct.pack("<HII", 0x080A, len(names), 0)
    properties += struct.pack("<I", len(names))
    time = struct.pack("<HIII", 0x580E, 1068485966, 0, 0)[:10]
    directory = struct.pack("<H", 2) + struct.pack("<HII", 0x2807, len(properties), 0) + time
    heap = properties + directory + struct.pack("<I", len(properties))
    return b"II" + struct.pack("<I", 26) + b"HEAPCCDR" + bytes(12) + heap


def box(name: bytes, content: bytes) -> bytes:
    """A box of an ISO base media file."""
    return struct.pack(">I4s", 8 + len(content), name) + content


def cr3(preview: bytes = b"", orientation: int = 1) -> bytes:
    """Canon: boxes, of which CMT1 to CMT4 hold one directory each, and one in a box of its own the preview."""
    full = exif(orientation)
    parts = []
    for number, tags in ((1, full), (2, full.get_ifd(0x8769)), (4, full.get_ifd(0x8825))):
        directory = Image.Exif()
        directory.update({tag: value for tag, value in tags.items() if tag not in (0x8769, 0x8825)})
        parts.append(box(b"CMT%d" % number, directory.tobytes().removeprefix(b"Exif\0\0")))
    canon = box(b"CNCV", b"CanonCR3_001/00.09.00/00.00.00") + b"".join(parts)
    out = box(b"ftyp", b"crx \0\0\0\1crx isom") + box(b"moov", box(b"uuid", _CANON_UUID + canon))
    if preview:
        head = struct.pack(">IHHHHI", 0, 1, *chart().size, 1, len(preview))
        out += box(b"uuid", _PREVIEW_UUID + bytes(8) + box(b"PRVW", head + preview))
    return out + box(b"mdat", bytes(64))


def orf() -> bytes:
    """Olympus: a TIFF file with another number in its header."""
    return b"IIRO" + exif_block()[4:]


def rw2(preview: bytes) -> bytes:
    """Panasonic: a TIFF file with another number in its header, and the camera's JPEG in an entry."""
    entries = [(0x10F, b"Specimen Optics\0", 2), (0x110, b"Field 24\0", 2), (0x2E, preview, 7)]
    start = 8 + 2 + 12 * len(entries) + 4
    table, values = b"", b""
    for tag, value, kind in sorted(entries):
        table += struct.pack("<HHII", tag, kind, len(value), start + len(values))
        values += value + bytes(len(value) % 2)
    return struct.pack("<4sIH", b"IIU\0", 8, len(entries)) + table + bytes(4) + values


def big_tiff() -> bytes:
    """A BigTIFF without a picture, with maker, time and whole numbers."""
    taken = TAKEN.encode() + b"\0"
    main = [(0x10F, 2, b"Specimen Optics\0"), (0x110, 2, b"Field 24\0\0\0\0\0\0\0\0"), (0x8769, 16, b"")]
    place = 16 + 8 + 20 * len(main) + 8
    exif_at = place + sum(len(value) for _, _, value in main if len(value) > 8)
    table, values = b"", b""
    for tag, kind, value in main:
        if not value:
            table += struct.pack("<HHQQ", tag, kind, 1, exif_at)
            continue
        table += struct.pack("<HHQQ", tag, kind, len(value), place + len(values))
        values += value
    entry = struct.pack("<QHHQQQ", 1, 0x9003, 2, len(taken), exif_at + 36, 0) + taken
    return struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, len(main)) + table + bytes(8) + values + entry


def psd_with(resources: dict[int, bytes]) -> bytes:
    """A Photoshop file with image resources, by number."""
    data = psd()
    section = b"".join(
        struct.pack(">4sH2sI", b"8BIM", number, b"\0\0", len(value)) + value + bytes(len(value) % 2)
        for number, value in resources.items()
    )
    return data[:30] + struct.pack(">I", len(section)) + section + data[34:]


def png_with_raw_profile(kind: str, profile: bytes, compressed: bool = True) -> bytes:
    """A PNG with EXIF or IPTC as ImageMagick and GraphicsMagick write it: in hexadecimal digits."""
    digits = profile.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\n{kind}\n{len(profile):8}\n{lines}\n".encode()
    keyword = f"Raw profile type {kind}\0".encode()
    chunk = (b"zTXt", keyword + b"\0" + zlib.compress(text)) if compressed else (b"tEXt", keyword + text)
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return png_file((b"IHDR", header), chunk, (b"IDAT", zlib.compress(b"\0\0")))


def jp2(image: Image.Image | None = None, orientation: int = 1) -> bytes:
    """A JPEG 2000 file with EXIF in a box of the kind that exiftool and Adobe's programs write."""
    return encode(image or chart(), "JPEG2000") + box(b"uuid", b"JpgTiffExif->JP2" + exif_block(orientation))


def heic_with_exif() -> bytes:
    return heic(exif=exif().tobytes())


def extended_xmp_jpeg(packet: bytes, rest: bytes, guid: str = "0" * 31 + "A", order: int = 1) -> bytes:
    """A JPEG with a packet, and the rest of it in three further segments, in the reverse order with -1."""
    third = len(rest) // 3 + 1
    head = b"http://ns.adobe.com/xmp/extension/\0" + guid.encode() + struct.pack(">I", len(rest))
    parts = [head + struct.pack(">I", at) + rest[at : at + third] for at in range(0, len(rest), third)]
    contents = [b"http://ns.adobe.com/xap/1.0/\0" + packet, *parts[::order]]
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", 2 + len(each)) + each for each in contents)
    data = encode(chart(), "JPEG")
    return data[:2] + segments + data[2:]
