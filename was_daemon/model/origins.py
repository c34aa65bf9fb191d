"""Origins of changes."""

import attrs


@attrs.frozen
class Origin:
    """Where a change came from; None for what is not known.

    `file_name` and `file_path` are those of an uploaded file on the client's side, `file_md5` the MD5 of the file there
    if the client has converted it; `address` is the client's, and `notes` what somebody wrote about it.
    """

    file_name: str | None = None
    address: str | None = None
    file_path: str | None = None
    notes: str | None = None
    file_md5: str | None = None


UNKNOWN_ORIGIN = Origin()
