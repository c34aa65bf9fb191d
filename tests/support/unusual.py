"""Pictures that few programs write: lossless JPEG, BMP with bit fields, deep Photoshop files."""

import base64
import struct

from PIL import Image

from tests.support.images import chart, psd, psd_block


def lossless_jpeg(image: Image.Image | None = None) -> bytes:
    """A lossless JPEG (ITU T.81, annex H) with the left neighbour as the predictor; RGB, or grey."""
    image = image or chart()
    width, height = image.size
    planes = [band.tobytes() for band in image.split()]
    count = len(planes)
    bits: list[str] = []
    for at in range(width * height):
        before = at - 1 if at % width else at - width
        for plane in planes:
            difference = plane[at] - (plane[before] if at else 128)
            size = abs(difference).bit_length()
            bits.append(f"{size:04b}")
            if size:
                bits.append(f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    numbers = range(1, count + 1)
    frame = struct.pack(">BHHB", 8, height, width, count) + b"".join(bytes((number, 0x11, 0)) for number in numbers)
    # Ten codes of four bits.
    codes = bytes((0, 0, 0, 0, 10)) + bytes(12) + bytes(range(10))
    start = bytes((count,)) + b"".join(bytes((number, 0)) for number in numbers) + bytes((1, 0, 0))
    # Adobe's marker says that three components are red, green and blue.
    segments = [(0xEE, b"Adobe\0\x64\0\0\0\0\0")] if count > 1 else []
    segments += [(0xC3, frame), (0xC4, codes), (0xDA, start)]
    head = b"".join(struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data for marker, data in segments)
    return b"\xff\xd8" + head + scan + b"\xff\xd9"


def bit_field_bmp(masks: tuple[int, int, int, int], bits: int = 16, upright: bool = True, alpha: int = 255) -> bytes:
    """The chart as a BMP of 16 or 32 bits per pixel with these masks; `alpha` is that of all pixels."""
    image = chart()
    width, height = image.size
    row_size = (width * bits + 31) // 32 * 4
    rows = []
    pixels = image.load()
    assert pixels is not None
    for y in range(height):
        row = b""
        for x in range(width):
            colour = (*pixels[x, y], alpha)  # type: ignore[misc]
            number = sum(_field(value, mask) for value, mask in zip(colour, masks, strict=True))
            row += number.to_bytes(bits // 8, "little")
        rows.append(row.ljust(row_size, b"\0"))
    data = b"".join(rows[::-1] if upright else rows)
    header = struct.pack("<IiiHHIIiiII", 108, width, height if upright else -height, 1, bits, 3, 0, 0, 0, 0, 0)
    header = (header + struct.pack("<4I", *masks)).ljust(108, b"\0")
    return struct.pack("<2sIHHI", b"BM", 122 + len(data), 0, 0, 122) + header + data


def _field(value: int, mask: int) -> int:
    if not mask:
        return 0
    lowest = mask & -mask
    return round(value * (mask // lowest) / 255) * lowest


def deep_psd(image: Image.Image, packed: bool, profile: bytes = b"") -> bytes:
    """A Photoshop file of 16 bits per channel, with or without PackBits."""
    data = psd(image)
    depth = 22
    count = int.from_bytes(data[12:14], "big")
    start = len(data) - count * image.width * image.height
    # Numbers whose lower byte is the upper one stand for the same levels.
    wide = b"".join(bytes((value, value)) for value in data[start:])
    resources = psd_block(1039, profile) if profile else b""
    head = data[:depth] + b"\0\x10" + data[depth + 2 : 30] + struct.pack(">I", len(resources)) + resources + bytes(4)
    if not packed:
        return head + b"\0\0" + wide
    width = 2 * image.width
    rows = [_packed(wide[at : at + width]) for at in range(0, len(wide), width)]
    return head + b"\0\1" + b"".join(struct.pack(">H", len(row)) for row in rows) + b"".join(rows)


def _packed(row: bytes) -> bytes:
    return b"".join(bytes((len(row[at : at + 128]) - 1,)) + row[at : at + 128] for at in range(0, len(row), 128))


def deep_jpeg2000() -> bytes:
    """8 x 8 pixels of 16 bits with alpha: white, black, below them red, grey (128), all opaque. From ImageMagick."""
    return base64.b85decode(_DEEP_JPEG2000)


def shallow_jpeg2000() -> bytes:
    """8 x 8 grey pixels of two bits: white at the upper left, the rest black. From ImageMagick."""
    return base64.b85decode(_SHALLOW_JPEG2000)


_DEEP_JPEG2000 = (
    "0000CYEU2`4GM<}0000KW^{RQYH%_j00000YH%_j0000_YH%`W0000MX=r3}000080000800a*Q0000001sntY;pkr000005C8xG"
    "B4cD_W&i{L000000RRC2000620ssI20{{a60RR9100FFOa57{6PybN>G5`Po000O8000O80000000000000O8000O80000000000"
    "1P=iL4*>xW0RayI0sm3}3;+NC0RR951ONg5TmS?>fd7yH3IG5A00CG40soWV_>*`hi3==&$IB*Y`TZD}u#kV~rm$dIKE#PtvhZM9"
    "RWphpz_hE(WrG6Jw%TYI7LiP)oF*6+paD<}3rEb+9x~)GEgxbzu>9D5Y(F+1n-"
    "9&0=EL)0`LO)her!KBADa)&hvvicVfnE9*nVt3HXq;klNct62u3?WIN#9@f}l{>F#s@av|)$?0t%3*Cz}N|q!LUX3=2>ns9Z2DKy"
    "l-sz_kJzDi67kz_kDhfM8mHHLaOoz_kPbe;6KA$Rz+UJgJaM0AP7jAd~>W@}@y30fFUAkKg!{7$%7bMms?`-"
    "_Z_&pitK_05EN|VTc0)3XrHLn*}wb5=<Tp3s4`ZTre#_apR!CwE`L{54n)QwEzl$U|N7Rt(joJwFCfv7#>u}B>*rysgOzlV0lv@l"
    "mNi;ra>qHf#pn(&-^eH6aZYWhyU3"
)
_SHALLOW_JPEG2000 = (
    "0000CYEU2`4GM<}0000KW^{RQYH%_j00000YH%_j0000jYH%`W0000MX=r3}0000800008009990000001sntY;pkr000005dZ)H"
    "V`^|RWB*V8Q2;3b000002mk;82mk;800000000002mk;82mk;800000000320RjI~01N;C009611Oxy9|6BkBKoI|s015yA0000O"
    "00IA#-5@532uCITsH6Yc"
)
