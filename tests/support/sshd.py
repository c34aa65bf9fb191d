"""SSH servers for tests: OpenSSH's, run by whoever runs the tests, and conch's, in this process."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from twisted.conch.avatar import ConchUser
from twisted.conch.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from twisted.conch.interfaces import IConchUser
from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.filetransfer import FileTransferServer
from twisted.conch.ssh.keys import FingerprintFormats, Key
from twisted.conch.ssh.session import SSHSession
from twisted.conch.unix import SFTPServerForUnixConchUser
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet import reactor
from zope.interface import implementer

from tests.support.needs import require
from tests.support.ports import free_port
from was_daemon.config.secret_files import SecretFile

SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin"
SFTP_SERVERS = [
    Path(directory, "sftp-server")
    for directory in ("/usr/lib/openssh", "/usr/libexec/openssh", "/usr/lib/ssh", "/usr/libexec")
]
USER = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


def make_key(path: Path, kind: str = "ed25519") -> Path:
    """A new key without passphrase; the public one is beside it."""
    require(shutil.which("ssh-keygen"), "OpenSSH's ssh-keygen")
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path], check=True)
    return path


def public(key: Path) -> str:
    return key.with_name(key.name + ".pub").read_text().strip()


class SSHD:
    """OpenSSH's server on a free port, with keys of its own.

    `directory` gets its files; `subsystem` is how it does SFTP; `settings` are further lines of its configuration.
    """

    def __init__(self, directory: Path, subsystem: str = "internal-sftp", settings: str = "") -> None:
        self.binary = shutil.which("sshd", path=SBIN)
        require(self.binary, "OpenSSH's sshd")
        if subsystem == "sftp-server":
            found = [path for path in SFTP_SERVERS if path.exists()]
            require(found, "OpenSSH's sftp-server")
            subsystem = str(found[0])
        self.directory = directory
        directory.mkdir()
        self.port = free_port()
        self.host_key = make_key(directory / "host_key")
        self.user_key = SecretFile(make_key(directory / "user_key"))
        self.authorized_keys = directory / "authorized_keys"
        self.authorized_keys.write_text(public(self.user_key) + "\n")
        self.known_hosts = directory / "known_hosts"
        self.trust(self.host_key)
        self.config = directory / "sshd_config"
        self.config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.host_key}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.authorized_keys}\nStrictModes no\nPermitRootLogin yes\nMaxStartups 100\n"
            f"PasswordAuthentication no\nSubsystem sftp {subsystem}\n{settings}\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def trust(self, key: Path) -> None:
        """Have known_hosts say that `key` is this server's."""
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public(key)}\n")

    def fingerprint(self) -> str:
        """What a config pins."""
        key = Key.fromFile(str(self.host_key))
        return "SHA256:" + key.fingerprint(FingerprintFormats.SHA256_BASE64).rstrip("=")

    def start(self) -> None:
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where a privileged sshd wants to lock itself in
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen([self.binary, "-D", "-e", "-f", self.config], stderr=log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as probe:
                if probe.recv(4) == b"SSH-":
                    return
            time.sleep(0.01)
        raise RuntimeError((self.directory / "log").read_text())

    def signal(self, number: int) -> None:
        """Send a signal to the server and all of its sessions."""
        assert self.process is not None
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        """Kill it in the middle of whatever it does."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


def descendants(pid: int) -> list[int]:
    """The processes started by `pid`, and by these."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The second field, the name, is in parentheses and may contain anything.
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for parent in found:
        found += [child for child, its_parent in parents.items() if its_parent == parent]
    return found[1:]


class Files(SFTPServerForUnixConchUser):
    """What conch's server shows of the disk, with names that are not all ASCII."""

    sessions: ClassVar[list[FileTransferServer]] = []
    """The sessions since the server was started, for tests that look at what is open."""

    def _absPath(self, path: bytes) -> str:
        return str(self.avatar.home / os.fsdecode(path))


class Avatar(ConchUser):
    """A user of conch's server, whose home is `home`; files belong to whoever runs the tests."""

    sftp_server: type[Files] = Files

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.home = home
        self.channelLookup[b"session"] = SSHSession
        self.subsystemLookup[b"sftp"] = self.start_session

    def start_session(self, data: object, avatar: "Avatar") -> FileTransferServer:
        Files.sessions.append(FileTransferServer(data, self.sftp_server(self)))
        return Files.sessions[-1]

    def getUserGroupId(self) -> tuple[int, int]:
        return os.getuid(), os.getgid()

    def _runAsUser(self, function, *args, **kwargs):
        if callable(function):
            return function(*args, **kwargs)
        result = None
        for one, *rest in function:
            result = one(*(rest[0] if rest else ()), **(rest[1] if len(rest) > 1 else {}))
        return result


@implementer(IRealm)
class Realm:
    def __init__(self, home: Path, avatar: type[Avatar]) -> None:
        self.home = home
        self.avatar = avatar

    def requestAvatar(self, name, mind, *interfaces):
        return IConchUser, self.avatar(self.home), lambda: None


class ConchServer:
    """conch's SFTP server on a free port; the user is "conch" with the password "secret", or the user's key."""

    def __init__(self, directory: Path, home: Path, avatar: type[Avatar] = Avatar) -> None:
        directory.mkdir()
        self.host_key = make_key(directory / "host_key")
        self.user_key = SecretFile(make_key(directory / "user_key"))
        host_key = Key.fromFile(str(self.host_key))
        factory = SSHFactory()
        factory.publicKeys = factory.privateKeys = {host_key.sshType(): host_key}
        keys = InMemorySSHKeyDB({b"conch": [Key.fromFile(str(self.user_key)).public()]})
        passwords = InMemoryUsernamePasswordDatabaseDontUse(conch=b"secret")
        factory.portal = Portal(Realm(home, avatar), [passwords, SSHPublicKeyChecker(keys)])
        self.protocols = []
        factory.buildProtocol = self._remember(factory.buildProtocol)
        self.factory = factory
        self.port = free_port()
        self.listener = None
        self.known_hosts = directory / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public(self.host_key)}\n")

    def _remember(self, build):
        def remembering(address):
            self.protocols.append(build(address))
            return self.protocols[-1]

        return remembering

    def start(self) -> None:
        Files.sessions.clear()
        self.listener = reactor.listenTCP(self.port, self.factory, interface="127.0.0.1")

    async def stop(self) -> None:
        if self.listener is not None:
            listener, self.listener = self.listener, None
            await listener.stopListening()
        for protocol in self.protocols:
            protocol.transport.abortConnection()
        self.protocols.clear()
