"""A count of the requests under way, so that the stores they use are closed after the last of them."""

from twisted.internet.defer import Deferred, succeed
from twisted.web.iweb import IRequest

from was_daemon.concurrency.waiting import Waiters


class ActiveRequests:
    """The number of requests that one resource was given and has not answered yet."""

    def __init__(self) -> None:
        self._count = 0
        self._waiters = Waiters()

    def begin(self, request: IRequest) -> None:
        """Count `request` until it is answered or its client is gone."""
        self._count += 1
        request.notifyFinish().addBoth(self._end)  # type: ignore[attr-defined]  # missing in the interface only

    def _end(self, _outcome: object) -> None:
        self._count -= 1
        if not self._count:
            self._waiters.release()

    def finished(self) -> Deferred[None]:
        """Fire when no request is under way."""
        return self._waiters.add() if self._count else succeed(None)
