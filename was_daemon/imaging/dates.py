"""Dates in metadata, in a form whose order is that of time."""

import re
from datetime import datetime

_DATE = re.compile(
    r"([1-9]\d{3})(?!\d)(?:[:-](\d\d)(?:[:-](\d\d)(?:[ T](\d\d)[:-](\d\d)(?:[:-](\d\d))?)?)?)?", re.ASCII
)
"""A date as EXIF, XMP (ISO 8601) and broadcasters write it; some leave out what they do not know."""

_UNKNOWN = ("00", None)


def sortable_date(text: str) -> str | None:
    """Return a date as "YYYY-MM-DD HH:MM:SS", or its beginning as far as it is told; None for what is no date.

    Fractions of a second and the zone are left out: the time is that of the place. Zeros are no month and no day.
    """
    match = _DATE.match(text.strip())
    if not match:
        return None
    year, month, day, hour, minute, second = match.groups()
    if month in _UNKNOWN:
        return str(year)
    try:
        if day in _UNKNOWN:
            return f"{datetime(int(year), int(month), 1):%Y-%m}"
        if hour is None:
            return f"{datetime(int(year), int(month), int(day)):%Y-%m-%d}"
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0))
    except ValueError:
        return None
    return f"{moment:%Y-%m-%d %H:%M:%S}"
