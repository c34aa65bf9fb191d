"""XMP in PDF files: their metadata stream is not compressed, so that it is found by its text (ISO 32000-1, 14.3.2)."""

from collections.abc import Iterator
from io import BytesIO

from was_daemon.imaging.containers.block import MAX_BLOCK_BYTES, BinaryFile, Block, BlockKind, positions

_START, _END = b"<x:xmpmeta", b"</x:xmpmeta>"
_OF_DOCUMENTS = b"http://ns.adobe.com/pdf/1.3/"
"""Namespace of the properties that only documents have, not the pictures in them."""


def pdf_blocks(file: BinaryFile) -> Iterator[Block]:
    """Yield the XMP packet of the document: the last one, as each change of a PDF is added at its end."""
    found = b""
    for position in positions(file, _START):
        file.seek(position)
        packet, end, _ = file.read(MAX_BLOCK_BYTES).partition(_END)
        if end and (_OF_DOCUMENTS in packet or _OF_DOCUMENTS not in found):
            found = packet + end
    if found:
        yield Block(BlockKind.XMP, BytesIO(found))
