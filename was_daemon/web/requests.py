"""Requests under way, counted, so that what they use is closed after the last of them."""

from twisted.internet.defer import Deferred
from twisted.web.iweb import IRequest


class Requests:
    """The requests that one resource was given and has not answered yet."""

    def __init__(self) -> None:
        self._under_way = 0
        self._waiting: list[Deferred[None]] = []

    def begin(self, request: IRequest) -> None:
        """Count `request` until it is answered or its client is gone."""
        self._under_way += 1
        request.notifyFinish().addBoth(self._end)  # type: ignore[attr-defined]  # missing in the interface only

    def _end(self, _outcome: object) -> None:
        self._under_way -= 1
        if not self._under_way:
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                waiter.callback(None)

    def over(self) -> Deferred[None]:
        """Wait until there is none."""
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        if self._under_way:
            self._waiting.append(waiter)
        else:
            waiter.callback(None)
        return waiter
