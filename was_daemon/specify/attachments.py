"""Rows of Specify's table `attachment`, as the daemon knows them."""

from collections.abc import Mapping, Sequence

import attrs

from was_daemon.model.errors import BadName
from was_daemon.model.keys import check_name

COLUMNS: Mapping[str, str] = {
    "number": "AttachmentID",
    "location": "AttachmentLocation",
    "table_number": "TableID",
    "file_name": "OrigFilename",
    "title": "Title",
    "is_public": "IsPublic",
    "license": "License",
    "copyright_holder": "CopyrightHolder",
    "copyright_date": "CopyrightDate",
    "credit": "Credit",
    "media_type": "MimeType",
    "created": "TimestampCreated",
}
"""Columns of Specify's table, by the fields of `Attachment`."""

NEEDED = ("number", "location")
"""Fields without which nothing can be read; older versions of Specify lack some of the other columns."""


@attrs.frozen
class Attachment:
    """One row. `number` is the AttachmentID; `created` is "YYYY-MM-DD HH:MM:SS" in Specify's time."""

    number: int
    location: str | None
    table_number: int | None = None
    file_name: str | None = None
    title: str | None = None
    is_public: bool | None = None
    license: str | None = None
    copyright_holder: str | None = None
    copyright_date: str | None = None
    credit: str | None = None
    media_type: str | None = None
    created: str | None = None

    @property
    def name(self) -> str | None:
        """The name of the original; None if the location cannot be one, such as a URL."""
        try:
            return check_name(self.location or "")
        except BadName:
            return None


@attrs.frozen
class Page:
    """All rows whose number is at least `first` and less than `stop`; None stands for no end."""

    first: int
    stop: int | None
    rows: Sequence[Attachment]


def text_of(value: object) -> str | None:
    """Return the text of a value of a database, without the NUL characters that PostgreSQL does not keep."""
    if value is None:
        return None
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.replace("\0", "\ufffd")


def time_of(text: str | None) -> str | None:
    """Return the date and time at the beginning of a text; None for the date zero, which MariaDB may hold."""
    return None if text is None or text.startswith("0000") else text.replace("T", " ")[:19] or None
