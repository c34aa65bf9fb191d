"""Media types of files by their bytes, under the names that `model.media` has for extensions.

Where the bytes leave a choice an extension that fits them decides.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from posixpath import splitext
from typing import BinaryIO

from was_daemon.imaging.bounded_file import BoundedFile
from was_daemon.imaging.containers.ifd import TiffFile
from was_daemon.imaging.file_types import HEAD_SIZE, RAW_EXTENSIONS, FileType, detect_file_type
from was_daemon.imaging.recordings.mpeg_audio import id3_size, read_mpeg_audio
from was_daemon.imaging.text_types import CONTROLS, SAMPLE, text_type_of
from was_daemon.model.media import media_type, type_of_extension

_MAX_ZIP_ENTRIES = 10_000

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"{\\rtf", ".rtf"),
    (0, b"%!PS", ".ps"),
    (0, b"fLaC", ".flac"),
    (0, b"MThd", "audio/midi"),
    (0, b"FLV\1", "video/x-flv"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf"),
    (0, b"\0\0\1\xba", ".mpg"),
    (0, b"\0\0\1\xb3", ".mpg"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", ".jxl"),
    (0, b"\xff\x0a", ".jxl"),
    (0, b"8BPS\0\2", ".psb"),
    (0, b"AT&TFORM", "image/vnd.djvu"),
    (0, b"\x76\x2f\x31\x01", "image/x-exr"),
    (0, b"gimp xcf", "image/x-xcf"),
    (0, b"\0\0\1\0", ".ico"),
    (40, b" EMF", "image/emf"),
    (0, b"\xd7\xcd\xc6\x9a", "image/wmf"),
    (128, b"DICM", ".dcm"),
    (0, b"\x89HDF\r\n\x1a\n", "application/x-hdf5"),
    (0, b"CDF\1", ".nc"),
    (0, b"CDF\2", ".nc"),
    (0, b"SIMPLE  =", "image/fits"),
    (0, b"glTF\2\0\0\0", ".glb"),
    (0, b"ply\n", "model/ply"),
    (0, b"ply\r\n", "model/ply"),
    (0, b"LASF", "application/vnd.las"),
    (4, b"Standard Jet DB", ".mdb"),
    (4, b"Standard ACE DB", ".accdb"),
    (0, b"7z\xbc\xaf\x27\x1c", ".7z"),
    (0, b"\x1f\x8b\x08", ".gz"),
    (4, b"1AY&SY", "application/x-bzip2"),
    (0, b"\xfd7zXZ\0", "application/x-xz"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (257, b"ustar", ".tar"),
    (0, b"wOFF", "font/woff"),
    (0, b"wOF2", "font/woff2"),
    (0, b"\x7fELF", "application/x-executable"),
)
"""Position and bytes of marks, and the extension whose type they show, or the type where no extension has it."""

_PICTURES = {
    FileType.JPEG: ".jpg",
    FileType.PNG: ".png",
    FileType.GIF: ".gif",
    FileType.WEBP: ".webp",
    FileType.BMP: ".bmp",
    FileType.AVIF: ".avif",
    FileType.PSD: ".psd",
    FileType.PDF: ".pdf",
}
_CODESTREAM = "image/j2c"
_JPX_BRAND = b"jpx "

_RAW_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (8, b"CR", ".cr2"),
    (0, b"FUJIFILMCCD-RAW", ".raf"),
    (0, b"IIU\0", ".rw2"),
    (0, b"IIRO", ".orf"),
    (0, b"IIRS", ".orf"),
    (0, b"MMOR", ".orf"),
    (0, b"\0MRM", ".mrw"),
    (0, b"FOVb", ".x3f"),
    (6, b"HEAPCCDR", ".crw"),
    (4, b"ftyp", ".cr3"),
)
_MAKES = {b"nikon": ".nef", b"sony": ".arw", b"pentax": ".pef", b"ricoh": ".pef", b"canon": ".cr2"}
"""Extensions of the RAW files of makers, whose files begin as any TIFF does."""

_SUBFILE_TYPE, _MAKE, _SUB_IFDS, _DNG_VERSION = 254, 271, 330, 50706
_REDUCED = 1

_QUICKTIME = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""Boxes that a QuickTime film without a brand begins with."""

_FILM_BRANDS = ((b"qt  ", ".mov"), (b"M4A", ".m4a"), (b"M4B", ".m4a"), (b"3g", ".3gp"))
_FILMS = frozenset(type_of_extension(each) for each in (".mp4", ".m4a", ".mov", ".3gp"))
_OGG = frozenset(type_of_extension(each) for each in (".ogg", ".ogv"))

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_STREAMS = (
    ("WordDocument", ".doc"),
    ("Workbook", ".xls"),
    ("PowerPoint Document", ".ppt"),
    ("__properties", ".msg"),
)
_OLE_TYPES = frozenset(type_of_extension(each) for _, each in _OLE_STREAMS)

_OFFICE = (("word/", ".docx"), ("xl/", ".xlsx"), ("ppt/", ".pptx"))
_OPEN_DOCUMENT = frozenset(type_of_extension(each) for each in (".odt", ".ods", ".odp", ".epub"))
_ZIPPED = frozenset({type_of_extension(".kmz"), "application/java-archive"})


def detect_media_type(source: BinaryIO, name: str) -> str | None:
    """Return the media type of the file `source`, which is called `name`; None when its bytes tell none."""
    source.seek(0)
    head = source.read(HEAD_SIZE)
    with suppress(Exception):  # a damaged file makes whatever reads it raise anything
        return _with_mark(source, head, name) or text_type_of(source, name)
    return None


def _with_mark(source: BinaryIO, head: bytes, name: str) -> str | None:
    """Return the type of data that begin with a mark."""
    for magic, detect in _FAMILIES:
        if head.startswith(magic):
            return detect(source, head, name)
    file_type = detect_file_type(head)
    # Any data may have the mark of a PDF further on.
    if file_type and (file_type is not FileType.PDF or head.startswith(b"%PDF")):
        return _picture(source, head, name, file_type)
    # A text may have one of these words there, but no such number before it.
    is_box = CONTROLS.search(head[:4]) or not head[:4].isascii()
    if head[4:8] == b"ftyp" or (head[4:8] in _QUICKTIME and is_box):
        return _film(head, name)
    found = _signed(_SIGNATURES, head)
    if found:
        return found
    if file_type:
        return _picture(source, head, name, file_type)
    is_frame = head[:1] == b"\xff" and head[1:2] >= b"\xe0"
    return type_of_extension(".mp3") if is_frame and read_mpeg_audio(BoundedFile(source), 0) else None


def _signed(signatures: tuple[tuple[int, bytes, str], ...], head: bytes) -> str | None:
    for position, magic, found in signatures:
        if head[position : position + len(magic)] == magic:
            return type_of_extension(found) if found.startswith(".") else found
    return None


def _picture(source: BinaryIO, head: bytes, name: str, file_type: FileType) -> str | None:
    if file_type is FileType.TIFF:
        return _tiff(source, name)
    if file_type is FileType.RAW:
        return _signed(_RAW_SIGNATURES, head)
    if file_type is FileType.HEIF:
        return type_of_extension(".heic" if b"hei" in head[8:64] else ".heif")
    if file_type is FileType.JPEG2000:
        if head[:1] == b"\xff":
            return _CODESTREAM
        return type_of_extension(".jpx" if _JPX_BRAND in head[16:40] else ".jp2")
    return type_of_extension(_PICTURES[file_type])


def _tiff(source: BinaryIO, name: str) -> str:
    """Return the type of a TIFF, of which most RAW files are a kind."""
    tiff = TiffFile(BoundedFile(source))
    entries = {entry.tag: entry for entry in tiff.directory(tiff.first)[0]}
    if _DNG_VERSION in entries:
        return type_of_extension(".dng")
    make = tiff.octets(entries[_MAKE]).lower() if _MAKE in entries else b""
    extension = splitext(name)[1].lower()
    if make and extension in RAW_EXTENSIONS:
        return type_of_extension(extension)
    is_reduced = _SUBFILE_TYPE in entries and tiff.numbers(entries[_SUBFILE_TYPE])[:1] == [_REDUCED]
    if is_reduced and _SUB_IFDS in entries:
        for maker, raw in _MAKES.items():
            if make.startswith(maker):
                return type_of_extension(raw)
    return type_of_extension(".tif")


def _film(head: bytes, name: str) -> str:
    brand = head[8:12] if head[4:8] == b"ftyp" else b"qt  "
    found = next((each for start, each in _FILM_BRANDS if brand.startswith(start)), ".mp4")
    # The usual brands say nothing of what is in the file.
    return _choice(name, _FILMS, type_of_extension(found)) if found == ".mp4" else type_of_extension(found)


def _choice(name: str, fitting: frozenset[str], otherwise: str) -> str:
    """Return the type of the name's extension if that is one of the fitting."""
    claimed = media_type(name)
    return claimed if claimed in fitting else otherwise


def _riff(_source: BinaryIO, head: bytes, _name: str) -> str | None:
    kinds = {b"WEBP": ".webp", b"WAVE": ".wav", b"AVI ": ".avi"}
    extension = kinds.get(head[8:12])
    return type_of_extension(extension) if extension else None


def _iff(_source: BinaryIO, head: bytes, _name: str) -> str | None:
    return type_of_extension(".aiff") if head[8:12] in (b"AIFF", b"AIFC") else None


def _matroska(_source: BinaryIO, head: bytes, _name: str) -> str:
    return type_of_extension(".webm" if b"webm" in head[:64] else ".mkv")


def _ogg(_source: BinaryIO, head: bytes, name: str) -> str:
    return type_of_extension(".ogv") if b"theora" in head else _choice(name, _OGG, type_of_extension(".ogg"))


def _tagged(source: BinaryIO, _head: bytes, _name: str) -> str:
    """Return the type of a sound that begins with an ID3 tag."""
    source.seek(id3_size(BoundedFile(source)))
    return type_of_extension(".flac" if source.read(4) == b"fLaC" else ".mp3")


def _adts(_source: BinaryIO, _head: bytes, _name: str) -> str:
    return "audio/aac"


def _ole(source: BinaryIO, head: bytes, name: str) -> str:
    data = head + source.read(SAMPLE)
    for stream, extension in _OLE_STREAMS:
        if stream.encode("utf-16-le") in data:
            return type_of_extension(extension)
    return _choice(name, _OLE_TYPES, "application/x-ole-storage")


def _sqlite(_source: BinaryIO, head: bytes, _name: str) -> str:
    return type_of_extension(".gpkg") if head[68:72] in (b"GPKG", b"GP10") else "application/vnd.sqlite3"


def _zip(source: BinaryIO, head: bytes, name: str) -> str:
    if head[30:38] == b"mimetype":
        declared = re.match(r"[\w.+-]+/[\w.+-]+", head[38:200].decode("latin-1"))
        if declared and (found := declared[0].removesuffix("PK")) in _OPEN_DOCUMENT:
            return found
    # Most workers never need it.
    from zipfile import ZipFile

    with suppress(Exception), ZipFile(source) as archive:
        names = archive.namelist()[:_MAX_ZIP_ENTRIES]
        if "[Content_Types].xml" in names:
            for directory, extension in _OFFICE:
                if any(each.startswith(directory) for each in names):
                    return type_of_extension(extension)
        if "doc.kml" in names:
            return type_of_extension(".kmz")
    return _choice(name, _ZIPPED, type_of_extension(".zip"))


_FAMILIES: tuple[tuple[bytes, Callable[[BinaryIO, bytes, str], str | None]], ...] = (
    (b"PK\3\4", _zip),
    (b"PK\5\6", _zip),
    (b"RIFF", _riff),
    (b"RF64", _riff),
    (b"FORM", _iff),
    (b"\x1a\x45\xdf\xa3", _matroska),
    (b"OggS", _ogg),
    (b"ID3\2", _tagged),
    (b"ID3\3", _tagged),
    (b"ID3\4", _tagged),
    (b"\xff\xf1", _adts),
    (b"\xff\xf9", _adts),
    (_OLE, _ole),
    (b"SQLite format 3\0", _sqlite),
)
"""Marks of containers, whose content tells the type."""
