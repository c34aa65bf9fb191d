"""TCP ports that are listened on, and by whom; see proc_net(5) and proc_pid_fd(5)."""

import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs

_PROC = Path("/proc")
_LISTENING = "0A"
_SOCKET = re.compile(r"socket:\[([0-9]+)\]")
_OURS = re.compile(r"(?:^|[ /])(?:twistd\S* .*\bwas\b|was-daemon\S* .*\bserve\b|was_daemon\.daemon\.)")
_MOST = 500


def is_daemon(program: str) -> bool:
    """Return whether a command line is one of this daemon."""
    return bool(_OURS.search(program))


@attrs.frozen
class Listener:
    """A socket that listens on `port` of `address`; `pid` is 0 where it may not be seen whose it is."""

    port: int
    address: str
    inode: int
    pid: int = 0
    program: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether the program is this daemon, or systemd, which listens for others."""
        return is_daemon(self.program) or self.pid == 1

    @property
    def is_everywhere(self) -> bool:
        """Whether it listens on all addresses."""
        return self.address in ("0.0.0.0", "::")  # noqa: S104  # compared with


def parse_listeners(text: str) -> Iterator[Listener]:
    """Yield what listens, from the form of /proc/net/tcp or /proc/net/tcp6."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTENING:
            address, _, port = fields[1].partition(":")
            yield Listener(int(port, 16), _address(address), int(fields[9]))


def _address(digits: str) -> str:
    """Return an address that the kernel prints in words of its own byte order."""
    packed = bytes.fromhex(digits)
    words = [packed[at : at + 4][:: -1 if sys.byteorder == "little" else 1] for at in range(0, len(packed), 4)]
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, b"".join(words))


def listeners() -> list[Listener]:
    """Return what listens on this machine, with the processes as far as this user may see them."""
    found: list[Listener] = []
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            found += parse_listeners((_PROC / "net" / name).read_text("ascii"))
    owners = _owners({each.inode for each in found})
    return [attrs.evolve(each, pid=pid, program=_program(pid)) for each in found for pid in [owners.get(each.inode, 0)]]


def _owners(inodes: set[int]) -> dict[int, int]:
    """Return a process of each of these sockets: not systemd if another one has it, too."""
    found: dict[int, int] = {}
    for process in sorted(_PROC.glob("[0-9]*"), key=lambda path: int(path.name)):
        with suppress(OSError):
            for entry in os.scandir(process / "fd"):
                with suppress(OSError):
                    match = _SOCKET.fullmatch(os.readlink(entry.path))  # noqa: PTH115  # which keeps the text as it is
                    if match and int(match[1]) in inodes:
                        found[int(match[1])] = int(process.name)
    return found


def _program(pid: int) -> str:
    with suppress(OSError):
        if pid:
            words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
            return b" ".join(words).decode("utf-8", "replace").strip()[:_MOST]
    return ""
