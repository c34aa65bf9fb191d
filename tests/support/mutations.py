"""Damaged files of every kind that is supported: cut off, with flipped bits, with numbers that lie."""

import io
import random
import struct
from collections.abc import Callable, Iterator

from PIL import Image

from tests.support import images, pdfs, raws, tiffs, unusual
from tests.support.heif import grid_heic

_EXIF = images.photograph_exif()
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _encoded(format_name: str, mode: str = "RGB", **options: object) -> Callable[[], bytes]:
    return lambda: images.encode(images.chart().convert(mode), format_name, **options)


SEEDS: dict[str, Callable[[], bytes]] = {
    "photograph.jpg": images.photograph,
    "progressive.jpg": lambda: images.jpeg(progressive=True, exif=_EXIF),
    "grey.jpg": _encoded("JPEG", "L"),
    "cmyk.jpg": _encoded("JPEG", "CMYK"),
    "profile.jpg": lambda: images.jpeg(icc_profile=images.srgb_profile()),
    "annotated.png": images.annotated_png,
    "palette.png": _encoded("PNG", "P"),
    "deep.png": images.png16,
    "animated.gif": images.animated_gif,
    "lossy.webp": _encoded("WEBP", exif=_EXIF, icc_profile=images.srgb_profile()),
    "lossless.webp": _encoded("WEBP", lossless=True),
    "plain.bmp": _encoded("BMP"),
    "palette.bmp": _encoded("BMP", "P"),
    "photograph.avif": _encoded("AVIF", exif=_EXIF),
    "plain.jp2": _encoded("JPEG2000"),
    "profile.jp2": lambda: images.jp2_with_profile(images.chart(), images.srgb_profile(), 2),
    "photograph.heic": lambda: images.heic(exif=_EXIF.tobytes()),
    "photograph.tif": tiffs.photograph,
    "planar.tif": tiffs.planar_tiff,
    "lzw.tif": _encoded("TIFF", compression="tiff_lzw"),
    "deflate.tif": _encoded("TIFF", compression="tiff_adobe_deflate", exif=_EXIF),
    "jpeg.tif": _encoded("TIFF", compression="jpeg"),
    "fax.tif": _encoded("TIFF", "1", compression="group4"),
    "tiles.tif": lambda: tiffs.tiff(tile=True, pyramid=True, compression="deflate"),
    "big.tif": lambda: tiffs.tiff(bigtiff=True, compression="lzw"),
    "float.tif": lambda: tiffs.tiff("float", 1 / 255, images.chart().convert("L")),
    "lab.tif": lambda: tiffs.tiff(space="lab"),
    "plain.psd": images.psd,
    "cmyk.psd": lambda: images.psd(images.chart().convert("CMYK")),
    "two-pages.pdf": lambda: images.pdf(pages=2),
    "old-jpeg.tif": lambda: tiffs.old_jpeg(tiled=True),
    "ycbcr.tif": lambda: tiffs.ycbcr(5),
    "lossless.jpg": lambda: unusual.lossless_jpeg(images.chart()),
    "marker.jpg": lambda: images.jpeg().replace(b"\xff\xe0", b"\0\xe0", 1),
    "fields.bmp": lambda: unusual.bit_field_bmp((0x0F00, 0x00F0, 0x000F, 0xF000)),
    "deep.psd": lambda: unusual.deep_psd(images.chart(), packed=True),
    "preview.psd": lambda: images.psd_without_composite(images.chart((120, 80))),
    "form.pdf": pdfs.form,
    "scan.pdf": lambda: pdfs.scan(images.encode(images.chart(), "JPEG2000", num_resolutions=2), images.CHART_SIZE),
    "encrypted.pdf": pdfs.encrypted,
    "grid.heic": lambda: grid_heic(2, 2),
    "camera.dng": lambda: tiffs.dng(images.chart((480, 320))),
    "camera.cr3": lambda: raws.cr3(raws.camera_jpeg()),
    "camera.raf": lambda: raws.raf(raws.camera_jpeg()),
    "camera.x3f": lambda: raws.x3f({"CAMMANUF": "SIGMA"}, raws.camera_jpeg()),
    "camera.rw2": lambda: raws.rw2(raws.camera_jpeg()),
}
"""A file of every kind that docs/image-formats.md names, by a name that fits it."""


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Damaged files (name, bytes), every kind in turn; the same ones for the same `seed`."""
    chance = random.Random(seed)
    whole = {name: make() for name, make in SEEDS.items()}
    names = list(whole)
    for number in range(count):
        name = names[number % len(names)]
        damage = chance.choice((_cut, _flip, _flip, _flip_early, _lie, _lie, _blot, _repeat, _splice))
        yield f"{number:05}-{name}", damage(chance, whole[name])


def _cut(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data))]


def _flip(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 2, 5, 20, 100))):
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _flip_early(chance: random.Random, data: bytes) -> bytes:
    """Where the headers are."""
    head = min(len(data), 512)
    return _flip(chance, data[:head]) + data[head:]


def _lie(chance: random.Random, data: bytes) -> bytes:
    """Put extreme numbers where there may be lengths, counts and offsets."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        code = chance.choice(("<H", ">H", "<I", ">I"))
        number = chance.choice(_EXTREMES) & (0xFFFF if code[1] == "H" else 0xFFFFFFFF)
        at = chance.randrange(min(len(data), chance.choice((128, 1024, len(data)))) - 4)
        struct.pack_into(code, changed, at, number)
    return bytes(changed)


def _blot(chance: random.Random, data: bytes) -> bytes:
    start = chance.randrange(len(data))
    size = chance.randrange(1, 2000)
    return (
        data[:start]
        + chance.choice((b"\0", b"\xff", b"\xaa"))[:1] * len(data[start : start + size])
        + data[start + size :]
    )


def _repeat(chance: random.Random, data: bytes) -> bytes:
    start = chance.randrange(len(data))
    piece = data[start : start + chance.randrange(1, 500)]
    return data[:start] + piece * chance.choice((2, 3, 50)) + data[start + len(piece) :]


def _splice(chance: random.Random, data: bytes) -> bytes:
    """Leave something out in the middle."""
    start = chance.randrange(len(data))
    return data[:start] + data[start + chance.randrange(1, 500) :]


def is_thumbnail(body: bytes, box: int) -> bool:
    """Whether `body` is a whole picture that fits the box."""
    with Image.open(io.BytesIO(body)) as image:
        image.load()
        return min(image.size) >= 1 and max(image.size) <= box
