"""Login at an SSH server without anybody to be asked: with keys, an agent, or a password.

RSA keys sign with SHA-2, which servers of today insist on; conch's own client signs with SHA-1.
"""

import os
import struct
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from twisted.conch.error import ConchError
from twisted.conch.ssh.agent import AGENTC_SIGN_REQUEST, SSHAgentClient
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.userauth import MSG_USERAUTH_REQUEST, SSHUserAuthClient
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Factory
from twisted.logger import Logger, LogPublisher

from was_daemon.model.errors import AssetError, StoreUnavailable
from was_daemon.stores.sftp.ssh_login import SSHLogin

log = Logger()

SILENT = Logger(observer=LogPublisher())
"""Logger for conch's classes, which log every request, window and state for conch's authors."""

_AGENT_FLAGS = {b"rsa-sha2-256": 2, b"rsa-sha2-512": 4}
"""Flags in a request to an agent that choose an algorithm (draft-ietf-sshm-ssh-agent, 3.6.1)."""

Sign = Callable[[bytes, bytes], Deferred[bytes]]
"""Function that signs data (first argument) with an algorithm (second)."""


class _Agent(SSHAgentClient):
    """Client of the user's SSH agent, which signs without giving its keys away."""

    @classmethod
    async def connect(cls, reactor: Any) -> "_Agent":
        """Connect to the agent. Raises `ConnectError`, and `KeyError` when the environment names none."""
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


class LoginTransport(Protocol):
    """SSH transport whose user logs in."""

    login: SSHLogin
    keys: list[Key]
    reactor: Any
    problem: AssetError
    """The store's error for a connection that is lost now."""
    service: Any
    sessionID: bytes | None
    peerExtensions: dict[bytes, bytes]


class UserAuth(SSHUserAuthClient):
    """Login with the keys, then with the password, each tried once."""

    _log = SILENT
    _agent: "_Agent | None" = None
    _accepted = False

    def __init__(self, ssh: LoginTransport, connection: SSHConnection) -> None:
        """Make the login over `ssh`, after which `connection` starts."""
        super().__init__(ssh.login.user.encode(), connection)
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
        # Many NAS ask for the password this way only. An answer that is echoed while it is typed is no password.
        return succeed(["" if echo else self._login.password or "" for _, echo in prompts])
