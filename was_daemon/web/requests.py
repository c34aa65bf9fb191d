"""Requests under way, counted, so that what they use is closed after the last of them."""

from twisted.internet.defer import Deferred, succeed
from twisted.web.iweb import IRequest

from was_daemon.concurrency.waiting import Waiters


class Requests:
    """The requests that one resource was given and has not answered yet."""

    def __init__(self) -> None:
        self._under_way = 0
        self._waiters = Waiters()

    def begin(self, request: IRequest) -> None:
        """Count `request` until it is answered or its client is gone."""
        self._under_way += 1
        request.notifyFinish().addBoth(self._end)  # type: ignore[attr-defined]  # missing in the interface only

    def _end(self, _outcome: object) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._waiters.release()

    def over(self) -> Deferred[None]:
        """Wait until there is none."""
        return self._waiters.add() if self._under_way else succeed(None)
