"""TIFF files for tests, and the camera RAW files that are made like them."""

import struct
from typing import Any

from PIL import Image, ImageChops, ImageOps

from tests.support.images import CHART_SIZE, TAKEN, chart, encode

Entries = list[tuple[int, str, Any]]


def tiff(
    sample: str = "uchar", factor: float = 1, image: Image.Image | None = None, space: str | None = None, **options: Any
) -> bytes:
    """The TIFF that libvips writes of `image`, its samples times `factor` and of that type, in that colour space."""
    import pyvips

    image = image or chart()
    spaces = {"L": "b-w", "RGB": "srgb", "CMYK": "cmyk"}
    deep = {"L": "grey16", "RGB": "rgb16", "CMYK": "cmyk"} if sample == "ushort" else spaces
    pixels = pyvips.Image.new_from_memory(image.tobytes(), *image.size, len(image.mode), "uchar")
    pixels = (pixels.copy(interpretation=spaces[image.mode]) * factor).cast(sample)
    pixels = pixels.copy(interpretation=deep[image.mode])
    return bytes((pixels.colourspace(space) if space else pixels).tiffsave_buffer(**options))


def with_entry(data: bytes, tag: int, value: int) -> bytes:
    """`data`, a little-endian TIFF, with another value of an entry that is one short number."""
    at = data.index(struct.pack("<HHI", tag, 3, 1)) + 8
    return data[:at] + struct.pack("<H", value) + data[at + 2 :]


def planar_tiff() -> bytes:
    """The chart with its red, green and blue apart."""
    planes = [band.tobytes() for band in chart().split()]
    entries = _rgb_page(chart(), ["strip 0", "strip 1", "strip 2"], len(planes[0]))
    return _tiff([[*entries, (284, "H", [2])]], planes)


def planar_grey(image: Image.Image, bits: int = 8, inverted: bool = False, multiplied: bool = False) -> bytes:
    """An image of mode LA with grey and alpha apart, of 8 or 16 bits.

    `inverted`: the lowest number is white; `multiplied`: grey is multiplied by alpha.
    """
    grey, alpha = image.split()
    grey = ImageChops.multiply(grey, alpha) if multiplied else grey
    planes = [band.tobytes() for band in (ImageOps.invert(grey) if inverted else grey, alpha)]
    if bits == 16:
        planes = [b"".join(struct.pack("<H", value * 257) for value in plane) for plane in planes]
    page = [
        entry for entry in _rgb_page(image, ["strip 0", "strip 1"], len(planes[0])) if entry[0] not in (258, 262, 277)
    ]
    page += [
        (258, "H", [bits] * 2),
        (262, "H", [0 if inverted else 1]),
        (277, "H", [2]),
        (284, "H", [2]),
        (338, "H", [1 if multiplied else 2]),
    ]
    return _tiff([sorted(page)], planes)


def old_jpeg(tiled: bool) -> bytes:
    """The chart in JPEG compression as of TIFF 6.0 (section 22), in two tiles, one below the other, or in one strip."""
    image = chart()
    down = image.height // 2 if tiled else image.height
    boxes = [(0, y, image.width, y + down) for y in range(0, image.height, down)]
    files = [encode(image.crop(box), "JPEG", quality=95, subsampling=0) for box in boxes]
    scans = [_jpeg_segments(file)[1] for file in files]
    tables = _jpeg_segments(files[0])[0]
    # Of lightness, and of the two colours.
    strips = [tables[name] for name in ("q0", "q1", "d0", "d1", "a0", "a1")] + scans
    places = [f"strip {number}" for number in range(6, len(strips))]
    sizes = [len(scan) for scan in scans]
    entries: Entries = [
        (256, "I", [image.width]), (257, "I", [image.height]), (258, "H", [8, 8, 8]), (259, "H", [6]), (262, "H", [6]),
        (277, "H", [3]), (512, "H", [1]), (519, "I", ["strip 0", "strip 1", "strip 1"]),
        (520, "I", ["strip 2", "strip 3", "strip 3"]), (521, "I", ["strip 4", "strip 5", "strip 5"]),
        (530, "H", [1, 1]), (532, "R", [0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1]),
    ]  # fmt: skip
    if tiled:
        entries += [(322, "I", [image.width]), (323, "I", [down]), (324, "I", places), (325, "I", sizes)]
    else:
        entries += [(273, "I", places), (278, "I", [image.height]), (279, "I", sizes)]
    return _tiff([sorted(entries)], strips)


def _jpeg_segments(data: bytes) -> tuple[dict[str, bytes], bytes]:
    """The tables of a JPEG (q: quantisation, d and a: Huffman codes of DC and AC, with their number) and its scan."""
    tables = {}
    at = 2
    while data[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        content = data[at + 4 : at + 2 + length]
        if data[at + 1] == 0xDB:
            tables |= {f"q{content[place]}": content[place + 1 : place + 65] for place in range(0, len(content), 65)}
        while data[at + 1] == 0xC4 and content:
            end = 17 + sum(content[1:17])
            tables[f"{'da'[content[0] >> 4]}{content[0] & 15}"] = content[1:end]
            content = content[end:]
        at += 2 + length
    (length,) = struct.unpack_from(">H", data, at + 2)
    return tables, data[at + 2 + length : -2]


def ycbcr(compression: int = 5, subsampling: int = 1) -> bytes:
    """The chart as lightness and colours, in LZW (5), deflate (8), PackBits (32773) or no (1) compression."""
    import zlib

    image = chart().convert("YCbCr")
    lightness, blue, red = image.split()
    if subsampling > 1:
        size = (image.width // subsampling, image.height // subsampling)
        blue, red = blue.resize(size), red.resize(size)
    units = bytearray()
    for y in range(0, image.height, subsampling):
        for x in range(0, image.width, subsampling):
            for row in range(subsampling):
                units += bytes(lightness.getpixel((x + column, y + row)) for column in range(subsampling))  # type: ignore[misc]
            units += bytes(band.getpixel((x // subsampling, y // subsampling)) for band in (blue, red))  # type: ignore[misc]
    data = bytes(units)
    if compression == 5:
        data = _lzw(data)
    elif compression == 8:
        data = zlib.compress(data)
    elif compression == 32773:
        data = b"".join(bytes((len(data[at : at + 128]) - 1,)) + data[at : at + 128] for at in range(0, len(data), 128))
    entries: Entries = [
        (256, "I", [image.width]), (257, "I", [image.height]), (258, "H", [8, 8, 8]), (259, "H", [compression]),
        (262, "H", [6]), (273, "I", ["strip 0"]), (277, "H", [3]), (278, "I", [image.height]), (279, "I", [len(data)]),
        (530, "H", [subsampling, subsampling]), (532, "R", [0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1]),
    ]  # fmt: skip
    return _tiff([entries], [data])


def _lzw(data: bytes) -> bytes:
    """`data` as TIFF's LZW codes of nine bits, with a clear code before the table outgrows them."""
    codes = [256]
    for number, byte in enumerate(data):
        if number and number % 250 == 0:
            codes.append(256)
        codes.append(byte)
    codes.append(257)
    bits = "".join(f"{code:09b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def icc_lab(lab: Image.Image, bits: int) -> bytes:
    """A TIFF of an image of mode LAB in LAB as ICC profiles have it, of 8 or 16 bits per sample."""
    lightness, *colours = lab.split()
    samples = Image.merge("RGB", (lightness, *colours)).tobytes()
    data = samples if bits == 8 else b"".join(struct.pack("<H", value * 256) for value in samples)
    page = [entry for entry in _rgb_page(lab, ["strip 0"], len(data)) if entry[0] not in (258, 262)]
    return _tiff([sorted([*page, (258, "H", [bits] * 3), (262, "H", [9])])], [data])


def with_more_bands(count: int) -> bytes:
    """The chart as a TIFF with further bands that have no meaning, and little in them."""
    image = chart()
    pixels = image.tobytes()
    data = b"".join(pixels[at : at + 3] + bytes(range(7, 7 + count)) for at in range(0, len(pixels), 3))
    page = [entry for entry in _rgb_page(image, ["strip 0"], len(data)) if entry[0] not in (258, 277)]
    return _tiff(
        [sorted([*page, (258, "H", [8] * (3 + count)), (277, "H", [3 + count]), (338, "H", [0] * count)])], [data]
    )


def of_depth(image: Image.Image, bits: int, compressed: bool = False, inverted: bool = False) -> bytes:
    """A TIFF of an image of mode L, RGB or YCbCr with `bits` bits per sample, compressed by deflate or not at all.

    `inverted` is grey of which the lowest number is white. 16 bits are in the byte order of the file.
    """
    import zlib

    image = ImageOps.invert(image) if inverted else image
    most, row = 2**bits - 1, image.width * len(image.getbands())
    values = [round(value * most / 255) for value in image.tobytes()]
    if bits == 16:
        data = struct.pack(f"<{len(values)}H", *values)
    else:
        rows = ["".join(f"{value:0{bits}b}" for value in values[at : at + row]) for at in range(0, len(values), row)]
        padded = "".join(each + "0" * (-len(each) % 8) for each in rows)
        data = int(padded, 2).to_bytes(len(padded) // 8, "big")
    data = zlib.compress(data) if compressed else data
    meaning = {"L": 0 if inverted else 1, "RGB": 2, "YCbCr": 6}[image.mode]
    bands = len(image.getbands())
    page = [entry for entry in _rgb_page(image, ["strip 0"], len(data)) if entry[0] not in (258, 259, 262, 277)]
    page += [
        (258, "H", [bits] * bands),
        (259, "H", [8 if compressed else 1]),
        (262, "H", [meaning]),
        (277, "H", [bands]),
    ]
    return _tiff([sorted(page)], [data])


def of_fewer_bits(
    image: Image.Image, bits: int, compression: str = "none", inverted: bool = False, most: int | None = None
) -> bytes:
    """A TIFF of an image of mode L or RGB, whose samples have `bits` bits and are stored in 16.

    MaxSampleValue says so, or is `most`. `compression` is "none", or Pillow's name for one. `inverted` is grey of which
    the lowest number is white.
    """
    image = ImageOps.invert(image) if inverted else image
    white = 2**bits - 1
    data = b"".join(struct.pack("<H", round(value * white / 255)) for value in image.tobytes())
    meaning = 2 if image.mode == "RGB" else 0 if inverted else 1
    bands = len(image.getbands())
    largest = [white if most is None else most] * bands
    if compression != "none":
        deep = Image.frombytes("I;16", image.size, data)
        compressed = encode(deep, "TIFF", compression=compression, tiffinfo={262: meaning, 281: 0})
        # Pillow writes another value.
        return with_entry(compressed, 281, largest[0])
    page = [entry for entry in _rgb_page(image, ["strip 0"], len(data)) if entry[0] not in (258, 262, 277)]
    page += [(258, "H", [16] * bands), (262, "H", [meaning]), (277, "H", [bands]), (281, "H", largest)]
    return _tiff([sorted(page)], [data])


def with_depths(*bits: int) -> bytes:
    """A TIFF whose samples have different depths."""
    image = chart()
    page = [entry for entry in _rgb_page(image, ["strip 0"], image.width * image.height * 2) if entry[0] != 258]
    return _tiff([sorted([*page, (258, "H", list(bits))])], [bytes(image.width * image.height * 2)])


def planar_ycbcr() -> bytes:
    """The chart as lightness and colours in planes of their own."""
    planes = [band.tobytes() for band in chart().convert("YCbCr").split()]
    page = [entry for entry in _rgb_page(chart(), ["strip 0", "strip 1", "strip 2"], len(planes[0])) if entry[0] != 262]
    return _tiff([sorted([*page, (262, "H", [6]), (284, "H", [2]), (530, "H", [1, 1])])], planes)


def two_pages(first: Image.Image, second: Image.Image, reduced: bool) -> bytes:
    """Two pages; the second says whether it is a reduced version of the first."""
    pages = [
        _rgb_page(page, [f"strip {number}"], page.width * page.height * 3)
        for number, page in enumerate((first, second))
    ]
    if reduced:
        pages[1].insert(0, (254, "I", [1]))
    return _tiff(pages, [first.tobytes(), second.tobytes()], chained=True)


def blank(size: tuple[int, int]) -> bytes:
    """An RGB TIFF in strips of 100 rows without the strips; zeros to be appended are a black picture."""
    width, height = size
    count, length = height // 100, width * 300
    page = _rgb_page(Image.new("RGB", (1, 1)), [], 0)
    page = [entry for entry in page if entry[0] not in (256, 257, 273, 278, 279)]
    start = 8 + 6 + 12 * (len(page) + 5) + 6 + 8 * count  # header, directory, bits per sample, the two lists
    strips = [start + number * length for number in range(count)]
    page += [
        (256, "I", [width]),
        (257, "I", [height]),
        (273, "I", strips),
        (278, "I", [100]),
        (279, "I", [length] * count),
    ]
    return _tiff([sorted(page)], [])


def photograph() -> bytes:
    """The chart with a camera's EXIF: `TAKEN` as the time, and a position."""
    image = chart()
    page = _rgb_page(image, ["strip 0"], image.width * image.height * 3)
    page.insert(5, (271, "s", b"Specimen Optics\0"))
    exif = [(0x9003, "s", TAKEN.encode() + b"\0")]
    gps = [(1, "s", b"N\0"), (2, "R", [52, 1, 31, 1, 48, 1]), (3, "s", b"E\0"), (4, "R", [13, 1, 22, 1, 47, 1])]
    page += [(34665, "I", ["directory 1"]), (34853, "I", ["directory 2"])]
    return _tiff([page, exif, gps], [image.tobytes()])


def with_jpeg_thumbnail() -> bytes:
    """A TIFF whose second directory is a JPEG thumbnail, as that of EXIF is."""
    image, tiny = chart(), encode(chart((24, 16)), "JPEG")
    thumbnail = [(259, "H", [6]), (513, "I", ["strip 1"]), (514, "I", [len(tiny)])]
    pages = [_rgb_page(image, ["strip 0"], image.width * image.height * 3), thumbnail]
    return _tiff(pages, [image.tobytes(), tiny], chained=True)


def _rgb_page(image: Image.Image, strips: list[str], size: int) -> Entries:
    return [
        (256, "I", [image.width]), (257, "I", [image.height]), (258, "H", [8, 8, 8]), (259, "H", [1]), (262, "H", [2]),
        (273, "I", strips), (277, "H", [3]), (278, "I", [image.height]), (279, "I", [size] * len(strips)),
    ]  # fmt: skip


def dng(preview: Image.Image | None = None, orientation: int = 1, pruned: bool = False) -> bytes:
    """A DNG as cameras write it: a tiny grey picture first, and below it the sensor's data and a JPEG preview.

    The sensor's data show the chart in its own resolution (`CHART_SIZE`); the preview is `preview`, or there is none.
    `pruned` is a file that says that its sensor's data are compressed in a way that nobody knows, and has none.
    """
    width, height = CHART_SIZE
    tiny = Image.new("RGB", (24, 16), "grey")
    strips = [tiny.tobytes(), b"removed" if pruned else _bayer(chart())]
    sensor = [
        (254, "I", [0]), (256, "I", [width]), (257, "I", [height]), (258, "H", [16]),
        (259, "H", [65000 if pruned else 1]), (262, "H", [32803]), (273, "I", ["strip 1"]), (277, "H", [1]),
        (278, "I", [height]), (279, "I", [len(strips[1])]), (33421, "H", [2, 2]), (33422, "B", [0, 1, 1, 2]),
        (50714, "I", [0]), (50717, "I", [65535]),
    ]  # fmt: skip
    directories = [sensor]
    if preview:
        strips.append(encode(preview, "JPEG", quality=92))
        directories.append([
            (254, "I", [1]), (256, "I", [preview.width]), (257, "I", [preview.height]), (258, "H", [8, 8, 8]),
            (259, "H", [7]), (262, "H", [6]), (273, "I", ["strip 2"]), (277, "H", [3]), (278, "I", [preview.height]),
            (279, "I", [len(strips[2])]), (530, "H", [2, 2]),
        ])  # fmt: skip
    to_camera = [3.2405, -1.5372, -0.4985, -0.9693, 1.8760, 0.0416, 0.0556, -0.2040, 1.0572]  # from XYZ
    matrix = [part for value in to_camera for part in (round(value * 10_000), 10_000)]
    first = [
        (254, "I", [1]), (256, "I", [24]), (257, "I", [16]), (258, "H", [8, 8, 8]), (259, "H", [1]), (262, "H", [2]),
        (271, "s", b"Specimen Optics\0"), (272, "s", b"Field 24\0"), (273, "I", ["strip 0"]), (274, "H", [orientation]),
        (277, "H", [3]), (278, "I", [16]), (279, "I", [len(strips[0])]),
        (330, "I", [f"directory {number + 1}" for number in range(len(directories))]),
        (50706, "B", [1, 4, 0, 0]), (50707, "B", [1, 1, 0, 0]), (50708, "s", b"Field 24\0"), (50721, "r", matrix),
        (50728, "R", [1, 1, 1, 1, 1, 1]), (50778, "H", [21]),
    ]  # fmt: skip
    return _tiff([first, *directories], strips)


def _bayer(image: Image.Image) -> bytes:
    """16-bit samples in the pattern red, green / green, blue, linear light."""
    linear = [round(65535 * (value / 255) ** 2.2) for value in range(256)]
    pixels = image.load()
    assert pixels is not None
    return b"".join(
        struct.pack("<H", linear[pixels[x, y][(x & 1) + (y & 1)]])  # type: ignore[index]
        for y in range(image.height)
        for x in range(image.width)
    )


def _tiff(directories: list[Entries], strips: list[bytes], chained: bool = False) -> bytes:
    """A TIFF of directories of (tag, type as in struct, values); "strip 1" and "directory 1" stand for their offsets.

    Types: s for text, r for signed and R for unsigned rationals. Only the first directory is a page unless `chained`.
    """
    tables = [b"".join(_entry(entry, {})[0] for entry in entries) for entries in directories]
    extras = [b"".join(_entry(entry, {})[1] for entry in entries) for entries in directories]
    parts = [len(table) + 6 + len(extra) for table, extra in zip(tables, extras, strict=True)]
    names = [f"directory {number}" for number in range(len(parts))] + [
        f"strip {number}" for number in range(len(strips))
    ]
    offsets, at = {}, 8
    for name, size in zip(names, parts + [len(strip) + len(strip) % 2 for strip in strips], strict=True):
        offsets[name] = at
        at += size
    out = struct.pack("<2sHI", b"II", 42, 8)
    for number, entries in enumerate(directories):
        at = len(out) + 6 + 12 * len(entries)
        table, extra = b"", b""
        for entry in entries:
            fields, more = _entry(entry, offsets, at + len(extra))
            table, extra = table + fields, extra + more
        following = offsets.get(f"directory {number + 1}", 0) if chained else 0
        out += struct.pack("<H", len(entries)) + table + struct.pack("<I", following) + extra
    return out + b"".join(strip + bytes(len(strip) % 2) for strip in strips)


def _entry(entry: tuple[int, str, Any], offsets: dict[str, int], at: int = 0) -> tuple[bytes, bytes]:
    """The twelve bytes of an entry, and what of it goes elsewhere, to `at`."""
    tag, kind, values = entry
    number, code, size = {
        "B": (1, "B", 1),
        "s": (2, "s", 1),
        "H": (3, "H", 2),
        "I": (4, "I", 4),
        "R": (5, "I", 8),
        "r": (10, "i", 8),
    }[kind]
    numbers = [offsets.get(value, 0) if isinstance(value, str) else value for value in values]
    packed = values if kind == "s" else struct.pack(f"<{len(numbers)}{code}", *numbers)
    head = struct.pack("<HHI", tag, number, len(packed) // size)
    if len(packed) <= 4:
        return head + packed.ljust(4, b"\0"), b""
    return head + struct.pack("<I", at), packed + bytes(len(packed) % 2)
