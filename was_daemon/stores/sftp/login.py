"""Credentials for a login at an SSH server, and the check of the server's key, as OpenSSH's client does it."""

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncssh
import attrs
from asyncssh.public_key import get_default_certificate_algs, get_default_public_key_algs
from twisted.logger import Logger

from was_daemon.config.secret_files import SecretFile
from was_daemon.model.errors import StoreUnavailable

_log = Logger()


@attrs.frozen
class HostKeys:
    """Keys of a server: those it may have, those of authorities whose certificates it may show, and revoked ones."""

    trusted: list[asyncssh.SSHKey] = attrs.field(factory=list)
    authorities: list[asyncssh.SSHKey] = attrs.field(factory=list)
    revoked: list[asyncssh.SSHKey] = attrs.field(factory=list)

    def algorithms(self) -> list[str]:
        """Return the algorithms to ask the server for: the server takes the first that it has a key for."""
        known = [algorithm for key in self.trusted for algorithm in key.sig_algorithms]
        certificates = get_default_certificate_algs() if self.authorities else []
        return [name.decode() for name in dict.fromkeys([*certificates, *known, *get_default_public_key_algs()])]


@attrs.frozen
class SSHLogin:
    """Address of an SSH server, the credentials of the user, and the expected key of the server.

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
        """Name of the server in known_hosts."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"

    def host_keys(self) -> HostKeys:
        """Return the keys of the server in known_hosts; none when its key is pinned. Raises `StoreUnavailable`."""
        if self.fingerprint:
            return HostKeys()
        known = asyncssh.import_known_hosts("")
        for line in self._known_hosts_lines():
            with suppress(ValueError):  # a line that is damaged hides no other
                known.load(line)
        # The address is not looked up: a key that is known for an address proves no name.
        trusted, authorities, revoked, *_ = known.match(self.host, "", None if self.port == 22 else self.port)
        revoked_everywhere = known.match(self.host, "", None)[2]
        return HostKeys(list(trusted), list(authorities), [*revoked, *revoked_everywhere])

    def _known_hosts_lines(self) -> list[str]:
        try:
            return self.known_hosts.expanduser().read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            file = str(self.known_hosts)
            _log.error("the known_hosts file {file} cannot be read: {reason}", file=file, reason=error.strerror)
            raise StoreUnavailable("the host keys of stores cannot be read") from None

    def client_keys(self) -> list[Any]:
        """Return the private keys to try, first with the certificate beside the file. Raises `StoreUnavailable`."""
        if self.identity_file is None:
            return []
        key = _private_key(self.identity_file)
        beside = self.identity_file.expanduser()
        certificate = beside.with_name(f"{beside.name}-cert.pub")
        try:
            return [(key, asyncssh.import_certificate(certificate.read_text())), key]
        except FileNotFoundError:
            return [key]
        except (OSError, ValueError) as error:
            _log.error("the certificate {file} is no use: {error}", file=str(certificate), error=error)
            return [key]

    @asynccontextmanager
    async def agent_keys(self) -> AsyncGenerator[list[Any], None]:
        """Yield the keys of the SSH agent, if it is to be asked; it signs for as long as the context lasts."""
        keys: list[Any] = []
        with ExitStack() as stack:
            if self.agent:
                try:
                    agent = await asyncssh.connect_agent(os.environ.get("SSH_AUTH_SOCK", ""))
                    stack.callback(agent.close)
                    keys += await agent.get_keys()
                except (OSError, ValueError) as error:
                    _log.error("there is no SSH agent to ask: {error}", error=error)
            yield keys


def _private_key(file: SecretFile) -> asyncssh.SSHKey:
    """Return the key in `file`. Raises `StoreUnavailable`, after the reason was logged."""
    text = ""
    try:
        text = file.text()
        return asyncssh.import_private_key(text)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else _flaw(text, error)
        _log.error("the identity file {file} is no use: {reason}", file=str(file), reason=reason)
        raise StoreUnavailable("the key for the login at the store cannot be read") from None


def _flaw(text: str, error: ValueError) -> str:
    """Return why no key can be imported from `text`. What the library says in `error` may quote the key."""
    if text.startswith("PuTTY-User-Key-File-"):
        return 'it is in the format of PuTTY; "puttygen FILE -O private-openssh -o NEW_FILE" converts it'
    if "passphrase" in str(error).lower():
        return 'it has a passphrase; "ssh-keygen -p -f FILE" removes it'
    with suppress(ValueError):
        asyncssh.import_public_key(text)
        return "it is a public key"
    return "it is no private key"


class LoginClient(asyncssh.SSHClient):
    """Decisions about the server's key, and answers to its questions."""

    def __init__(self, login: SSHLogin, known: HostKeys) -> None:
        self._login = login
        self._known = known
        self._asked = False
        self.refused: str | None = None
        """What is wrong with the server's key, once it was refused."""
        self.shown: asyncssh.SSHKey | None = None
        """The server's key that was refused."""
        self.is_lost = False
        """Whether the connection has ended."""
        self._is_in = False

    def auth_completed(self) -> None:
        self._is_in = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if self._is_in:
            _log.info("the connection to {host} ended: {reason}", host=self._login.known_as, reason=exc or "closed")

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Return whether `key`, which is not in known_hosts, is the pinned one."""
        pinned = self._login.fingerprint
        if pinned and key.get_fingerprint().rstrip("=") == pinned.rstrip("="):
            return True
        known = self._known.trusted or self._known.authorities
        self.refused = "is not the pinned one" if pinned else "has changed" if known else "is not known"
        self.shown = key
        return False

    def log_refusal(self) -> None:
        """Log what is to be done about the key that was refused."""
        assert self.shown is not None  # noqa: S101  # it was refused
        shown, host = self.shown.get_fingerprint(), self._login.known_as
        if self._login.fingerprint:
            _log.error(
                "the SSH server {host} has no key with the fingerprint in the config; the last one that it showed is "
                "{shown}. Once its administrator has confirmed that this is right, set fingerprint to that",
                host=host,
                shown=shown,
            )
            return
        _log.error(
            "the key of the SSH server {host} {what}: it is {shown}. Once its administrator has confirmed that this is "
            'right, run "ssh-keyscan -p {port} {name}" and put the line of that key into {file}, in place of older '
            'ones of this server, or set fingerprint = "{shown}" in the config',
            host=host,
            what=self.refused,
            shown=shown,
            port=self._login.port,
            name=self._login.host,
            file=str(self._login.known_hosts),
        )

    def kbdint_auth_requested(self) -> str | None:
        """Return that the server may ask, once, if there is a password: many NAS want it this way only."""
        if self._login.password is None or self._asked:
            return None
        self._asked = True
        return ""

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str]:
        """Return the password for each question; an answer that is echoed while it is typed is no password."""
        return ["" if echo else self._login.password or "" for _, echo in prompts]
