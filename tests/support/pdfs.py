"""PDF files for tests: forms, scans, encrypted ones. The chart's corners are drawn as in `images.pdf`."""

import hashlib

from tests.support.images import CHART_SIZE, CORNERS

_PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
"""What fills up passwords (ISO 32000-1, section 7.6.3.3)."""

_PERMISSIONS = -44
_ID = b"\x11" * 16


def form(fields: str = "[5 0 R]", kind: str = "/FT /Tx") -> bytes:
    """A PDF whose page is empty, and whose only form field, of that kind, looks like the chart's corners.

    `fields` is the list of fields in the form; without one, the document has no form.
    """
    width, height = CHART_SIZE
    entry = f"/AcroForm << /Fields {fields} >>" if fields else ""
    field = f"/Type /Annot /Subtype /Widget {kind} /T (a) /V (x) /Rect [0 0 {width} {height}] /F 4"
    return _document(
        f"<< /Type /Catalog /Pages 2 0 R {entry} >>".encode(),
        [_page("/Annots [5 0 R]"), _stream(b""), f"<< {field} /AP << /N 6 0 R >> >>".encode(), _appearance()],
    )


def filled_form(beside_a_loose_field: bool = False) -> bytes:
    """A PDF form of one text field, for whose value the program that filled it in made no picture.

    With `beside_a_loose_field` there is another field, of no kind, in a corner.
    """
    width, height = CHART_SIZE
    fonts = "/DR << /Font << /Helv << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    entry = f"/AcroForm << /NeedAppearances true {fonts} /Fields [5 0 R] >>"
    field = f"/Type /Annot /Subtype /Widget /FT /Tx /T (a) /V (Permit 17) /Rect [0 0 {width} {height}] /F 4"
    loose = "/Type /Annot /Subtype /Widget /T (b) /Rect [200 130 240 160] /F 4 /AP << /N 7 0 R >>"
    annotations = "[5 0 R 6 0 R]" if beside_a_loose_field else "[5 0 R]"
    return _document(
        f"<< /Type /Catalog /Pages 2 0 R {entry} >>".encode(),
        [
            _page(f"/Annots {annotations}"),
            _stream(b""),
            f"<< {field} /DA (/Helv 40 Tf 0 g) >>".encode(),
            f"<< {loose} >>".encode(),
            _appearance(),
        ],
    )


def _appearance() -> bytes:
    width, height = CHART_SIZE
    return _stream(_corners(), f"/Type /XObject /Subtype /Form /BBox [0 0 {width} {height}]")


def scan(jpeg_2000: bytes, size: tuple[int, int], text: str = "", nested: bool = False) -> bytes:
    """A PDF whose page of 240 points is one JPEG 2000 image, and a black word; `nested` hides the image in a form."""
    width, height = CHART_SIZE
    draw = f"q {width} 0 0 {height} 0 0 cm /I Do Q"
    words = f"BT /F 12 Tf 0 g 100 75 Td ({text}) Tj ET" if text else ""
    font = "/Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
    resources = "/XObject << /I 5 0 R /N 6 0 R >>"
    image = f"/Type /XObject /Subtype /Image /Width {size[0]} /Height {size[1]} /BitsPerComponent 8"
    picture = f"/Type /XObject /Subtype /Form /BBox [0 0 1 1] /Matrix [{width} 0 0 {height} 0 0]"
    return _document(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        [
            _page(f"/Resources << {font} {resources} >>"),
            _stream(((f"/N Do {words}") if nested else f"{draw} {words}").encode()),
            _stream(jpeg_2000, f"{image} /ColorSpace /DeviceRGB /Filter /JPXDecode"),
            _stream(b"/I Do", f"{picture} /Resources << /XObject << /I 5 0 R >> >>"),
        ],
    )


def white() -> bytes:
    """A PDF whose page is painted white."""
    return _document(b"<< /Type /Catalog /Pages 2 0 R >>", [_page(""), _stream(b"1 g 0 0 240 160 re f")])


def encrypted(password: bytes = b"") -> bytes:
    """A PDF of the chart's corners, encrypted with 40-bit RC4 (ISO 32000-1, section 7.6.3, revision 2)."""
    padded = (password + _PADDING)[:32]
    owner = _rc4(hashlib.md5(_PADDING, usedforsecurity=False).digest()[:5], padded)
    seed = padded + owner + _PERMISSIONS.to_bytes(4, "little", signed=True) + _ID
    key = hashlib.md5(seed, usedforsecurity=False).digest()[:5]
    user = _rc4(key, _PADDING)
    # The page's content is object 4, of generation 0.
    object_key = hashlib.md5(key + b"\4\0\0\0\0", usedforsecurity=False).digest()[:10]
    lock = f"/Filter /Standard /V 1 /R 2 /P {_PERMISSIONS} /O <{owner.hex()}> /U <{user.hex()}>"
    return _document(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        [_page(""), _stream(_rc4(object_key, _corners())), f"<< {lock} >>".encode()],
        f"/Encrypt 5 0 R /ID [<{_ID.hex()}> <{_ID.hex()}>]",
    )


def _corners() -> bytes:
    width, height = CHART_SIZE
    across, down = width / 3, height / 3
    origins = ((0, height - down), (width - across, height - down), (0, 0), (width - across, 0))
    return "".join(
        f"{red / 255} {green / 255} {blue / 255} rg {x} {y} {across} {down} re f\n"
        for (red, green, blue), (x, y) in zip(CORNERS.values(), origins, strict=True)
    ).encode()


def _page(entries: str) -> bytes:
    width, height = CHART_SIZE
    return f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] /Contents 4 0 R {entries} >>".encode()


def _stream(data: bytes, entries: str = "") -> bytes:
    return f"<< /Length {len(data)} {entries} >>\nstream\n".encode() + data + b"\nendstream"


def _document(catalogue: bytes, objects: list[bytes], trailer: str = "") -> bytes:
    """A PDF of one page; `objects` are numbered from 3, the page, and 4, its content. It needs no table of them."""
    parts = [catalogue, b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", *objects]
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % numbered for numbered in enumerate(parts, start=1))
    return b"%PDF-1.7\n" + body + f"trailer\n<< /Root 1 0 R {trailer} >>\n%%EOF\n".encode()


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    other = 0
    for place in range(256):
        other = (other + state[place] + key[place % len(key)]) % 256
        state[place], state[other] = state[other], state[place]
    out = bytearray()
    place = other = 0
    for byte in data:
        place = (place + 1) % 256
        other = (other + state[place]) % 256
        state[place], state[other] = state[other], state[place]
        out.append(byte ^ state[(state[place] + state[other]) % 256])
    return bytes(out)
