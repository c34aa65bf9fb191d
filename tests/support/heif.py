"""HEIC files as phones write them, made by code: many tiles of one content (ISO/IEC 23008-12, section 6.6.2.3)."""

import struct

from tests.support import images

_TILE = 512
_HEADER = 12
"""Bytes before the content of a box with version and flags."""


def grid_heic(columns: int, rows: int) -> bytes:
    """Return a HEIC of `columns` x `rows` tiles of 512 x 512 pixels, each of which is the chart.

    It is as small as one tile, whatever it becomes in memory; its decoder reads the tiles in several threads.
    """
    tile = images.heic(images.chart((_TILE, _TILE)))
    properties = _find(tile, b"meta", b"iprp", b"ipco")
    settings, depths = (_find(properties, b"ipco", kind) for kind in (b"hvcC", b"pixi"))
    pixels = _find(tile, b"mdat")[8:]
    count = columns * rows
    width, height = _TILE * columns, _TILE * rows
    layout = struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, width, height)
    numbers = range(1, count + 1)
    entries = [_full(b"infe", struct.pack(">HH4sB", number, 0, b"hvc1", 0), 2, 1) for number in numbers]
    entries.append(_full(b"infe", struct.pack(">HH4sB", count + 1, 0, b"grid", 0), 2))
    tiles = struct.pack(f">HH{count}H", count + 1, count, *numbers)
    sizes = [_full(b"ispe", struct.pack(">II", *size)) for size in ((_TILE, _TILE), (width, height))]
    uses = b"".join(struct.pack(">HB3B", number, 3, 0x81, 2, 4) for number in numbers)
    uses = struct.pack(">I", count + 1) + uses + struct.pack(">HB2B", count + 1, 2, 3, 4)
    head = _box(b"ftyp", b"heic\0\0\0\0mif1heic")

    def meta(start: int) -> bytes:
        """Return the box that describes the items, whose bytes begin at `start`."""
        places = [struct.pack(">HHHII", number, 0, 1, start, len(pixels)) for number in numbers]
        places.append(struct.pack(">HHHII", count + 1, 0, 1, start + len(pixels), len(layout)))
        return _full(
            b"meta",
            _full(b"hdlr", bytes(4) + b"pict" + bytes(13))
            + _full(b"pitm", struct.pack(">H", count + 1))
            + _full(b"iloc", struct.pack(">BBH", 0x44, 0, count + 1) + b"".join(places))
            + _full(b"iinf", struct.pack(">H", count + 1) + b"".join(entries))
            + _full(b"iref", _box(b"dimg", tiles))
            + _box(b"iprp", _box(b"ipco", settings + b"".join(sizes) + depths) + _full(b"ipma", uses)),
        )

    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + _box(b"mdat", pixels + layout)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _full(kind: bytes, content: bytes, version: int = 0, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags) + content)


def _find(data: bytes, *path: bytes) -> bytes:
    """Return the box at `path`, with its header."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == path[0]:
            box = data[at : at + size]
            return box if len(path) == 1 else _find(box[_HEADER if kind == b"meta" else 8 :], *path[1:])
        at += size
    raise KeyError(path[0])
