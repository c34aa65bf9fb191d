"""Credentials for a login at an SSH server, and the check of the server's key, as OpenSSH's client does it."""

from pathlib import Path
from typing import Any

import attrs
from twisted.conch.client.knownhosts import KnownHostsFile, PlainEntry
from twisted.conch.interfaces import IKnownHostEntry
from twisted.conch.ssh.keys import BadKeyError, EncryptedKeyError, FingerprintFormats, Key
from twisted.logger import Logger
from twisted.python.filepath import FilePath

from was_daemon.config.secret_files import SecretFile
from was_daemon.model.errors import StoreUnavailable

_log = Logger()


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

    def host_key_types(self) -> list[bytes]:
        """Return the types of the server's keys in known_hosts."""
        return [] if self.fingerprint else [entry.keyType for entry in self._known()]

    def check_host_key(self, key: Key) -> None:
        """Raise `StoreUnavailable` unless `key` is the server's; log what the administrator has to do."""
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
        _log.error(
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
        """Return the private keys to try. Raises `StoreUnavailable`."""
        if self.identity_file is None:
            return []
        try:
            return [Key.fromString(self.identity_file.text())]
        except (OSError, UnicodeDecodeError, BadKeyError, EncryptedKeyError) as error:
            # conch's message about a bad key may quote the key.
            reason = error.strerror if isinstance(error, OSError) else "it is no private key, or has a passphrase"
            _log.error("the identity file {file} is no use: {reason}", file=str(self.identity_file), reason=reason)
            raise StoreUnavailable("the key for the login at the store cannot be read") from error
