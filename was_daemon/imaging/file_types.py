"""File types, detected by the first bytes of a file, and extensions of image files."""

import enum
import re
import struct
from posixpath import splitext
from typing import IO

HEAD_SIZE = 1024
"""Number of first bytes that `detect_file_type` needs: a PDF may start anywhere in them."""


class FileType(enum.Enum):
    """Type of a file's content; the value is its name in messages."""

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
_IMAGE_EXTENSIONS = RAW_EXTENSIONS | {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".avif", ".heic", ".heif", ".hif"),
    *(".jp2", ".j2k", ".jpx", ".j2c", ".jpc", ".psd", ".tif", ".tiff", ".btf", ".pdf"),
}

_SIGNATURES: tuple[tuple[bytes, FileType], ...] = (
    (b"\xff\xd8\xff", FileType.JPEG),
    (b"\x89PNG\r\n\x1a\n", FileType.PNG),
    (b"GIF87a", FileType.GIF),
    (b"GIF89a", FileType.GIF),
    (b"\0\0\0\x0cjP  \r\n\x87\n", FileType.JPEG2000),
    (b"\xff\x4f\xff\x51", FileType.JPEG2000),
    (b"8BPS\0\x01", FileType.PSD),
    (b"II*\0", FileType.TIFF),
    (b"MM\0*", FileType.TIFF),
    (b"II+\0\x08\0\0\0", FileType.TIFF),
    (b"MM\0+\0\x08\0\0", FileType.TIFF),
    (b"FUJIFILMCCD-RAW", FileType.RAW),
    (b"IIU\0", FileType.RAW),  # Panasonic
    (b"IIRO", FileType.RAW),  # Olympus
    (b"IIRS", FileType.RAW),
    (b"MMOR", FileType.RAW),
    (b"\0MRM", FileType.RAW),  # Minolta
    (b"FOVb", FileType.RAW),  # Sigma
    (b"II\x1a\0\0\0HEAPCCDR", FileType.RAW),  # Canon CRW
)

_JPEG_START = b"\xff\xd8"
_JPEG_MARKER = re.compile(rb"\xff[\xc0-\xc4\xda-\xdd\xe0-\xef\xfe]")
"""Marker that may follow, in a JPEG whose first one is damaged: decoders look for the next one."""

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_UNSUPPORTED_LOSSLESS_FRAMES = frozenset({0xC7, 0xCB, 0xCF})
_LOSSLESS_FRAMES = _UNSUPPORTED_LOSSLESS_FRAMES | {0xC3}
_LS_FRAME = 0xF7
_FRAMES = frozenset({*range(0xC0, 0xD0), _LS_FRAME}) - {0xC4, 0xC8, 0xCC}
"""JPEG markers that start the description of a frame (ITU T.81, table B.1; T.87)."""

_BMP_WITH_COMPRESSION = 40
"""Size of the shortest header of a BMP that names a compression."""

_BMP_OF_ANOTHER_TYPE = {4: "JPEG", 5: "PNG"}
_BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})


def has_image_extension(name: str) -> bool:
    """Return whether the extension of `name` is that of a raster image or a PDF."""
    return splitext(name)[1].lower() in _IMAGE_EXTENSIONS


def detect_file_type(head: bytes) -> FileType | None:
    """Return the type of a file that starts with `head` (`HEAD_SIZE` bytes, or the whole file), or None.

    RAW files that start like any TIFF count as TIFF.
    """
    if head[8:10] == b"CR" and head[:4] in (b"II*\0", b"MM\0*"):
        return FileType.RAW
    for start, file_type in _SIGNATURES:
        if head.startswith(start):
            return file_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return FileType.WEBP
    if head[4:8] == b"ftyp":
        return _detect_brand(head)
    if head[:2] == b"BM" and len(head) >= 18 and struct.unpack_from("<I", head, 14)[0] in _BMP_HEADER_SIZES:
        return FileType.BMP
    if head[:2] == _JPEG_START and _JPEG_MARKER.search(head):
        return FileType.JPEG
    return FileType.PDF if b"%PDF-" in head else None


def unsupported_reason(file_type: FileType, file: IO[bytes]) -> str | None:
    """Return why no reader can read `file`, which has this type, or None when its header does not rule that out."""
    if file_type is FileType.JPEG:
        return _unsupported_jpeg(file)
    if file_type is FileType.PSD:
        file.seek(22)
        bits = int.from_bytes(file.read(2), "big")
        return "32-bit Photoshop files are not supported" if bits == 32 else None
    if file_type is FileType.BMP:
        return _unsupported_bmp(file)
    return None


def _unsupported_bmp(file: IO[bytes]) -> str | None:
    file.seek(14)
    header = file.read(20)
    if len(header) < 20 or int.from_bytes(header[:4], "little") < _BMP_WITH_COMPRESSION:
        return None
    bits, compression = struct.unpack_from("<HI", header, 14)
    if compression in _BMP_OF_ANOTHER_TYPE:
        return f"BMP files with a {_BMP_OF_ANOTHER_TYPE[compression]} in them are not supported"
    return "2-bit BMP is not supported" if bits == 2 else None


def is_lossless_jpeg(file: IO[bytes]) -> bool:
    """Return whether a JPEG is lossless, as far as its markers can be read: such a one cannot be decoded reduced."""
    frame = _jpeg_frame(file)
    return frame is not None and frame[0] in _LOSSLESS_FRAMES


def _unsupported_jpeg(file: IO[bytes]) -> str | None:
    frame = _jpeg_frame(file)
    if frame is None:
        return None
    marker, bits = frame
    if marker == _LS_FRAME:
        return "JPEG-LS is not supported"
    if marker in _UNSUPPORTED_LOSSLESS_FRAMES:
        return "lossless JPEG in arithmetic or differential coding is not supported"
    return f"{bits}-bit JPEG is not supported" if bits > 8 else None


def _jpeg_frame(file: IO[bytes]) -> tuple[int, int] | None:
    """Return the marker of a JPEG's frame and its bits per sample; None when a marker before it is damaged."""
    file.seek(2)
    while (segment := file.read(4))[:1] == b"\xff" and len(segment) == 4:
        _, marker, length = struct.unpack(">BBH", segment)
        if marker in _FRAMES:
            return marker, int.from_bytes(file.read(1), "big")
        file.seek(max(0, length - 2), 1)
    return None


def _detect_brand(head: bytes) -> FileType | None:
    """Return the type of an ISO base media file (ISO/IEC 14496-12, section 4.3) by the brands in its first box."""
    end = min(struct.unpack_from(">I", head)[0], len(head))
    brands = {head[at : at + 4] for at in (8, *range(16, end - 3, 4))}
    if b"crx " in brands:
        return FileType.RAW
    if brands & _AVIF_BRANDS:
        return FileType.AVIF
    return FileType.HEIF if brands & _HEIF_BRANDS else None
