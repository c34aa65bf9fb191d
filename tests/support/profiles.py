"""ICC profiles for tests, computed from published colour spaces (ICC.1:2001-04 format)."""

import struct

from PIL import Image, ImageCms

Colour = tuple[int, int, int]
Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]

# The XYZ of red, green and blue, adapted to D50.
SRGB: Matrix = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
ADOBE_RGB: Matrix = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
DISPLAY_P3: Matrix = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE_GAMMA = 563 / 256

_D50 = (0.9642, 1.0, 0.8249)


def adobe_rgb() -> bytes:
    return _rgb_profile("Adobe-like RGB", ADOBE_RGB, _gamma_curve(ADOBE_GAMMA))


def display_p3() -> bytes:
    table = [round(65535 * _srgb_to_linear(step / 1023)) for step in range(1024)]
    return _rgb_profile("P3-like display", DISPLAY_P3, _curve(table))


def linear_grey() -> bytes:
    return _profile(b"GRAY", b"XYZ ", "Linear grey", {b"kTRC": _curve([])})


def nonsense(name: str) -> bytes:
    """A profile of the right form that no device can have."""
    red, _, blue = SRGB
    linear = _curve([])
    black, falling = _curve([0] * 16), _curve([4096 * step for step in range(15, -1, -1)])
    matrix, curve = {
        "bright": (((3.0, -2.0, 7.0), (-4.0, 9.0, 1.0), (0.5, 0.5, -6.0)), linear),
        "negative": (tuple((-a, -b, -c) for a, b, c in SRGB), linear),
        "dark": (tuple((a / 9, b / 9, c / 9) for a, b, c in SRGB), linear),
        "tinted": ((red, (0.0, 0.0, 0.0), blue), linear),
        "balanced": (((9.0, -8.0, 4.0), (-8.3, 9.1, -3.0), (0.26, -0.1, -0.18)), linear),
        "grey": (((0.3214, 0.3333, 0.275),) * 3, linear),
        "nearly grey": (((0.34, 0.3433, 0.265), (0.31, 0.3333, 0.27), (0.3142, 0.3234, 0.2899)), linear),
        "two colours": (((0.4106, 0.4697, 0.0555),) * 2 + ((0.143, 0.0606, 0.7139),), linear),
        "black": (SRGB, black),
        "falling": (SRGB, falling),
    }[name]
    return _rgb_profile(f"Nonsense, {name}", matrix, curve)  # type: ignore[arg-type]


def swapped() -> bytes:
    """A profile with which red stands for green, and green for red: unusual, but whole."""
    red, green, blue = SRGB
    return _rgb_profile("Swapped", (green, red, blue), _gamma_curve(2.2))


def poor_display() -> bytes:
    """A profile of a display of half the saturation of sRGB: fewer colours than any that is sold has."""
    white = [sum(primary[axis] for primary in SRGB) / 3 for axis in range(3)]
    primaries = tuple(tuple((value + middle) / 2 for value, middle in zip(each, white, strict=True)) for each in SRGB)
    return _rgb_profile("Poor display", primaries, _gamma_curve(2.2))  # type: ignore[arg-type]


def grey_inks() -> bytes:
    """A CMYK profile in which every ink is grey: a third of the lightness for each of C, M, Y, and K does nothing."""
    grid = bytearray()
    for corner in range(16):
        inks = (corner >> 3 & 1) + (corner >> 2 & 1) + (corner >> 1 & 1)
        grid += bytes((255 - 85 * inks, 128, 128))
    identity = bytes(range(256))
    ones = struct.pack(">9i", *(65536 if index % 4 == 0 else 0 for index in range(9)))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + ones + identity * 4 + bytes(grid) + identity * 3
    return _profile(b"CMYK", b"Lab ", "Grey inks", {b"A2B0": table})


def in_adobe_rgb(colour: Colour) -> Colour:
    """The numbers that stand for an sRGB colour in Adobe RGB."""
    red, green, blue = (round(255 * value ** (1 / ADOBE_GAMMA)) for value in _linear(colour, ADOBE_RGB))
    return red, green, blue


def in_display_p3(colour: Colour) -> Colour:
    """The numbers that stand for an sRGB colour in Display P3."""
    red, green, blue = (round(255 * _linear_to_srgb(value)) for value in _linear(colour, DISPLAY_P3))
    return red, green, blue


def squares(colours: list[Colour], size: tuple[int, int] = (120, 80)) -> Image.Image:
    """Four colours in the four quarters of a picture, row by row."""
    image = Image.new("RGB", (2, 2))
    for index, colour in enumerate(colours):
        image.putpixel((index % 2, index // 2), colour)
    return image.resize(size, Image.Resampling.NEAREST)


def lab(image: Image.Image) -> Image.Image:
    """The sRGB picture in mode LAB."""
    converted = ImageCms.profileToProfile(
        image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert converted is not None
    return converted


def _linear(colour: Colour, space: Matrix) -> list[float]:
    """The amounts of light of the three primaries of `space`, by Cramer's rule."""
    light = [_srgb_to_linear(value / 255) for value in colour]
    x, y, z = (sum(SRGB[primary][axis] * light[primary] for primary in range(3)) for axis in range(3))
    red, green, blue = space
    whole = _determinant(red, green, blue)
    parts = (
        _determinant((x, y, z), green, blue),
        _determinant(red, (x, y, z), blue),
        _determinant(red, green, (x, y, z)),
    )
    return [min(1.0, max(0.0, part / whole)) for part in parts]


def _determinant(a: Vector, b: Vector, c: Vector) -> float:
    return a[0] * (b[1] * c[2] - b[2] * c[1]) - b[0] * (a[1] * c[2] - a[2] * c[1]) + c[0] * (a[1] * b[2] - a[2] * b[1])


def _srgb_to_linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


def _linear_to_srgb(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else float(1.055 * value ** (1 / 2.4) - 0.055)


def _rgb_profile(name: str, primaries: Matrix, curve: bytes) -> bytes:
    red, green, blue = (_xyz(*primary) for primary in primaries)
    tags = {b"rXYZ": red, b"gXYZ": green, b"bXYZ": blue, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    return _profile(b"RGB ", b"XYZ ", name, tags)


def _profile(space: bytes, connection: bytes, name: str, tags: dict[bytes, bytes]) -> bytes:
    text = name.encode() + b"\0"
    description = b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78)
    tags = {b"desc": description, b"cprt": b"text" + bytes(4) + b"CC0\0", b"wtpt": _xyz(*_D50), **tags}
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, value in tags.items():
        table += struct.pack(">4sII", tag, start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    header = struct.pack(">I4xI4s4s4s12x4s28x", start + len(data), 0x02100000, kind, space, connection, b"acsp")
    return (header + struct.pack(">3i", *(round(65536 * value) for value in _D50))).ljust(128, b"\0") + table + data


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * value) for value in (x, y, z)))


def _gamma_curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma))


def _curve(table: list[int]) -> bytes:
    return b"curv" + bytes(4) + struct.pack(f">I{len(table)}H", len(table), *table)
