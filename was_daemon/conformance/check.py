"""What a check is."""

from collections.abc import Callable

import attrs

from was_daemon.conformance.server import Server


@attrs.frozen
class Check:
    """One line of the report.

    `attempt` raises `CheckFailed` or `CheckSkipped`, returns how the server differs harmlessly, or None when all is as it should be.
    The check is skipped unless the check with the id `needs`, an earlier one, went well.
    """

    id: str
    title: str
    attempt: Callable[[Server], str | None]
    needs: str | None = "upload-specify7"
