"""Origins of changes."""

import attrs


@attrs.frozen
class Origin:
    """Where a change came from: the client's own name of an uploaded file, and its address; None if unknown."""

    file_name: str | None = None
    address: str | None = None


UNKNOWN_ORIGIN = Origin()
