"""Descriptions of originals: metadata, sizes of pages, lengths of recordings, facts. Pure values."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from was_daemon.model.facts import NO_FACTS, Facts

Metadata = Sequence[Mapping[str, Any]]
"""Groups of metadata, as `getmetadata` answers with (contract, section 3)."""


@attrs.frozen
class Recording:
    """The length of a recording in seconds, and the width and height of its picture, None without one.

    `captured` is when it was made, in the form that `Facts` has, and `position` where: latitude and longitude. A
    `Description` that was packed has them in its facts only.
    """

    duration: float
    width: int | None = None
    height: int | None = None
    captured: str | None = None
    position: tuple[float, float] | None = None


@attrs.frozen
class Description:
    """Description of an original.

    `pages` has the width and height of each page in pixels, and is empty for a picture of a single page and for what is
    no picture. `recording` is None for what is no recording, and for one of unknown length. `facts` are for the
    catalogue.
    """

    metadata: Metadata
    pages: Sequence[tuple[int, int]] = ()
    recording: Recording | None = None
    facts: Facts = NO_FACTS

    def pack(self) -> dict[str, Any]:
        """Return the description as JSON has it."""
        return attrs.asdict(self)

    @classmethod
    def parse(cls, document: dict[str, Any]) -> "Description":
        """Return the description that `pack` made. A worker that a file has taken over may have written it."""
        pages = [(int(width), int(height)) for width, height in document["pages"]]
        return cls(document["metadata"], pages, _recording(document["recording"]), Facts.parse(document["facts"]))


def _recording(document: dict[str, Any] | None) -> Recording | None:
    if not document or not math.isfinite(document["duration"]):
        return None
    width, height = (None if document[side] is None else int(document[side]) for side in ("width", "height"))
    return Recording(float(document["duration"]), width, height)
