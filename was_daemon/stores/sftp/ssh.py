"""Connections to an SSH server, and the start of one of its subsystems.

The server's key must be known beforehand. Passwords, keys and agents are used as OpenSSH's own client uses them.
"""

from collections import deque
from typing import Any, cast

from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import DISCONNECT_HOST_KEY_NOT_VERIFIABLE
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from was_daemon.model.errors import AssetError, StoreUnavailable
from was_daemon.stores.sftp.ssh_auth import SILENT, UserAuth
from was_daemon.stores.sftp.ssh_gcm import GCMClientTransport
from was_daemon.stores.sftp.ssh_login import SSHLogin

log = Logger()

_WINDOW = 4 << 20
"""Bytes the server may send before it must wait: with conch's 128 KiB no more would be under way in a round trip."""

_MAX_PACKET = 128 << 10

_ALGORITHMS = {b"ssh-rsa": [b"rsa-sha2-512", b"rsa-sha2-256", b"ssh-rsa"]}
"""Algorithms with which a key of a type may sign, where these are not called as the type."""


class SubsystemProtocol(Protocol):
    """Protocol that is spoken with a subsystem."""

    def progressed(self) -> None:
        """Note that the server has taken some of the bytes written."""


async def open_subsystem(reactor: Any, login: SSHLogin, name: bytes, protocol: SubsystemProtocol) -> None:
    """Connect, log in, and connect `protocol` to the server's subsystem `name`.

    Raises `StoreUnavailable` when the server cannot be reached, is not who it should be, or refuses; the log has the
    details. The protocol's transport is a `Subsystem`, whose `abort` closes everything; cancelling does so too.
    """
    transport = _Transport(reactor, login)
    factory = Factory.forProtocol(lambda: transport)
    factory.noisy = False
    try:
        await HostnameEndpoint(reactor, login.host, login.port).connect(factory)
    except (ConnectError, DNSLookupError, OSError) as error:
        log.warn("the SSH server {host} cannot be reached: {error}", host=login.known_as, error=error)
        raise StoreUnavailable("the store cannot be reached") from error
    try:
        connection = await transport.ready
        subsystem = Subsystem(name, protocol, transport)
        connection.openChannel(subsystem)
        await subsystem.ready
    except BaseException:
        transport.abort()
        raise


class _Transport(GCMClientTransport):
    """Encrypted connection. `ready` fires with its `SSHConnection` after the login, or fails with the reason."""

    connection: SSHConnection
    _log = SILENT
    _parting = False

    def __init__(self, reactor: Any, login: SSHLogin) -> None:
        self.reactor = reactor
        self.login = login
        self.keys = login.keys()
        self.problem: AssetError = StoreUnavailable("no SSH connection to the store could be agreed on")
        self.ready: Deferred[SSHConnection] = Deferred(lambda _: self.abort())
        # The server uses the first type in the list that it has: types that can be verified go first.
        known = [algorithm for type_ in login.host_key_types() for algorithm in _ALGORITHMS.get(type_, [type_])]
        others = [algorithm for algorithm in self.supportedPublicKeys if algorithm not in (b"ssh-dss", *known)]
        self.supportedPublicKeys = known + others

    def connectionMade(self) -> None:
        # Without this small requests wait for the acknowledgement of those before them.
        tcp = ITCPTransport(self.transport)
        tcp.setTcpNoDelay(True)
        tcp.setTcpKeepAlive(True)
        super().connectionMade()

    def verifyHostKey(self, hostKey: bytes, fingerprint: bytes) -> Deferred[bool]:  # noqa: N803 - conch's name
        try:
            self.login.check_host_key(Key.fromString(hostKey))
        except StoreUnavailable as problem:
            self.problem = problem
            return fail(problem)
        return succeed(True)

    def sendDisconnect(self, reason: int, desc: bytes) -> None:
        if self._parting:
            return  # the server had sent something before it learnt of the end
        self._parting = True
        # With a refused key conch would tell the server where in this program that was.
        plain = b"bad host key" if reason == DISCONNECT_HOST_KEY_NOT_VERIFIABLE else desc
        text = plain.decode(errors="replace")
        log.warn("the connection to the SSH server {host} is given up: {text}", host=self.login.known_as, text=text)
        super().sendDisconnect(reason, plain)

    def receiveError(self, reasonCode: int, description: bytes) -> None:  # noqa: N803 - conch's name
        text = description.decode(errors="replace")
        log.warn("the SSH server {host} ends the connection: {text}", host=self.login.known_as, text=text)

    def connectionSecure(self) -> None:
        if self.service is None:  # otherwise the session's keys were renewed
            self.requestService(UserAuth(self, _Connection()))

    def logged_in(self, connection: SSHConnection) -> None:
        self.problem = StoreUnavailable("the connection to the store was lost")
        self.connection = connection
        self._fire(connection)

    def connectionLost(self, reason: Failure | None = None) -> None:
        super().connectionLost(reason)
        self._fire(Failure(self.problem))

    def _fire(self, result: SSHConnection | Failure) -> None:
        if not self.ready.called:
            self.ready.callback(result)


class _Connection(SSHConnection):
    _log = SILENT

    def serviceStarted(self) -> None:
        super().serviceStarted()
        cast(_Transport, self.transport).logged_in(self)


class Subsystem(SSHChannel):
    """Channel to a subsystem, and transport of the protocol that is spoken with it."""

    name = b"session"
    _log = SILENT

    def __init__(self, subsystem: bytes, protocol: SubsystemProtocol, ssh: _Transport) -> None:
        super().__init__(localWindow=_WINDOW, localMaxPacket=_MAX_PACKET)
        self._subsystem = subsystem
        self._protocol = protocol
        self._ssh = ssh
        self._unsent: deque[bytes] = deque()
        self.ready: Deferred[None] = Deferred(lambda _: self.abort())

    def channelOpen(self, specificData: bytes) -> None:  # noqa: N803 - conch's name
        asked = self._ssh.connection.sendRequest(self, b"subsystem", NS(self._subsystem), wantReply=True)
        asked.addCallbacks(self._started, self.openFailed)

    def _started(self, _reply: object) -> None:
        self._protocol.makeConnection(self)
        self.ready.callback(None)

    def openFailed(self, reason: object) -> None:
        if not self.ready.called:
            log.error("the SSH server does not start {name}: {reason}", name=self._subsystem, reason=reason)
            self.ready.errback(StoreUnavailable("the store does not offer what is needed"))

    def dataReceived(self, data: bytes) -> None:
        self._protocol.dataReceived(data)

    def closed(self) -> None:
        if self._protocol.connected:
            self._protocol.connectionLost(Failure(self._ssh.problem))
        self.abort()

    def eofReceived(self) -> None:
        self.abort()

    def write(self, data: bytes) -> None:
        # conch's own buffer is copied whole for every packet that is added to it or taken from it.
        self._unsent.append(data)
        self._send()

    def addWindowBytes(self, data: int) -> None:
        self.remoteWindowLeft += data
        self._protocol.progressed()
        self._send()

    def _send(self) -> None:
        while self._unsent and self.remoteWindowLeft:
            data = self._unsent.popleft()
            size = min(len(data), self.remoteWindowLeft, self.remoteMaxPacket)
            if size < len(data):
                self._unsent.appendleft(data[size:])
            self._ssh.connection.sendData(self, data[:size])
            self.remoteWindowLeft -= size

    def abort(self) -> None:
        """Close the whole connection at once; the protocol's `connectionLost` follows."""
        self._ssh.abort()
