"""Captions of originals: what the collection's database, or the client that sent it, says of a file. Pure values."""

from collections.abc import Awaitable, Callable
from posixpath import basename

import attrs

from was_daemon.model.keys import AssetKey


@attrs.frozen
class Caption:
    """Caption of an original, each part None if nothing is said of it.

    `file_name` is the name it had before it came; `copyright_date` is any text, `created` begins with "YYYY-MM-DD".
    """

    title: str | None = None
    file_name: str | None = None
    license: str | None = None
    copyright_holder: str | None = None
    copyright_date: str | None = None
    credit: str | None = None
    created: str | None = None

    @property
    def name(self) -> str | None:
        """The file name without directories, which some clients send too."""
        return basename((self.file_name or "").replace("\\", "/")).strip() or None


NO_CAPTION = Caption()

CaptionSource = Callable[[AssetKey], Awaitable[Caption]]
"""A function that fires with what is known of an original, without an error, and soon."""
