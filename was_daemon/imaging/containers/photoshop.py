"""Metadata in Photoshop's image resources, which PSD, TIFF and JPEG files have (Adobe Photoshop File Formats)."""

from collections.abc import Iterator

from was_daemon.imaging.containers.block import BinaryFile, Block, BlockKind, FilePart

_HEADER_SIZE = 26
_SIGNATURES = (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR")
_KINDS = {0x0404: BlockKind.IPTC, 0x0422: BlockKind.TIFF, 0x0424: BlockKind.XMP}
_IPTC = 0x0404


def psd_blocks(file: BinaryFile) -> Iterator[Block]:
    """Yield the blocks of a Photoshop file."""
    file.seek(_HEADER_SIZE)
    file.seek(int.from_bytes(file.read(4), "big"), 1)
    size = int.from_bytes(file.read(4), "big")
    yield from resource_blocks(file, file.tell(), size)


def resource_blocks(file: BinaryFile, start: int, size: int, is_jpeg: bool = False) -> Iterator[Block]:
    """Yield the blocks in the image resources that begin at `start`; in a JPEG, EXIF and XMP have their own places."""
    position, end = start, start + size
    while position < end:
        file.seek(position)
        head = file.read(7)
        if head[:4] not in _SIGNATURES or len(head) < 7:
            return
        number = int.from_bytes(head[4:6], "big")
        # A Pascal string, padded with its length byte to an even size.
        file.seek(position + 6 + (head[6] | 1) + 1)
        length = int.from_bytes(file.read(4), "big")
        data = file.tell()
        if number in _KINDS and (number == _IPTC or not is_jpeg):
            yield Block(_KINDS[number], FilePart(file, data, min(length, end - data)))
        position = data + length + length % 2
