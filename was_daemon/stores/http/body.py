"""Bodies of HTTP requests and responses as streams of bytes that are pulled, so that memory stays flat."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer, IResponse
from zope.interface import implementer

from was_daemon.model.errors import StoreFailed
from was_daemon.stores.http.pace import Pace
from was_daemon.stores.http.progress import Watchdog

READ_AHEAD = 1 << 20
"""Bytes of an upload that are collected before it is sent: most uploads are complete then, and can be sent twice."""

_PIECE = 1 << 19
"""Bytes written at a time, as many as staging files yield: each piece that is sent is progress, also on a slow line."""

_HIGH_WATER = 1 << 19
"""Bytes of a response that wait for their reader before the server has to wait."""


@implementer(IBodyProducer)
class Upload:
    """Body of a request. Made by `Upload.of`, or of bytes alone."""

    def __init__(self, head: bytes, rest: AsyncIterator[bytes] | None = None, length: int | None = None) -> None:
        self.length = len(head) if rest is None else UNKNOWN_LENGTH if length is None else length
        self.size = 0
        """Number of bytes produced so far."""
        self.error: BaseException | None = None
        """Error of the source of the bytes."""
        self.answer: IResponse | None = None
        """Response that came before the server had the whole body."""
        self.watchdog: Watchdog | None = None
        self.patience: float | None = None
        """Seconds to wait for the server to ask for the body (RFC 9110, 10.1.1); None to send it at once."""
        self.invited = False
        """Whether the server asked for the body."""
        self._invitation: Deferred[None] = Deferred()
        self._head = head
        self._rest = rest
        self._resumed: Deferred[None] | None = None
        self._stopped = False
        self._begun = False

    @classmethod
    async def of(cls, chunks: AsyncIterator[bytes], size: int | None = None) -> "Upload":
        """Return the body that consists of `chunks`, `size` bytes if that is known. Raises what `chunks` raises.

        The caller closes `chunks`. A body of unknown size is sent chunked, which not every server understands. A body
        of another size than `size` is not sent whole, and the request fails.
        """
        head: list[bytes] = []
        collected = 0
        async for chunk in chunks:
            head.append(chunk)
            collected += len(chunk)
            if collected > READ_AHEAD:
                return cls(b"".join(head), chunks, size)
        return cls(b"".join(head))

    @property
    def is_in_memory(self) -> bool:
        """Whether all of the body is in memory."""
        return self._rest is None

    @property
    def repeatable(self) -> bool:
        """Whether the body can be sent once more: all of it is in memory, or no byte of the rest was taken yet."""
        return self.is_in_memory or not self._begun

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """See `IBodyProducer`."""
        self.size, self.error, self.answer, self._resumed, self._stopped = 0, None, None, None, False
        self.invited, self._invitation = False, Deferred()
        done: Deferred[None] = Deferred(lambda _: producing.cancel())

        def finish(outcome: Failure | None) -> None:
            # IBodyProducer: after stopProducing the Deferred never fires.
            if not self._stopped:
                self.error = outcome.value if isinstance(outcome, Failure) else None
                done.callback(outcome)

        producing = Deferred.fromCoroutine(self._produce(consumer))
        self._producing = producing
        producing.addBoth(finish)
        return done

    def invite(self) -> None:
        """Note that the server asks for the body."""
        self.invited = True
        self._invite()

    def _invite(self) -> None:
        if not self._invitation.called:
            self._invitation.callback(None)

    async def _produce(self, consumer: IConsumer) -> None:
        if self.patience is not None:
            await self._expect(self.patience)
        if self._rest is None:
            await self._write(consumer, self._head)
            return
        # The last bytes are sent when they are known to be the last: a server that has as many as were announced
        # answers at once, and by then `chunks` must have been read to the end.
        waiting = self._head
        self._begun = True
        self._rested()
        async for chunk in self._rest:
            await self._write(consumer, waiting)
            self._rested()
            waiting = chunk
        await self._write(consumer, waiting)

    async def _expect(self, seconds: float) -> None:
        from twisted.internet import reactor

        # Some servers never ask.
        waiting = IReactorTime(reactor).callLater(seconds, self._invite)
        try:
            await self._invitation
        finally:
            if waiting.active():
                waiting.cancel()

    async def _write(self, consumer: IConsumer, chunk: bytes) -> None:
        self._progressed()
        for start in range(0, len(chunk), _PIECE):
            piece = chunk[start : start + _PIECE]
            self.size += len(piece)
            consumer.write(piece)
            if self._resumed:
                await self._resumed

    def pauseProducing(self) -> None:
        """See `IBodyProducer`."""
        self._resumed = self._resumed or Deferred()

    def resumeProducing(self) -> None:
        """See `IBodyProducer`."""
        resumed, self._resumed = self._resumed, None
        if resumed:
            self._progressed()
            resumed.callback(None)

    def stopProducing(self) -> None:
        """See `IBodyProducer`."""
        self._stopped = True
        self._producing.cancel()

    def _progressed(self) -> None:
        if self.watchdog:
            self.watchdog.progress()

    def _rested(self) -> None:
        if self.watchdog:
            self.watchdog.rest()


class Download(Protocol):
    """Body of a response while it arrives."""

    transport: IPushProducer  # type: ignore[assignment]  # what Response.deliverBody hands over

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._arrival: Deferred[None] | None = None
        self._end: Failure | None = None

    async def chunks(self, watchdog: Watchdog) -> AsyncGenerator[bytes, None]:
        """Yield the body in chunks of at most 1 MiB. Raises the error that broke the connection, or of `close`.

        Raises `StoreTimeout` if nothing arrives, or hardly anything.
        """
        pace = Pace(watchdog.patience, watchdog.waited)
        while True:
            if not self._chunks:
                if self._end:
                    break
                await watchdog.guard(self._next())
                continue
            waiting = b"".join(self._chunks) if len(self._chunks) > 1 else self._chunks[0]
            self._chunks.clear()
            self._size = 0
            pace.arrived(len(waiting), watchdog.waited)
            yield waiting
        # Without a length only the end of the connection ends the body; callers that know more count, or parse.
        if not self._end.check(ResponseDone, PotentialDataLoss):
            self._end.raiseException()

    def _next(self) -> Deferred[None]:
        self._arrival = Deferred()
        if self._paused:
            self._paused = False
            self.transport.resumeProducing()
        return self._arrival

    def dataReceived(self, data: bytes) -> None:
        """See `IProtocol`."""
        self._chunks.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER and not self._paused:
            self._paused = True
            self.transport.pauseProducing()
        self._arrived()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See `IProtocol`."""
        self._end = reason
        self._arrived()

    def _arrived(self) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival:
            arrival.callback(None)

    def close(self) -> None:
        """Close the connection unless the body has ended."""
        if self._end is None:
            # loseConnection would wait for the TLS close of a server that still has all the rest to send.
            self.transport.stopProducing()
            self.connectionLost(Failure(StoreFailed("the read was given up")))
