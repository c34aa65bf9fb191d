"""Metadata in files made of chunks or blocks: PNG, WebP, GIF."""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO

from was_daemon.imaging.containers.block import (
    MAX_BLOCK_BYTES,
    BinaryFile,
    Block,
    BlockKind,
    FilePart,
    tiff_part,
)
from was_daemon.imaging.containers.photoshop import resource_blocks

_PNG_XMP = b"XML:com.adobe.xmp"
_RAW_PROFILE = b"Raw profile type "
_APP1_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_GIF_XMP = b"XMP DataXMP"
_GIF_XMP_END = b"\x01\xff\xfe"
"""Start of the trailer that leads readers of sub-blocks to the end (XMP specification, part 3, section 1.1.2)."""


def png_blocks(file: BinaryFile) -> Iterator[Block]:
    """Yield the blocks of a PNG: an `eXIf` chunk, XMP in `iTXt`, and ImageMagick's "Raw profile" texts."""
    position = 8
    while True:
        file.seek(position)
        head = file.read(8)
        size, name = int.from_bytes(head[:4], "big"), head[4:]
        if len(name) < 4 or name == b"IEND":
            return
        if name == b"eXIf":
            yield Block(BlockKind.TIFF, tiff_part(file, position + 8, size))
        elif name in (b"tEXt", b"zTXt", b"iTXt"):
            yield from _text_blocks(name, FilePart(file, position + 8, min(size, MAX_BLOCK_BYTES)).read())
        position += 12 + size


def webp_blocks(file: BinaryFile) -> Iterator[Block]:
    """Yield the blocks of a WebP file."""
    for name, start, size in _webp_chunks(file):
        if name == b"EXIF":
            yield Block(BlockKind.TIFF, tiff_part(file, start, size))
        elif name == b"XMP ":
            yield Block(BlockKind.XMP, FilePart(file, start, size))


def webp_profile(file: BinaryFile) -> bytes | None:
    """Return the ICC profile of a WebP file, or None."""
    for name, start, size in _webp_chunks(file):
        if name == b"ICCP":
            return FilePart(file, start, size).read(MAX_BLOCK_BYTES)
    return None


def _webp_chunks(file: BinaryFile) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and size of each chunk (RFC 9649, section 2.3)."""
    position = 12
    while True:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return
        size = int.from_bytes(head[4:], "little")
        yield head[:4], position + 8, size
        position += 8 + size + size % 2


def gif_blocks(file: BinaryFile) -> Iterator[Block]:
    """Yield the XMP packet of a GIF, from its application extension."""
    file.seek(10)
    flags = file.read(3)[:1]
    file.seek(13 + _colour_table_size(flags))
    while (introducer := file.read(1)) in (b"!", b","):
        if introducer == b",":
            file.seek(_colour_table_size(file.read(9)[8:]) + 1, 1)
        elif file.read(1) == b"\xff" and file.read(12)[1:] == _GIF_XMP:
            packet, end, _ = file.read(MAX_BLOCK_BYTES).partition(_GIF_XMP_END)
            if end:
                yield Block(BlockKind.XMP, BytesIO(packet))
            return
        while size := file.read(1):
            if size == b"\0":
                break
            file.seek(size[0], 1)


def _colour_table_size(flags: bytes) -> int:
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _text_blocks(name: bytes, chunk: bytes) -> Iterator[Block]:
    """Yield the blocks in a text chunk of a PNG (PNG specification, section 11.3.3)."""
    keyword, _, rest = chunk.partition(b"\0")
    if keyword != _PNG_XMP and not keyword.startswith(_RAW_PROFILE):
        return
    is_compressed = name == b"zTXt"
    if name == b"zTXt":
        rest = rest[1:]
    elif name == b"iTXt":
        is_compressed, rest = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
    text = _inflated(rest) if is_compressed else rest
    if keyword == _PNG_XMP:
        yield Block(BlockKind.XMP, BytesIO(text))
    else:
        yield from _profile_blocks(keyword.removeprefix(_RAW_PROFILE), text)


def _inflated(data: bytes) -> bytes:
    with suppress(zlib.error):
        return zlib.decompressobj().decompress(data, MAX_BLOCK_BYTES)
    return b""


def _profile_blocks(kind: bytes, text: bytes) -> Iterator[Block]:
    """Yield the blocks in a profile as ImageMagick writes it: a line with its kind, one with its size, then hex."""
    _, _, digits = text.lstrip(b"\n").split(b"\n", 2)
    profile = bytes.fromhex(digits.decode("ascii"))
    file = BytesIO(profile)
    if kind == b"iptc" and profile.startswith(b"8BIM"):
        yield from resource_blocks(file, 0, len(profile))
    elif kind == b"iptc":
        yield Block(BlockKind.IPTC, file)
    elif kind == b"xmp":
        yield Block(BlockKind.XMP, file)
    elif profile.startswith(_APP1_XMP):
        yield Block(BlockKind.XMP, BytesIO(profile.removeprefix(_APP1_XMP)))
    elif kind.lower() in (b"exif", b"app1"):
        yield Block(BlockKind.TIFF, tiff_part(file, 0, len(profile)))
