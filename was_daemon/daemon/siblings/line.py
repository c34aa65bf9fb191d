"""What the first process and another say to each other: JSON documents, each after its length."""

import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IReactorSocket, IReactorTime, ITCPTransport
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

Handlers = Mapping[str, Callable[[Any], Any]]
"""What to do when something is said; when it is a question, that returns the answer, or an `Awaitable` of it."""

_MOST_SAID = 64 << 20
_HEAD = struct.Struct("!I")

_log = Logger()


class Line(Int32StringReceiver):
    """One end of the line; `lost` is called when the other end is gone."""

    MAX_LENGTH = _MOST_SAID

    def __init__(self, handlers: Handlers, lost: Callable[[], None]) -> None:
        self._handlers = handlers
        self._lost = lost
        self._numbers = count(1)
        self._asked: dict[int, Deferred[Any]] = {}

    def connect(self, end: socket.socket) -> None:
        """Talk over `end` from now on, which may be closed then."""
        from twisted.internet import reactor

        end.setblocking(False)
        factory = ServerFactory()
        factory.protocol = lambda: self
        IReactorSocket(reactor).adoptStreamConnection(end.fileno(), socket.AF_UNIX, factory)

    def hang_up(self) -> None:
        """End the line."""
        if self.connected:
            ITCPTransport(self.transport).abortConnection()

    def tell(self, what: str, value: Any = None) -> None:
        """Say something that needs no answer; nothing happens when the other end is gone."""
        if self.connected:
            self.sendString(_document(what=what, value=value))

    def ask(self, what: str, value: Any, seconds: float) -> Deferred[Any]:
        """The answer to a question; fails with `ConnectionClosed`, or TimeoutError after so many seconds."""
        from twisted.internet import reactor

        if not self.connected:
            return fail(ConnectionClosed())
        number = next(self._numbers)
        answer: Deferred[Any] = Deferred()
        self._asked[number] = answer
        self.sendString(_document(what=what, value=value, question=number))

        def forget(outcome: Any) -> Any:
            self._asked.pop(number, None)
            return outcome

        return answer.addTimeout(seconds, IReactorTime(reactor)).addBoth(forget)

    def stringReceived(self, string: bytes) -> None:
        """The other end has said something."""
        said = json.loads(string)
        if "answer" in said:
            waiting = self._asked.pop(said["answer"], None)
            if waiting:
                waiting.callback(said["value"])
            return
        Deferred.fromCoroutine(self._heed(said)).addErrback(
            lambda failure: _log.failure("Another process of the daemon was not understood", failure)
        )

    async def _heed(self, said: dict[str, Any]) -> None:
        answer = self._handlers[said["what"]](said.get("value"))
        value = await answer if isinstance(answer, Awaitable) else answer
        if "question" in said and self.connected:
            self.sendString(_document(answer=said["question"], value=value))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The other end is gone."""
        super().connectionLost(reason)
        while self._asked:
            self._asked.popitem()[1].errback(ConnectionClosed())
        self._lost()


def hear(end: socket.socket) -> Any:
    """The value of what is said first, before there is a `Line` at this end; blocks, and raises EOFError."""
    (length,) = _HEAD.unpack(_exactly(end, _HEAD.size))
    return json.loads(_exactly(end, length))["value"]


def _exactly(end: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        more = end.recv(size - len(received))
        if not more:
            raise EOFError
        received += more
    return bytes(received)


def _document(**said: Any) -> bytes:
    return json.dumps(said).encode()
