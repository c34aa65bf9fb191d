"""Large TIFF files whose strips two threads unpack at the same time.

libvips unpacks one strip after the other, which is more than half of what the pyramid of a TIFF in LZW costs. It is
given such a file as one without compression instead, made while it reads, with the tags on which the meaning of pixels
depends.
"""

import os
import struct
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from math import ceil
from resource import RLIM_INFINITY, RLIMIT_AS, getrlimit
from typing import BinaryIO

import attrs

from was_daemon.imaging.containers.ifd import LONG, SHORT, UNDEFINED, Entry, NotTiff, TiffFile
from was_daemon.imaging.libvips import builtin_errors, pyvips
from was_daemon.imaging.plain_tiff import (
    BITS,
    COMPRESSION,
    EXTRA_SAMPLES,
    HEIGHT,
    LENGTHS,
    OFFSETS,
    PHOTOMETRIC,
    ROWS,
    SAMPLES,
    WIDTH,
    Feed,
    Tags,
    short,
    tiff_head,
)

_FILL_ORDER, _ORIENTATION, _PLANES, _PREDICTOR = 266, 274, 284, 317
_TILE_WIDTH, _INKS, _SAMPLE_FORMAT, _PROFILE = 322, 332, 339, 34675
_MEANING = (BITS, PHOTOMETRIC, _ORIENTATION, SAMPLES, _INKS, EXTRA_SAMPLES, _PROFILE)
"""Tags on which it depends what pixels mean."""

_GREY, _RGB, _INK = 1, 2, 5
_READ: Mapping[int, tuple[int, Sequence[int]]] = {
    COMPRESSION: (1, (5, 8, 32946)),  # LZW, and Deflate under two numbers
    PHOTOMETRIC: (0, (_GREY, _RGB, _INK)),
    _FILL_ORDER: (1, (1,)),
    _PLANES: (1, (1,)),
    _PREDICTOR: (1, (1, 2)),
    _SAMPLE_FORMAT: (1, (1,)),
    _TILE_WIDTH: (0, (0,)),
}
"""What a tag is if it is missing, and what it is in files whose strips are unpacked here."""

_LARGE = 64 << 20
"""Bytes of pixels from which a second thread is worth its memory."""

_PART = 8 << 20
"""Bytes of pixels that are unpacked at a time, as whole strips."""

_LARGEST_STRIP = 32 << 20
_LARGEST_VALUE = 16 << 20
"""Bytes of a profile."""

_MOST_STRIPS = 1 << 18

_THREADS = 2
_ROOMY = 1 << 30
"""Bytes of memory from which a worker can spare the 50 MiB that a second thread needs for its strips."""


@attrs.frozen
class _Strips:
    """The strips of a page of `size` pixels with a number of `samples`, each but the last of `rows` rows of `stride`
    bytes; `packing` are the tags that say how they are packed, `meaning` those that say what pixels mean."""

    source: BinaryIO
    size: tuple[int, int]
    samples: int
    stride: int
    rows: int
    offsets: Sequence[int]
    lengths: Sequence[int]
    packing: Tags
    meaning: Tags

    def rows_of(self, first: int, count: int) -> int:
        """Return the number of rows of `count` strips, or as many as there are, from the strip called `first` on."""
        return min(self.rows * count, self.size[1] - self.rows * first)

    def unpack(self, first: int, count: int) -> bytes:
        """Return the pixels of `count` strips from the one called `first` on; raises OSError and MemoryError."""
        lengths = self.lengths[first : first + count]
        packed = (
            os.pread(self.source.fileno(), length, offset)
            for length, offset in zip(lengths, self.offsets[first : first + count], strict=True)
        )
        height = self.rows_of(first, count)
        # Numbers without a meaning: some meanings have libvips change them.
        tags = {**self.packing, **_numbers_only(self.samples)}
        file = tiff_head((self.size[0], height), self.rows, lengths, tags) + b"".join(packed)
        with builtin_errors():
            image = pyvips.Image.tiffload_buffer(file, access="sequential", fail_on="error")
            pixels: bytes = image.write_to_memory()
        if len(pixels) != height * self.stride:
            raise OSError("the strips of the picture have another size than it says")
        return pixels


def unpacked(source: BinaryIO, directory: int) -> Feed | None:
    """Return the page of a TIFF in the directory of that number, as the only page of one without compression.

    None if libvips is to read `source` itself: the page is not packed, not large, in tiles or planes, or damaged.
    """
    with suppress(LookupError, NotTiff, OSError, ValueError, struct.error):
        strips = _strips(source, directory)
        if strips and _are_worth_it(strips):
            return _feed(strips)
    return None


def _strips(source: BinaryIO, directory: int) -> _Strips | None:
    file = TiffFile(source)
    entries, following = file.directory(file.first)
    for _ in range(directory):
        entries, following = file.directory(following)
    found = {entry.tag: entry for entry in entries}

    def number(tag: int, default: int) -> int:
        return int(file.numbers(found[tag])[0]) if tag in found else default

    bits = set(file.numbers(found[BITS]))
    if bits not in ({8}, {16}) or any(number(tag, default) not in read for tag, (default, read) in _READ.items()):
        return None
    size, samples, depth = (number(WIDTH, 0), number(HEIGHT, 0)), number(SAMPLES, 1), bits.pop()
    kept = {tag: _value(file, entry) for tag, entry in found.items() if tag in (*_MEANING, COMPRESSION, _PREDICTOR)}
    return _Strips(
        source,
        size,
        samples,
        size[0] * samples * depth // 8,
        number(ROWS, 0),
        _array(file, found[OFFSETS]),
        _array(file, found[LENGTHS]),
        {tag: kept[tag] for tag in (COMPRESSION, _PREDICTOR, BITS, SAMPLES) if tag in kept},
        {tag: kept[tag] for tag in _MEANING if tag in kept},
    )


def _are_worth_it(strips: _Strips) -> bool:
    """Return whether it saves time to unpack strips here, and all of them are there."""
    strip, height, end = strips.rows * strips.stride, strips.size[1], os.fstat(strips.source.fileno()).st_size
    return (
        0 < strip <= _LARGEST_STRIP
        and height * strips.stride >= _LARGE
        and len(strips.offsets) == len(strips.lengths) == ceil(height / strips.rows)
        and all(
            # No packed strip is twice as large as its pixels.
            0 < length <= 2 * strip + 1024 and offset + length <= end
            for offset, length in zip(strips.offsets, strips.lengths, strict=True)
        )
    )


def _feed(strips: _Strips) -> Feed:
    count = max(1, _PART // (strips.rows * strips.stride))
    firsts = range(0, len(strips.offsets), count)
    lengths = [strips.stride * strips.rows_of(first, count) for first in firsts]
    head = tiff_head(strips.size, strips.rows * count, lengths, strips.meaning)
    return Feed(head, sum(lengths), _unpacked_ahead(strips, firsts, count))


def _unpacked_ahead(strips: _Strips, firsts: Sequence[int], count: int) -> Iterator[bytes]:
    """Yield the pixels of strips, `count` at a time, while those that follow are unpacked."""
    waiting = deque[Future[bytes]]()
    limit, _ = getrlimit(RLIMIT_AS)
    threads = _THREADS if limit == RLIM_INFINITY or limit >= _ROOMY else 1
    pool = ThreadPoolExecutor(threads)
    try:
        for first in firsts:
            waiting.append(pool.submit(strips.unpack, first, count))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _numbers_only(samples: int) -> Tags:
    """Return the tags of pixels with that number of samples."""
    photometric, colours = (_RGB, 3) if samples >= 3 else (_GREY, 1)
    extra = [short(EXTRA_SAMPLES, *[0] * (samples - colours))] if samples > colours else []
    return dict([short(PHOTOMETRIC, photometric), *extra])


def _value(file: TiffFile, entry: Entry) -> tuple[int, bytes]:
    """Return the field type and the values of an entry, in the byte order of this machine."""
    if entry.type not in (SHORT, LONG, UNDEFINED):
        raise ValueError("the entry has an unusual type")
    data = _octets(file, entry)
    if entry.type == UNDEFINED:
        return entry.type, data
    form = {SHORT: "H", LONG: "I"}[entry.type]
    return entry.type, struct.pack(f"={entry.count}{form}", *struct.unpack(f"{file.order}{entry.count}{form}", data))


def _array(file: TiffFile, entry: Entry) -> Sequence[int]:
    """Return the numbers of an entry, one for each strip."""
    if entry.count > _MOST_STRIPS:
        raise ValueError("the page has too many strips")
    form = {SHORT: "H", LONG: "I", 16: "Q"}[entry.type]
    return struct.unpack(f"{file.order}{entry.count}{form}", _octets(file, entry))


def _octets(file: TiffFile, entry: Entry) -> bytes:
    data = file.octets(entry, _LARGEST_VALUE)
    if len(data) != entry.size:
        raise ValueError("the values of an entry are not all there")
    return data
