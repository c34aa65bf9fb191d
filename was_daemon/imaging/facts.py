"""Facts about a file, drawn from its description."""

from collections.abc import Iterator, Mapping

from was_daemon.imaging.dates import sortable_date
from was_daemon.imaging.positions import Position, position_of_exif, position_of_xmp
from was_daemon.model.descriptions import Metadata, Recording
from was_daemon.model.facts import Facts

_DATES = (
    ("EXIF", "DateTimeOriginal"),
    ("XMP", "DateTimeOriginal"),
    ("XMP", "DateCreated"),
    ("IPTC", "DateCreated"),
    ("EXIF", "DateTimeDigitized"),
    ("XMP", "CreateDate"),
)
"""Groups and fields that tell when a picture was made, of which the first counts that there is.

Dates of digitising come last: they are those of a scan, while people write down that of the picture.
"""

_TIME = ("IPTC", "TimeCreated")


def facts_of(
    media_type: str | None,
    size: tuple[int, int] | None,
    pages: int,
    metadata: Metadata,
    recording: Recording | None,
) -> Facts:
    """Return the facts about a file; `size` is that of its picture, `pages` the number of pages of a document or 0."""
    groups = {group["Name"]: group["Fields"] for group in metadata}
    if recording and recording.width and recording.height:
        size, pages = (recording.width, recording.height), 0
    elif size:
        pages = pages or 1
    width, height = size or (None, None)
    captured, position = _captured(groups), _position(groups)
    if recording:
        captured, position = captured or recording.captured, position or recording.position
    return Facts(media_type, width, height, pages or None, captured, *(position or (None, None)))


def _captured(groups: Mapping[str, Mapping[str, str]]) -> str | None:
    return next((date for text in _dates(groups) if (date := sortable_date(text))), None)


def _dates(groups: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for group, field in _DATES:
        text = groups.get(group, {}).get(field)
        if text:
            # IPTC has the time of day apart.
            time = groups[group].get(_TIME[1], "") if group == _TIME[0] else ""
            yield f"{text} {time}".strip()


def _position(groups: Mapping[str, Mapping[str, str]]) -> Position | None:
    return position_of_exif(groups.get("GPS", {})) or position_of_xmp(groups.get("XMP", {}))
