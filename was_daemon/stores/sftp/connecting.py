"""The way to an SFTP session: connection, the server's key, login, subsystem. Runs in the event loop."""

import asyncio
import warnings
from typing import Any

import asyncssh
from asyncssh.constants import MSG_IGNORE
from twisted.logger import Logger

from was_daemon.model.errors import AssetError, StoreTimeout, StoreUnavailable
from was_daemon.stores.sftp.line import Line
from was_daemon.stores.sftp.login import HostKeys, LoginClient, SSHLogin
from was_daemon.stores.sftp.session import NEVER_THERE, SFTPSession

_log = Logger()

# Some servers have no other key exchange, and whoever starts a command here cannot change that. It is offered after
# all others; should the library drop it, the log lists the algorithms of both sides.
warnings.filterwarnings("ignore", "Diffie-Hellman over finite fields", module=r"asyncssh\.crypto\.dh")

_WINDOW = 4 << 20
"""Bytes that the server may send before it must wait; asyncssh's 2 MiB are 100 MB/s when an answer takes 20 ms."""

_MAX_PACKET = 128 << 10

_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
"""Ciphers to try before all others that asyncssh has: processors compute AES, and not ChaCha20."""


async def open_session(login: SSHLogin, patience: float) -> SFTPSession:
    """Connect, log in, and start SFTP; return the session.

    Raises `StoreTimeout` when that takes longer than `patience` seconds, and `StoreUnavailable` when the server cannot
    be reached, is not who it should be, or refuses; the log has the details.
    """
    try:
        async with asyncio.timeout(patience):
            # A large known_hosts takes a while.
            keys = await asyncio.to_thread(login.host_keys)
            client, connection = await _connect_by_any_key(login, keys)
            try:
                _send_no_ignored_packets(connection)
                sftp = await connection.start_sftp_client()
                can_replace = await _announces_replacement(sftp)
            except BaseException:
                connection.abort()
                raise
    except TimeoutError:
        _log.warn("{host} did not answer in time", host=login.known_as)
        raise StoreTimeout("the store did not answer in time") from None
    except (OSError, asyncssh.Error) as error:
        raise _problem(login, error) from None
    return SFTPSession(connection, client, sftp, can_replace, patience, login.known_as)


async def _connect_by_any_key(login: SSHLogin, keys: HostKeys) -> tuple[LoginClient, asyncssh.SSHClientConnection]:
    """Connect; as long as a key is pinned and the server shows another one, ask for other types of keys.

    Raises `StoreUnavailable` when none of its keys is the right one.
    """
    algorithms, refused = keys.algorithms(), None
    while algorithms:
        client = LoginClient(login, keys)
        try:
            return client, await _connect(login, keys, client, algorithms)
        except asyncssh.HostKeyNotVerifiable:
            if client.shown is None:
                raise
            refused = client
            types = [name.decode() for name in client.shown.sig_algorithms]
            algorithms = [name for name in algorithms if name not in types] if login.fingerprint else []
        except (OSError, asyncssh.Error):
            # A server without a key of the other types ends the connection.
            if refused is None:
                raise
            break
    assert refused is not None  # noqa: S101  # there is always an algorithm to begin with
    refused.log_refusal()
    raise StoreUnavailable(f"the host key of the store {refused.refused}")


async def _connect(
    login: SSHLogin, keys: HostKeys, client: LoginClient, algorithms: list[str]
) -> asyncssh.SSHClientConnection:
    line = Line()
    try:
        async with login.agent_keys() as agent_keys:
            return await asyncssh.connect(
                login.host,
                login.port,
                config=None,
                tunnel=line,
                client_factory=lambda: client,
                username=login.user,
                password=login.password,
                client_keys=[*await asyncio.to_thread(login.client_keys), *agent_keys] or None,
                agent_path=None,
                known_hosts=(keys.trusted, keys.authorities, keys.revoked),
                server_host_key_algs=algorithms,
                x509_trusted_certs=None,
                gss_host=None,
                login_timeout=0,
                encryption_algs=_CIPHERS,
                # Whatever a server says, an error of its text is none of ours.
                utf8_decode_errors="replace",
                window=_WINDOW,
                max_pktsize=_MAX_PACKET,
            )
    except (OSError, asyncssh.Error) as error:
        # A server that finds nothing it knows may end the connection before asyncssh has looked at its lists.
        if problem := line.disagreement():
            raise asyncssh.KeyExchangeFailed(problem) from error
        raise


def _send_no_ignored_packets(connection: asyncssh.SSHClientConnection) -> None:
    """Keep asyncssh from sending an empty packet before each, which doubles the work for small ones and for uploads.

    They are against an attack on CBC (RFC 4251, section 9.3.1), and no such cipher is offered here.
    """
    send = connection.send_packet

    def send_packet(kind: int, *parts: bytes, handler: Any = None) -> None:
        if kind != MSG_IGNORE:
            send(kind, *parts, handler=handler)

    connection.send_packet = send_packet  # type: ignore[method-assign, assignment] # asyncssh has no setting for it


async def _announces_replacement(sftp: asyncssh.SFTPClient) -> bool:
    """Return whether the server announces `posix-rename@openssh.com`; asyncssh asks no other."""
    try:
        await sftp.posix_rename(NEVER_THERE, NEVER_THERE)
    except asyncssh.SFTPOpUnsupported:
        return False
    except (asyncssh.SFTPNoConnection, asyncssh.SFTPConnectionLost):
        raise
    except asyncssh.SFTPError:
        return True
    return True


def _problem(login: SSHLogin, error: Exception) -> AssetError:
    """Return the store's error for what went wrong, after the log was told what the administrator should know."""
    host = login.known_as
    match error:
        case asyncssh.HostKeyNotVerifiable():
            _log.error("the key of the SSH server {host} is refused: {error}", host=host, error=error)
            what = "is revoked" if "revoked" in str(error) else "cannot be verified"
            return StoreUnavailable(f"the host key of the store {what}")
        case asyncssh.KeyExchangeFailed():
            _log.error("no connection to the SSH server {host} can be agreed on: {error}", host=host, error=error)
            return StoreUnavailable("no SSH connection to the store could be agreed on", str(error))
        case asyncssh.PermissionDenied():
            _log.error("the SSH server {host} refused the login of {user}", host=host, user=login.user)
            return StoreUnavailable("the store refused the login")
        case asyncssh.ChannelOpenError() | asyncssh.SFTPError():
            _log.error("the SSH server {host} does not start SFTP: {error}", host=host, error=error)
            return StoreUnavailable("the store does not offer what is needed", str(error))
        case asyncssh.DisconnectError():
            _log.warn("the SSH server {host} ends the connection: {error}", host=host, error=error)
            return StoreUnavailable("no SSH connection to the store could be agreed on", str(error))
    _log.warn("the SSH server {host} cannot be reached: {error}", host=host, error=error)
    return StoreUnavailable("the store cannot be reached", str(error))
