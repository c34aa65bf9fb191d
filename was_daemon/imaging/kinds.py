"""What a file is, judged by its first bytes; names only say what a file claims to be."""

import enum
import struct
from posixpath import splitext
from typing import IO

HEAD_SIZE = 1024
"""How many of a file's first bytes `kind_of` wants: a PDF may start anywhere in them."""


class Kind(enum.Enum):
    """A kind of content; the value is its name in messages."""

    JPEG = "JPEG"
    PNG = "PNG"
    GIF = "GIF"
    WEBP = "WebP"
    BMP = "BMP"
    AVIF = "AVIF"
    HEIF = "HEIF"
    JPEG2000 = "JPEG 2000"
    PSD = "Photoshop"
    TIFF = "TIFF"
    RAW = "camera RAW"
    PDF = "PDF"


RAW_EXTENSIONS = frozenset(
    {
        *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef"),
        *(".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw", ".x3f"),
    }
)
_CLAIMS = RAW_EXTENSIONS | {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".avif", ".heic", ".heif", ".hif"),
    *(".jp2", ".j2k", ".jpx", ".j2c", ".jpc", ".psd", ".tif", ".tiff", ".btf", ".pdf"),
}

_STARTS: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", Kind.JPEG),
    (b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (b"GIF87a", Kind.GIF),
    (b"GIF89a", Kind.GIF),
    (b"\0\0\0\x0cjP  \r\n\x87\n", Kind.JPEG2000),
    (b"\xff\x4f\xff\x51", Kind.JPEG2000),
    (b"8BPS\0\x01", Kind.PSD),
    (b"II*\0", Kind.TIFF),
    (b"MM\0*", Kind.TIFF),
    (b"II+\0\x08\0\0\0", Kind.TIFF),
    (b"MM\0+\0\x08\0\0", Kind.TIFF),
    (b"FUJIFILMCCD-RAW", Kind.RAW),
    (b"IIU\0", Kind.RAW),  # Panasonic
    (b"IIRO", Kind.RAW),  # Olympus
    (b"IIRS", Kind.RAW),
    (b"MMOR", Kind.RAW),
    (b"\0MRM", Kind.RAW),  # Minolta
    (b"FOVb", Kind.RAW),  # Sigma
    (b"II\x1a\0\0\0HEAPCCDR", Kind.RAW),  # Canon CRW
)

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_LOSSLESS_FRAMES = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_LS_FRAME = 0xF7
_FRAMES = frozenset({*range(0xC0, 0xD0), _LS_FRAME}) - {0xC4, 0xC8, 0xCC}
"""JPEG markers with which the description of the picture starts (ITU T.81, table B.1; T.87)."""

_BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})


def claims_image(name: str) -> bool:
    """Whether the extension of `name` is that of a raster image or of a PDF."""
    return splitext(name)[1].lower() in _CLAIMS


def kind_of(head: bytes) -> Kind | None:
    """The kind of a file that starts with `head` (`HEAD_SIZE` bytes, fewer only when the file is shorter).

    RAW files whose first bytes are those of any TIFF are TIFF here.
    """
    if head[8:10] == b"CR" and head[:4] in (b"II*\0", b"MM\0*"):
        return Kind.RAW
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Kind.WEBP
    if head[4:8] == b"ftyp":
        return _kind_of_brands(head)
    if head[:2] == b"BM" and len(head) >= 18 and struct.unpack_from("<I", head, 14)[0] in _BMP_HEADER_SIZES:
        return Kind.BMP
    return Kind.PDF if b"%PDF-" in head else None


def unsupported(kind: Kind, file: IO[bytes]) -> str | None:
    """Why no reader can read `file`, which is of that kind, when its header tells."""
    if kind is Kind.JPEG:
        return _unsupported_jpeg(file)
    if kind is Kind.PSD:
        file.seek(22)
        bits = int.from_bytes(file.read(2), "big")
        return f"{bits}-bit Photoshop files are not supported" if bits in (16, 32) else None
    return None


def _unsupported_jpeg(file: IO[bytes]) -> str | None:
    file.seek(2)
    while (segment := file.read(4))[:1] == b"\xff" and len(segment) == 4:
        _, marker, length = struct.unpack(">BBH", segment)
        if marker == _LS_FRAME:
            return "JPEG-LS is not supported"
        if marker in _LOSSLESS_FRAMES:
            return "lossless JPEG is not supported"
        if marker in _FRAMES:
            return "12-bit JPEG is not supported" if file.read(1) == b"\x0c" else None
        file.seek(max(0, length - 2), 1)
    return None


def _kind_of_brands(head: bytes) -> Kind | None:
    """The kind of an ISO base media file (ISO/IEC 14496-12, section 4.3) by the brands in its first box."""
    end = min(struct.unpack_from(">I", head)[0], len(head))
    brands = {head[at : at + 4] for at in (8, *range(16, end - 3, 4))}
    if b"crx " in brands:
        return Kind.RAW
    if brands & _AVIF_BRANDS:
        return Kind.AVIF
    return Kind.HEIF if brands & _HEIF_BRANDS else None
