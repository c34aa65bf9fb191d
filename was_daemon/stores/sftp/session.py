"""conch's SFTP client as a protocol of requests and answers, with the store's errors and a time-out."""

import struct
from collections.abc import Iterable
from typing import Any, cast

from twisted.conch.ssh import filetransfer as ft
from twisted.conch.ssh.common import NS, getNS
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from was_daemon.model.errors import AssetError, AssetNotFound, NoSpace, StoreFailed, StoreTimeout, StoreUnavailable
from was_daemon.stores.sftp.ssh import Subsystem, SubsystemProtocol

_MAX_PACKET = 1 << 20

_NO_SPACE = (14, 15)
"""Codes of newer drafts for a failure of SFTP 3; some servers send them all the same."""


class SFTPSession(ft.FileTransferClient, SubsystemProtocol):
    """Client end of one SFTP session: requests are sent, and their Deferreds fire with the answers.

    The Deferreds may be cancelled. They fail with `AssetNotFound`, `StoreUnavailable` (also: permission denied),
    `NoSpace`, `StoreFailed`, and with `StoreTimeout` when the server leaves requests unanswered and nothing moves for
    `patience` seconds; the connection is dropped then. An idle connection is tried every `patience` seconds.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, patience: float, server: str) -> None:
        super().__init__()
        self._server = server
        self._clock = clock
        self._patience = patience
        self._alarm: IDelayedCall | None = None
        self._received = bytearray()
        self._problem: AssetError | None = None
        self.ready: Deferred[None] = Deferred()
        """Fires when the server has told its version and `extensions`."""
        self.extensions: dict[bytes, bytes] = {}

    def gotServerVersion(self, version: int, extensions: dict[bytes, bytes]) -> None:
        self.extensions = extensions
        self.ready.callback(None)

    def _sendRequest(self, kind: int, data: bytes) -> Deferred[Any]:
        number = self.counter

        def abandon(_: Deferred[Any]) -> None:
            late: Deferred[Any] = Deferred()
            opened = kind in (ft.FXP_OPEN, ft.FXP_OPENDIR)
            late.addCallback(self._close_late if opened else lambda _: None).addErrback(lambda _: None)
            self.openRequests[number] = late

        answer: Deferred[Any] = Deferred(abandon)
        if not self.connected:
            answer.errback(self._problem or StoreUnavailable("the connection to the store was lost"))
            return answer
        if not self.openRequests:
            self._set_alarm()
        self.openRequests[number] = answer
        self.counter = (number + 1) & 0xFFFFFFFF
        cast(Subsystem, self.transport).write(b"".join((struct.pack("!LBL", len(data) + 5, kind, number), data)))
        return answer

    def _close_late(self, handle: bytes) -> None:
        drop([self._sendRequest(ft.FXP_CLOSE, NS(handle))])

    def dataReceived(self, data: bytes) -> None:
        # conch's own copies everything behind a packet for each packet, and logs each.
        self.progressed()
        received = self._received
        received += data
        start, end = 0, len(received)
        with memoryview(received) as view:
            while end - start >= 9:
                length, kind, number = struct.unpack_from("!LBL", received, start)
                if length > _MAX_PACKET:
                    self._give_up(StoreFailed("the store sent something that is no SFTP"))
                    return
                if end - start < 4 + length:
                    break
                if kind == ft.FXP_DATA:
                    self.openRequests.pop(number).callback(bytes(view[start + 13 : start + 4 + length]))
                else:
                    getattr(self, f"packet_{self.packetTypes[kind]}")(bytes(view[start + 5 : start + 4 + length]))
                start += 4 + length
        del received[:start]

    def packet_STATUS(self, data: bytes) -> None:
        answer, data = self._parseRequest(data)
        (code,) = struct.unpack_from("!L", data)
        if code == ft.FX_OK:
            answer.callback(None)
        else:
            answer.errback(self._error(code, getNS(data[4:])[0] if len(data) >= 8 else b""))

    def _error(self, code: int, message: bytes) -> Exception:
        if code == ft.FX_EOF:
            return EOFError()
        if code == ft.FX_NO_SUCH_FILE:
            return AssetNotFound("no such asset")
        self._log.debug("the SFTP server says {code}: {message!r}", code=code, message=message)
        if code == ft.FX_PERMISSION_DENIED:
            return StoreUnavailable("the store denied permission")
        if code in _NO_SPACE or b"no space left" in message.lower():
            return NoSpace("no space left in the store")
        if code == ft.FX_OP_UNSUPPORTED:
            return StoreFailed("the store cannot do what is needed")
        return StoreFailed("the store reported a failure")

    def progressed(self) -> None:
        if self._alarm is not None:
            self._alarm.reset(self._patience)

    def _set_alarm(self) -> None:
        if self._alarm is None:
            self._alarm = self._clock.callLater(self._patience, self._nothing_moved)
        else:
            self._alarm.reset(self._patience)

    def _nothing_moved(self) -> None:
        self._alarm = None
        if self.openRequests:
            self._give_up(StoreTimeout("the store made no progress in time"))
        else:
            drop([self._sendRequest(ft.FXP_LSTAT, NS(b"."))])

    def _give_up(self, problem: AssetError) -> None:
        self._problem = problem
        self._log.warn("the connection to {server} is given up: {problem}", server=self._server, problem=problem)
        self.abort()

    def abort(self) -> None:
        """Close the connection at once; requests under way fail."""
        if self.connected:
            cast(Subsystem, self.transport).abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connected = False
        self._log.info(
            "the connection to {server} ended: {reason}", server=self._server, reason=reason.getErrorMessage()
        )
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        failure = Failure(self._problem) if self._problem else reason
        if not self.ready.called:
            self.ready.errback(failure)
        # The first failure may well make its receiver drop the other requests, which changes `openRequests`.
        while self.openRequests:
            self.openRequests.pop(next(iter(self.openRequests))).errback(failure)


def drop(answers: Iterable[Deferred[Any]]) -> None:
    """Ignore answers, good or bad. The requests are carried out all the same."""
    for answer in answers:
        answer.addErrback(lambda _: None)
        answer.cancel()
