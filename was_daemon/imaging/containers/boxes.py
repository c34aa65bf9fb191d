"""Metadata in files made of boxes: HEIF, AVIF, JPEG 2000, JPEG XL, Canon CR3 (ISO/IEC 14496-12, 23008-12, 15444-1)."""

from collections.abc import Iterator
from io import BytesIO

import attrs

from was_daemon.imaging.containers.block import (
    MAX_BLOCK_BYTES,
    BinaryFile,
    Block,
    BlockKind,
    FilePart,
    tiff_part,
)

_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_IPTC_UUID = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
_EXIF_UUIDS = (b"JpgTiffExif->JP2", bytes.fromhex("0537cdab9d0c4431a72afa561f2a113e"))
_CANON_UUID = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_CANON_KINDS = {
    b"CMT1": BlockKind.TIFF,
    b"CMT2": BlockKind.EXIF_DIRECTORY,
    b"CMT3": BlockKind.CANON_DIRECTORY,
    b"CMT4": BlockKind.GPS_DIRECTORY,
}
_XMP_TYPE = b"application/rdf+xml"
_IN_FILE, _IN_DATA_BOX = 0, 1
"""Construction methods: where the offset of an item's extent counts from."""


@attrs.frozen
class Box:
    """Box of an ISO base media file; its content is from `start` to `end`."""

    name: bytes
    start: int
    end: int


def boxes(file: BinaryFile, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes between `start` and `end`, the last one cut where it would go beyond."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        size, content = int.from_bytes(head[:4], "big"), start + 8
        if size == 1:
            size, content = int.from_bytes(head[8:16], "big"), start + 16
        elif size == 0:
            size = end - start
        if len(head) < 8 or start + size < content:
            return
        yield Box(head[4:8], content, min(start + size, end))
        start += size


def box_blocks(file: BinaryFile) -> Iterator[Block]:
    """Yield the blocks of a file made of boxes."""
    for box in boxes(file, 0, file.seek(0, 2)):
        if box.name == b"meta":
            yield from _item_blocks(file, box)
        elif box.name == b"moov":
            yield from _canon_blocks(file, box)
        elif box.name == b"uuid":
            yield from _uuid_blocks(file, box)
        elif box.name == b"Exif":  # JPEG XL: after the offset of the TIFF header, which counts from its end
            file.seek(box.start)
            start = box.start + 4 + int.from_bytes(file.read(4), "big")
            yield Block(BlockKind.TIFF, tiff_part(file, start, box.end - start))
        elif box.name == b"xml ":
            yield Block(BlockKind.XMP, FilePart(file, box.start, box.end - box.start))


def _uuid_blocks(file: BinaryFile, box: Box) -> Iterator[Block]:
    file.seek(box.start)
    uuid = file.read(16)
    start, size = box.start + 16, box.end - box.start - 16
    if uuid in _EXIF_UUIDS:
        yield Block(BlockKind.TIFF, tiff_part(file, start, size))
    elif uuid == _XMP_UUID:
        yield Block(BlockKind.XMP, FilePart(file, start, size))
    elif uuid == _IPTC_UUID:
        yield Block(BlockKind.IPTC, FilePart(file, start, size))


def _canon_blocks(file: BinaryFile, movie: Box) -> Iterator[Block]:
    for box in boxes(file, movie.start, movie.end):
        file.seek(box.start)
        if box.name != b"uuid" or file.read(16) != _CANON_UUID:
            continue
        for part in boxes(file, box.start + 16, box.end):
            if part.name in _CANON_KINDS:
                yield Block(_CANON_KINDS[part.name], FilePart(file, part.start, part.end - part.start))


def _item_blocks(file: BinaryFile, meta: Box) -> Iterator[Block]:
    """Yield the blocks among the items of a HEIF or AVIF file (ISO/IEC 23008-12, annex A)."""
    parts = {box.name: box for box in boxes(file, meta.start + 4, meta.end)}
    if b"iinf" not in parts or b"iloc" not in parts:
        return
    kinds = dict(_items(file, parts[b"iinf"]))
    places = _Places(file, parts[b"iloc"], parts.get(b"idat")).read(kinds)
    for item, content in places:
        if kinds[item] is BlockKind.XMP:
            yield Block(BlockKind.XMP, content)
        else:
            start = 4 + int.from_bytes(content.read(4), "big")
            yield Block(BlockKind.TIFF, tiff_part(content, start, content.seek(0, 2) - start))


def _items(file: BinaryFile, box: Box) -> Iterator[tuple[int, BlockKind]]:
    """Yield number and kind of the items that hold metadata (ISO/IEC 14496-12, section 8.11.6)."""
    file.seek(box.start)
    count_size = 4 if file.read(1) > b"\0" else 2
    for entry in boxes(file, box.start + 4 + count_size, box.end):
        file.seek(entry.start)
        data = file.read(min(entry.end - entry.start, 256))
        number_size = {2: 2, 3: 4}.get(data[0])
        if not number_size:
            continue
        number, rest = int.from_bytes(data[4 : 4 + number_size], "big"), data[6 + number_size :]
        if rest[:4] == b"Exif":
            yield number, BlockKind.TIFF
        elif rest[:4] == b"mime" and rest[4:].split(b"\0")[1:2] == [_XMP_TYPE]:
            yield number, BlockKind.XMP


class _Places:
    """The `iloc` box: where the items of a file are (ISO/IEC 14496-12, section 8.11.3)."""

    def __init__(self, file: BinaryFile, box: Box, data: Box | None) -> None:
        self._file = file
        self._data = data
        file.seek(box.start)
        self._box = BytesIO(file.read(min(box.end - box.start, MAX_BLOCK_BYTES)))

    def read(self, wanted: dict[int, BlockKind]) -> Iterator[tuple[int, BinaryFile]]:
        """Yield number and content of the items that are `wanted`."""
        version = self._number(1)
        self._number(3)
        sizes = self._number(2)
        offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
        if version == 0:
            index_size = 0
        number_size = 4 if version == 2 else 2
        for _ in range(self._number(number_size)):
            item = self._number(number_size)
            method = self._number(2) & 15 if version else _IN_FILE
            self._number(2)
            base = self._number(base_size)
            extents = []
            for _ in range(self._number(2)):
                self._number(index_size)
                extents.append((base + self._number(offset_size), self._number(length_size)))
            if item in wanted and method in (_IN_FILE, _IN_DATA_BOX):
                yield item, self._content(method, extents)

    def _number(self, size: int) -> int:
        data = self._box.read(size)
        if len(data) < size:
            raise EOFError
        return int.from_bytes(data, "big")

    def _content(self, method: int, extents: list[tuple[int, int]]) -> BinaryFile:
        start = self._data.start if method == _IN_DATA_BOX and self._data else 0
        parts = [FilePart(self._file, start + offset, length) for offset, length in extents]
        if len(parts) == 1:
            return parts[0]
        content = b""
        for part in parts:
            content += part.read(MAX_BLOCK_BYTES - len(content))
        return BytesIO(content)
