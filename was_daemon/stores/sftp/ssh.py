"""Logging in to an SSH server and starting one of its subsystems, with nobody there to be asked anything.

The server's key must be known beforehand. Passwords, keys and agents are used as OpenSSH's own client uses them; RSA
keys sign with SHA-2, which servers of today insist on and conch's client by itself does not do.
"""

import os
import struct
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import attrs
from twisted.conch.client.knownhosts import KnownHostsFile, PlainEntry
from twisted.conch.error import ConchError
from twisted.conch.interfaces import IKnownHostEntry
from twisted.conch.ssh.agent import AGENTC_SIGN_REQUEST, SSHAgentClient
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import BadKeyError, EncryptedKeyError, FingerprintFormats, Key
from twisted.conch.ssh.transport import DISCONNECT_HOST_KEY_NOT_VERIFIABLE
from twisted.conch.ssh.userauth import MSG_USERAUTH_REQUEST, SSHUserAuthClient
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath

from was_daemon.config.secret_files import SecretFile
from was_daemon.model.errors import AssetError, StoreUnavailable
from was_daemon.stores.sftp.ssh_gcm import GCMClientTransport

log = Logger()

_SILENT = Logger(observer=LogPublisher())
"""What conch logs with: every request, window and state, in words for its authors."""

_WINDOW = 4 << 20
"""Bytes the server may send before it must wait: conch's own 128 KiB would be all that is under way in a round trip."""

_MAX_PACKET = 128 << 10

_ALGORITHMS = {b"ssh-rsa": [b"rsa-sha2-512", b"rsa-sha2-256", b"ssh-rsa"]}
"""What a key of this type may sign with, where that is not the name of the type."""

_AGENT_FLAGS = {b"rsa-sha2-256": 2, b"rsa-sha2-512": 4}
"""How an agent is told what to sign with (draft-ietf-sshm-ssh-agent, 3.6.1)."""


@attrs.frozen
class SSHLogin:
    """Where to log in, as whom, and how both sides prove who they are.

    Without `fingerprint` ("SHA256:..."), the server's key must be in the `known_hosts` file.
    """

    host: str
    user: str
    port: int
    identity_file: SecretFile | None
    password: str | None = attrs.field(repr=False)
    agent: bool
    known_hosts: Path
    fingerprint: str | None

    @property
    def known_as(self) -> str:
        """What known_hosts calls the server."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"

    def host_key_types(self) -> list[bytes]:
        """The types of the server's keys in known_hosts."""
        return [] if self.fingerprint else [entry.keyType for entry in self._known()]

    def check_host_key(self, key: Key) -> None:
        """Raise `StoreUnavailable` unless `key` is the server's; the log says what to do about it."""
        shown = "SHA256:" + key.fingerprint(FingerprintFormats.SHA256_BASE64)
        if self.fingerprint:
            if shown.rstrip("=") != self.fingerprint.rstrip("="):
                self._refuse("is not the pinned one", shown)
        elif any(entry.matchesKey(key) for entry in self._revoked()):
            self._refuse("is revoked", shown)
        elif not any(entry.matchesKey(key) for entry in self._known()):
            self._refuse("has changed" if self._known() else "is not known", shown)

    def _known(self) -> list[Any]:
        return [entry for entry in self._entries() if entry.matchesHost(self.known_as.encode())]

    def _revoked(self) -> list[IKnownHostEntry]:
        marker = b"@revoked "
        lines = (entry.toString() for entry in self._entries())
        return [PlainEntry.fromString(line.removeprefix(marker)) for line in lines if line.startswith(marker)]

    def _entries(self) -> list[IKnownHostEntry]:
        return list(KnownHostsFile.fromPath(FilePath(str(self.known_hosts.expanduser()))).iterentries())

    def _refuse(self, what: str, shown: str) -> None:
        log.error(
            "the key of the SSH server {host} {what}: it is {shown}. Once its administrator has confirmed that this is "
            'right, run "ssh-keyscan -p {port} {name}" and put the line of that key into {file}, in place of older '
            'ones of this server, or set fingerprint = "{shown}" in the config',
            host=self.known_as,
            what=what,
            shown=shown,
            port=self.port,
            name=self.host,
            file=str(self.known_hosts),
        )
        raise StoreUnavailable(f"the host key of the store {what}")

    def keys(self) -> list[Key]:
        """Return the private keys to try; raises `StoreUnavailable`."""
        if self.identity_file is None:
            return []
        try:
            return [Key.fromString(self.identity_file.text())]
        except (OSError, UnicodeDecodeError, BadKeyError, EncryptedKeyError) as error:
            # What conch says about a bad key may quote it.
            reason = error.strerror if isinstance(error, OSError) else "it is no private key, or has a passphrase"
            log.error("the identity file {file} is no use: {reason}", file=str(self.identity_file), reason=reason)
            raise StoreUnavailable("the key for the login at the store cannot be read") from error


class SubsystemProtocol(Protocol):
    """What talks to a subsystem."""

    def progressed(self) -> None:
        """The server took some of what was written."""


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
    """The encrypted connection. `ready` fires with its `SSHConnection` after the login, or fails with the reason."""

    connection: SSHConnection
    _log = _SILENT
    _parting = False

    def __init__(self, reactor: Any, login: SSHLogin) -> None:
        self.reactor = reactor
        self.login = login
        self.keys = login.keys()
        self.problem: AssetError = StoreUnavailable("no SSH connection to the store could be agreed on")
        self.ready: Deferred[SSHConnection] = Deferred(lambda _: self.abort())
        # The server uses the first type in the list that it has: those that can be verified go first.
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
            return  # what the server had sent before it heard of it
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
            self.requestService(_UserAuth(self))

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
    _log = _SILENT

    def serviceStarted(self) -> None:
        super().serviceStarted()
        cast(_Transport, self.transport).logged_in(self)


Sign = Callable[[bytes, bytes], Deferred[bytes]]
"""Signs data (first argument) with an algorithm (second)."""


class _Agent(SSHAgentClient):
    """The user's SSH agent: it signs and keeps its keys to itself."""

    @classmethod
    async def connect(cls, reactor: Any) -> "_Agent":
        """Raises `ConnectError`, or `KeyError` when the environment names no agent."""
        endpoint = UNIXClientEndpoint(reactor, os.environ["SSH_AUTH_SOCK"])
        agent: _Agent = await endpoint.connect(Factory.forProtocol(cls))
        return agent

    def disconnect(self) -> None:
        ITCPTransport(self.transport).loseConnection()

    async def signers(self) -> list[tuple[Key, Sign]]:
        blobs = [blob for blob, _comment in await self.requestIdentities()]
        return [(Key.fromString(blob), partial(self._sign, blob)) for blob in blobs]

    def _sign(self, blob: bytes, data: bytes, algorithm: bytes) -> Deferred[bytes]:
        request = NS(blob) + NS(data) + struct.pack("!L", _AGENT_FLAGS.get(algorithm, 0))
        signature: Deferred[bytes] = self.sendRequest(AGENTC_SIGN_REQUEST, request).addCallback(self._cbSignData)
        return signature


class _UserAuth(SSHUserAuthClient):
    """Logs in with the keys, then the password, each once."""

    _log = _SILENT
    _agent: "_Agent | None" = None
    _accepted = False

    def __init__(self, ssh: _Transport) -> None:
        super().__init__(ssh.login.user.encode(), _Connection())
        self._ssh = ssh
        self._login = ssh.login
        self._signers: deque[tuple[Key, Sign]] | None = None
        self._untried = {b"password", b"keyboard-interactive"} if ssh.login.password is not None else set()

    def serviceStarted(self) -> None:
        self._ssh.problem = StoreUnavailable("the store refused the login")
        super().serviceStarted()

    def ssh_USERAUTH_SUCCESS(self, packet: bytes) -> None:
        self._accepted = True
        super().ssh_USERAUTH_SUCCESS(packet)

    def serviceStopped(self) -> None:
        if self._agent is not None:
            self._agent.disconnect()
        if self._ssh.service is self and not self._accepted:
            log.error(
                "the SSH server {host} refused the login of {user}", host=self._login.known_as, user=self._login.user
            )

    def auth_publickey(self) -> Deferred[bool]:
        return Deferred.fromCoroutine(self._offer_key())

    async def _offer_key(self) -> bool:
        if self._signers is None:
            self._signers = await self._find_signers()
        if not self._signers:
            return False
        key, sign = self._signers.popleft()
        accepted = self._ssh.peerExtensions.get(b"server-sig-algs", b"").split(b",")
        algorithms = [name for name in key.supportedSignatureAlgorithms() if name in accepted]
        algorithm = algorithms[0] if algorithms else key.sshType()
        offer = b"\x01" + NS(algorithm) + NS(key.public().blob())
        head = NS(self._ssh.sessionID or b"") + bytes([MSG_USERAUTH_REQUEST])
        signed = head + NS(self.user) + NS(self.instance.name) + NS(b"publickey") + offer
        self.askForAuth(b"publickey", offer + NS(await sign(signed, algorithm)))
        return True

    async def _find_signers(self) -> deque[tuple[Key, Sign]]:
        signers: list[tuple[Key, Sign]] = [(key, partial(maybeDeferred, key.sign)) for key in self._ssh.keys]
        if self._login.agent:
            try:
                self._agent = await _Agent.connect(self._ssh.reactor)
                signers += await self._agent.signers()
            except (KeyError, ConnectError, ConchError) as error:
                log.error("there is no SSH agent to ask: {error}", error=error)
        return deque(signers)

    def auth_password(self) -> bool:
        return self._first(b"password") and bool(super().auth_password())

    def auth_keyboard_interactive(self) -> bool:
        return self._first(b"keyboard-interactive") and bool(super().auth_keyboard_interactive())

    def _first(self, method: bytes) -> bool:
        if method not in self._untried:
            return False
        self._untried.remove(method)
        return True

    def getPassword(self, prompt: bytes | None = None) -> Deferred[bytes]:
        return succeed((self._login.password or "").encode())

    def getGenericAnswers(
        self, name: bytes, instruction: bytes, prompts: list[tuple[bytes, bool]]
    ) -> Deferred[list[str]]:
        # Many NAS ask for the password this way only; what is shown while it is typed is no password.
        return succeed(["" if echo else self._login.password or "" for _, echo in prompts])


class Subsystem(SSHChannel):
    """The channel to a subsystem, and the transport of the protocol that talks to it."""

    name = b"session"
    _log = _SILENT

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
