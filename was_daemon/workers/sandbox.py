"""What a worker gives up before it looks at a file that anybody may have made.

It keeps the files it is handed, what Python and the image libraries lie in, and its processor time. Every step also
binds what the process may turn into.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
import sysconfig
from pathlib import Path

from was_daemon.workers import landlock, seccomp

_NICE = 10
_OPEN_FILES = 256
_SITES = ("site-packages", "dist-packages")
_SYSTEM = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/dev/urandom"),
    *("/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/zoneinfo", "/etc/localtime"),
)
"""Libraries, the fonts that a PDF names but does not hold, and what is needed to tell the time."""

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CAPABILITIES_VERSION_3 = 0x20080522
_libc = ctypes.CDLL(None, use_errno=True)

_CALLBACK = ctypes.CFUNCTYPE(None)(lambda: None)
"""A first callback, of whose memory there is enough for the few by which PDFium reads a file.

Where no memory may be written and executed (`MemoryDenyWriteExecute=` of systemd, SELinux), libffi takes it from a file
in memory, and workers can make none.
"""


def missing() -> list[str]:
    """What this machine lacks to confine workers, in words for an operator."""
    lacks = []
    if not landlock.version():
        lacks.append("Landlock, so workers can read what the daemon can read")
    if not seccomp.is_available():
        lacks.append("seccomp for this processor, so workers can use the network and start processes")
    return lacks


def confine(memory: int) -> None:
    """Keep this process to `memory` bytes of address space, the files it has open, and the program's own files.

    To be called while there is one thread; raises OSError when something that this machine has does not work.
    """
    os.nice(_NICE)
    # A worker cannot write more than it can hold.
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        resource.setrlimit(limit, (value, value))
    end_with_parent()
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    # Even root's worker can do no more than any process of its user.
    _check(_libc.capset(struct.pack("=Ii", _CAPABILITIES_VERSION_3, 0), bytes(24)))
    if landlock.version():
        landlock.restrict(_program_files())
    if seccomp.is_available():
        seccomp.restrict()


def end_with_parent() -> None:
    """Have the kernel kill this process as soon as the one that started it ends, from now on."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def _program_files() -> list[Path]:
    """Where modules are that have not been imported yet, and what they need.

    Not all of `sys.path`: the directory of a configuration may be in it.
    """
    ours = Path(__file__).parent.parent
    standard = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    sites = [Path(entry) for entry in sys.path if Path(entry).name in _SITES]
    libraries = [Path(prefix) / "lib" for prefix in (sys.prefix, sys.base_prefix)]
    return [ours, *standard, *sites, *libraries, *map(Path, _SYSTEM)]


def _check(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
