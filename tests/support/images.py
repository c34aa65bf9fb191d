"""Sample files for tests: small, real, made by code. A function returns the bytes of one file.

All show `chart()`: the colours of its corners tell which way up it is.
"""

import io
import struct
import zlib
from typing import Any

from PIL import Image, ImageCms, ImageDraw
from PIL.PngImagePlugin import PngInfo

from tests.support.paths import ROOT

CHART_SIZE = (240, 160)
CORNERS = {
    "top left": (200, 40, 40),
    "top right": (40, 160, 60),
    "bottom left": (40, 60, 200),
    "bottom right": (230, 210, 50),
}
TAKEN = "2012:02:02 13:48:41"


def chart(size: tuple[int, int] = CHART_SIZE) -> Image.Image:
    """An RGB picture: a square of its own colour in each corner, ramps of hue and grey between them."""
    width, height = size
    hues = Image.merge(
        "HSV",
        (
            Image.linear_gradient("L").rotate(90).resize(size),
            Image.new("L", size, 120),
            Image.linear_gradient("L").point(lambda value: 128 + value // 4).resize(size),
        ),
    )
    image = hues.convert("RGB")
    draw = ImageDraw.Draw(image)
    image.paste(Image.linear_gradient("L").rotate(90).resize((width // 3, height // 3)), (width // 3, height // 3))
    across, down = width // 3, height // 3
    for (x, y), colour in zip(
        ((0, 0), (width - across, 0), (0, height - down), (width - across, height - down)),
        CORNERS.values(),
        strict=True,
    ):
        draw.rectangle((x, y, x + across - 1, y + down - 1), fill=colour)
    return image


def corners(image: Image.Image) -> dict[str, tuple[int, int, int]]:
    """The colours in the middle of the corner squares of a picture of the chart."""
    image = image.convert("RGB")
    left, right = image.width // 8, image.width - 1 - image.width // 8
    top, bottom = image.height // 8, image.height - 1 - image.height // 8
    points = ((left, top), (right, top), (left, bottom), (right, bottom))
    return {name: image.getpixel(point) for name, point in zip(CORNERS, points, strict=True)}  # type: ignore[misc]


def encode(image: Image.Image, format_name: str, **options: Any) -> bytes:
    """The file that Pillow writes."""
    out = io.BytesIO()
    image.save(out, format_name, **options)
    return out.getvalue()


def jpeg(size: tuple[int, int] = CHART_SIZE, **options: Any) -> bytes:
    return encode(chart(size), "JPEG", **{"quality": 92, **options})


def photograph(size: tuple[int, int] = (600, 400), orientation: int = 1) -> bytes:
    """A camera's JPEG: EXIF with `TAKEN` as the time, a position, an XMP packet and a comment.

    `size` is that of the picture as it is to be seen; the stored pixels are turned as `orientation` says.
    """
    exif = photograph_exif(orientation)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><secret/></x:xmpmeta>'
    image = stored_as(chart(size), orientation)
    return encode(image, "JPEG", quality=92, exif=exif, xmp=xmp, comment=b"a secret comment")


def photograph_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "Specimen Optics"
    exif[0x0110] = "Field 24"
    exif[0x0112] = orientation
    exif[0x0132] = "2013:05:06 07:08:09"
    exif[0x8298] = "Museum"
    photo = exif.get_ifd(0x8769)
    photo[0x829A] = 1 / 250
    photo[0x9003] = TAKEN
    photo[0x9004] = TAKEN
    photo[0x927C] = b"\x00\x01binary maker note" * 20
    photo[0x9286] = b"ASCII\0\0\0a beetle"
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = "N", (52.0, 31.0, 48.0)
    gps[3], gps[4] = "E", (13.0, 22.0, 47.0)
    return exif


def stored_as(image: Image.Image, orientation: int) -> Image.Image:
    """The pixels that a file of that EXIF orientation stores for `image`."""
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return image.transpose(inverse[orientation]) if orientation in inverse else image


def noisy_photograph(size: tuple[int, int]) -> bytes:
    """A JPEG with detail at every scale and sensor noise, as a camera's has."""
    width, height = size
    image = chart(size)
    for cells, opacity in ((16, 0.3), (64, 0.25), (256, 0.2), (width, 0.1)):
        noise = Image.effect_noise((cells, max(1, cells * height // width)), 90).resize(size, Image.Resampling.BICUBIC)
        image = Image.blend(image, noise.convert("RGB"), opacity)
    return encode(image, "JPEG", quality=92)


def detailed_photograph(size: tuple[int, int]) -> bytes:
    """A real photograph enlarged, with noise in each colour: fine detail in all parts of a thumbnail."""
    with Image.open(ROOT / "docs" / "tour" / "felis-catus.jpg") as photo:
        image = photo.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    noise = Image.merge("RGB", [Image.effect_noise(size, 60) for _ in range(3)])
    return encode(Image.blend(image, noise, 0.05), "JPEG", quality=92)


def jpeg_frame(marker: int, bits: int = 8) -> bytes:
    """A JPEG that says it is of the process with that marker, and of so many bits per sample."""
    data = jpeg()
    at = data.index(b"\xff\xc0")
    return data[: at + 1] + bytes((marker,)) + data[at + 2 : at + 4] + bytes((bits,)) + data[at + 5 :]


def damaged(data: bytes) -> bytes:
    """`data` with bytes of 255 in the middle half."""
    quarter = len(data) // 4
    return data[:quarter] + b"\xff" * (2 * quarter) + data[3 * quarter :]


def jp2_with_profile(image: Image.Image, profile: bytes, method: int) -> bytes:
    """A JPEG 2000 file with an ICC profile in its header: by method 2 restricted, by 3 any."""
    data = encode(image, "JPEG2000")
    header, colour = data.index(b"jp2h") - 4, data.index(b"colr") - 4
    (header_size,), (colour_size,) = (struct.unpack_from(">I", data, at) for at in (header, colour))
    box = struct.pack(">I4sBBB", 11 + len(profile), b"colr", method, 0, 0) + profile
    header_size += len(box) - colour_size
    start = data[:header] + struct.pack(">I", header_size) + data[header + 4 : colour]
    return start + box + data[colour + colour_size :]


def animated_gif() -> bytes:
    frames = [chart(), Image.new("RGB", CHART_SIZE, "black")]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100, comment=b"secret")


def translucent() -> Image.Image:
    """The chart as RGBA, its upper left quarter clear and its lower right one half so."""
    image = chart()
    alpha = Image.new("L", image.size, 255)
    width, height = image.size
    alpha.paste(0, (0, 0, width // 2, height // 2))
    alpha.paste(128, (width // 2, height // 2, width, height))
    image.putalpha(alpha)
    return image


def heic(image: Image.Image | None = None, **options: Any) -> bytes:
    import pillow_heif

    out = io.BytesIO()
    pillow_heif.from_pillow(image or chart()).save(out, quality=92, **options)
    return out.getvalue()


def png16(mode: str = "RGB") -> bytes:
    """A PNG of 16 bits per sample, mode L, LA, RGB or RGBA."""
    image = (translucent() if mode.endswith("A") else chart()).convert(mode)
    samples = b"".join(struct.pack("BB", value, value) for value in image.tobytes())
    row = image.width * len(mode) * 2
    rows = b"".join(b"\0" + samples[at : at + row] for at in range(0, len(samples), row))
    colour_type = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}[mode]
    header = struct.pack(">IIBBBBB", *image.size, 16, colour_type, 0, 0, 0)
    return png_file((b"IHDR", header), (b"IDAT", zlib.compress(rows)))


def png_file(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks (type, data); IEND is added."""
    out = bytearray(b"\x89PNG\r\n\x1a\n")
    for kind, data in (*chunks, (b"IEND", b"")):
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return bytes(out)


def annotated_png() -> bytes:
    """A PNG with text, EXIF, a profile and a time."""
    info = PngInfo()
    info.add_text("Comment", "secret")
    info.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta><secret/></x:xmpmeta>")
    return encode(chart(), "PNG", pnginfo=info, exif=photograph_exif(), icc_profile=srgb_profile())


def annotated_tiff() -> bytes:
    return encode(chart(), "TIFF", description="secret", exif=photograph_exif(), icc_profile=srgb_profile())


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


_HUGE = 60_000


def png_bomb() -> bytes:
    """Like the other bombs: a few bytes that say they are 60,000 x 60,000 pixels."""
    header = struct.pack(">IIBBBBB", _HUGE, _HUGE, 8, 6, 0, 0, 0)
    return png_file((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))))


def jpeg_bomb() -> bytes:
    data = encode(Image.new("RGB", (16, 16)), "JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", _HUGE, _HUGE) + data[at + 4 :]


def gif_bomb() -> bytes:
    data = encode(Image.new("L", (16, 16)), "GIF")
    return data[:6] + struct.pack("<HH", _HUGE, _HUGE) + data[10:]


def bmp_bomb(side: int = _HUGE) -> bytes:
    data = encode(Image.new("RGB", (16, 16)), "BMP")
    return data[:18] + struct.pack("<II", side, side) + data[26:]


def psd_bomb() -> bytes:
    data = psd(Image.new("RGB", (16, 16)))
    return data[:14] + struct.pack(">II", _HUGE, _HUGE) + data[22:]


def tiff_bomb() -> bytes:
    data = encode(Image.new("RGB", (16, 16)), "TIFF")
    for tag in (256, 257):
        at = data.index(struct.pack("<HH", tag, 4)) if struct.pack("<HH", tag, 4) in data else None
        at = at if at is not None else data.index(struct.pack("<HH", tag, 3))
        data = data[: at + 2] + struct.pack("<HII", 4, 1, _HUGE) + data[at + 12 :]
    return data


def psd(image: Image.Image | None = None) -> bytes:
    """A Photoshop file without layers; `image` is L, RGB, CMYK or LAB."""
    image = image or chart()
    mode = {"L": 1, "RGB": 3, "CMYK": 4, "LAB": 9}[image.mode]
    bands = image.split()
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, len(bands), image.height, image.width, 8, mode)
    invert = image.mode == "CMYK"
    planes = [band.point(lambda value: 255 - value) if invert else band for band in bands]
    return header + bytes(12) + b"\0\0" + b"".join(plane.tobytes() for plane in planes)


def psd_without_composite(preview: Image.Image) -> bytes:
    """A Photoshop file that was saved without the composite of its layers, which is white; it has a preview."""
    data = psd(Image.new("RGB", CHART_SIZE, "white"))
    picture = encode(preview, "JPEG", quality=95)
    head = struct.pack(">IIIIIIHH", 1, *preview.size, preview.width * 3, len(picture), len(picture), 24, 1)
    resources = psd_block(1005, b"resolution") + psd_block(1036, head + picture)
    return data[:30] + struct.pack(">I", len(resources)) + resources + data[34:]


def psd_block(number: int, content: bytes) -> bytes:
    """An image resource of a Photoshop file."""
    return (
        b"8BIM"
        + struct.pack(">H", number)
        + b"\0\0"
        + struct.pack(">I", len(content))
        + content
        + bytes(len(content) % 2)
    )


def pdf(size: tuple[float, float] = CHART_SIZE, pages: int = 1, encrypted: bool = False) -> bytes:
    """A PDF whose first page (in points) is the chart's corners on nothing, and whose further pages are black."""
    width, height = size
    across, down = width / 3, height / 3
    origins = ((0, height - down), (width - across, height - down), (0, 0), (width - across, 0))
    first = "".join(
        f"{red / 255} {green / 255} {blue / 255} rg {x} {y} {across} {down} re f\n"
        for (red, green, blue), (x, y) in zip(CORNERS.values(), origins, strict=True)
    )
    contents = [first] + [f"0 g 0 0 {width} {height} re f\n"] * (pages - 1)
    kids = " ".join(f"{3 + 2 * page} 0 R" for page in range(pages))
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>"]
    for page, content in enumerate(contents):
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] /Contents {4 + 2 * page} 0 R >>")
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}endstream")
    trailer = f"/Size {len(objects) + 1} /Root 1 0 R"
    if encrypted:
        lock = "00" * 32
        objects.append(f"<< /Filter /Standard /V 1 /R 2 /O <{lock}> /U <{lock}> /P -44 >>")
        trailer += f" /Encrypt {len(objects)} 0 R /ID [<{'11' * 16}> <{'11' * 16}>]"
    out, offsets = "%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n" + "".join(f"{at:010d} 00000 n \n" for at in offsets)
    return f"{out}trailer\n<< {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode()
