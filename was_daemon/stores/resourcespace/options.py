"""The settings of a ResourceSpace store."""

from datetime import UTC, tzinfo
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs

from was_daemon.config.secret_files import SecretFile
from was_daemon.config.validators import FieldValidator, at_least, matching, not_empty, optional
from was_daemon.model.places import Place
from was_daemon.stores.http.urls import place_at, url_problem


def zone_of(name: str) -> tzinfo:
    """Return the time zone of that name; UTC also on machines that have no database of time zones."""
    return UTC if name == "UTC" else ZoneInfo(name)


def _zone_problem(value: str) -> str | None:
    try:
        zone_of(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f'expected the name of a time zone, such as "Europe/Amsterdam", got "{value}"'
    return None


_FIELD = matching("[a-z0-9_]+", "the short name of a metadata field, such as originalfilename")


@attrs.frozen
class ResourceSpaceOptions:
    """`[stores.NAME]` with `plugin = "resourcespace"`; ValueError when the settings contradict each other.

    `archive` is the archive state of new resources. A resource in a state that is not one of `states` does not exist
    for the daemon. `timeout` and `upload_timeout` are in seconds without progress; the second is for uploads, which
    ResourceSpace answers when it has made previews.
    """

    url: str = attrs.field(validator=FieldValidator(url_problem))
    user: str = attrs.field(validator=not_empty)
    key_file: SecretFile
    name_field: str = attrs.field(default="originalfilename", validator=_FIELD)
    resource_type: int = attrs.field(default=1, validator=at_least(0))
    archive: int = 0
    states: list[int] | None = None
    collection: int | None = attrs.field(default=None, validator=optional(at_least(1)))
    adopt_field: str | None = attrs.field(default=None, validator=optional(_FIELD))
    adopt_writable: bool = False
    read_only: bool = False
    extract_metadata: bool = True
    purge: bool = False
    timezone: str = attrs.field(default="UTC", validator=FieldValidator(_zone_problem))
    ca_file: Path | None = None
    allow_http: bool = False
    timeout: float = attrs.field(default=30.0, validator=at_least(0.001))
    upload_timeout: float = attrs.field(default=600.0, validator=at_least(0.001))

    def place(self) -> Place:
        """Return where the files are."""
        return place_at(self.url, str(self.collection))

    @property
    def counted(self) -> list[int]:
        """The archive states in which a resource counts."""
        return [-2, -1, 0, 1, 2] if self.states is None else self.states

    def __attrs_post_init__(self) -> None:
        if self.archive not in self.counted:
            raise ValueError("archive must be one of states: what is uploaded would not be found")
        if self.adopt_writable and not self.adopt_field:
            raise ValueError("adopt_writable goes with adopt_field")
        if self.adopt_writable and self.read_only:
            raise ValueError("adopt_writable goes without read_only")
        if not self.allow_http and urlsplit(self.url).scheme == "http":
            raise ValueError("url: signed calls over plain http need allow_http = true")
