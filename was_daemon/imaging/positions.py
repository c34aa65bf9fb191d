"""Positions in metadata: latitude and longitude in degrees."""

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:/\d+)?", re.ASCII)
_ISO6709 = re.compile(r"([+-])(\d{2}|\d{4}|\d{6})(\.\d+)?([+-])(\d{3}|\d{5}|\d{7})(\.\d+)?(?!\d)", re.ASCII)
_NEGATIVE = ("S", "W")

Position = tuple[float, float]


def position_of_exif(fields: Mapping[str, str]) -> Position | None:
    """Return the position in the fields of the GPS IFD, as `read_metadata` writes them."""
    return _position(
        *(
            _degrees(fields.get(f"GPS{side}", ""), fields.get(f"GPS{side}Ref", "")[:1].upper())
            for side in ("Latitude", "Longitude")
        )
    )


def position_of_xmp(fields: Mapping[str, str]) -> Position | None:
    """Return the position in the fields of XMP, such as "38,57.5N" (XMP specification, part 2, section 3.2)."""
    texts = (fields.get(f"GPS{side}", "").strip() for side in ("Latitude", "Longitude"))
    return _position(*(_degrees(text, text[-1:].upper()) for text in texts))


def parse_iso6709(text: str) -> Position | None:
    """Return the position in a text such as "+37.7749-122.4194+010.000/" (ISO 6709, annex H)."""
    match = _ISO6709.match(text)
    if not match:
        return None
    return _position(_signed(2, *match.group(1, 2, 3)), _signed(3, *match.group(4, 5, 6)))


def _signed(width: int, sign: str, digits: str, fraction: str | None) -> float:
    """Return degrees of `width` digits, followed by minutes and seconds of two each if there are more digits."""
    parts = [digits[:width], *(digits[at : at + 2] for at in range(width, len(digits), 2))]
    parts[-1] += fraction or ""
    degrees = _sexagesimal([float(part) for part in parts])
    return -degrees if sign == "-" else degrees


def _degrees(text: str, side: str) -> float | None:
    """Return degrees, minutes and seconds, as far as they are told, on a `side` of the earth as degrees."""
    try:
        numbers = [_number(each) for each in _NUMBER.findall(text)[:3]]
    except ZeroDivisionError:
        return None
    if not numbers:
        return None
    degrees = _sexagesimal(numbers)
    return -degrees if side in _NEGATIVE or text.startswith("-") else degrees


def _sexagesimal(numbers: Sequence[float]) -> float:
    """Return degrees, minutes and seconds as degrees."""
    return sum(number / divisor for number, divisor in zip(numbers, (1, 60, 3600), strict=False))


def _number(text: str) -> float:
    above, _, below = text.partition("/")
    return float(Fraction(above) / Fraction(below or 1))


def _position(latitude: float | None, longitude: float | None) -> Position | None:
    """Return a position on the earth; the one at 0, 0 stands for a receiver that had none."""
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return (round(latitude, 7), round(longitude, 7)) if (latitude, longitude) != (0, 0) else None
