"""OpenSSH's server for tests, run by whoever runs the tests."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import asyncssh

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
        return asyncssh.read_private_key(self.host_key).get_fingerprint()

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
