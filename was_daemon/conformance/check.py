"""One check of an asset server."""

from collections.abc import Callable

import attrs

from was_daemon.conformance.client import Answer
from was_daemon.conformance.results import expect
from was_daemon.conformance.server import Server


@attrs.frozen
class Check:
    """One check, reported as one line.

    `attempt` returns None when the server does what the contract says, or else a remark on how it differs harmlessly.
    It raises `CheckFailed` or `CheckSkipped`. The check is skipped when the earlier check with the id
    `needs` failed, or was itself skipped because of a failure.
    """

    id: str
    title: str
    attempt: Callable[[Server], str | None]
    needs: str | None = "upload-specify7"


def refusal(answer: Answer, ideal: int, to: str) -> str | None:
    """Return a remark when `answer` refuses with another status than `ideal`; raise `CheckFailed` when it is below 400.

    `to` names the request in messages.
    """
    expect(answer.status >= 400, f"{ideal} to {to}", answer)
    return None if answer.status == ideal else f"{answer.status} instead of {ideal} to {to}"
