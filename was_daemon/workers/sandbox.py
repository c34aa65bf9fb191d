"""Sandbox of a worker process, entered before it reads a file of unknown origin.

The process keeps the open files that it receives, read access to Python and the image libraries, and processor time.
Nothing that runs in the process afterwards can undo any of this.
"""

import ctypes
import os
import resource
import struct
import sys
import sysconfig
from pathlib import Path

from was_daemon.concurrency.child_processes import end_with_parent
from was_daemon.workers import landlock, seccomp

_NICE = 10
_OPEN_FILES = 256
_SITES = ("site-packages", "dist-packages")
_SYSTEM = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/dev/urandom"),
    *("/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/zoneinfo", "/etc/localtime"),
)
"""Directories and files of the system that workers may read: libraries, fonts for PDF files, time zones."""

_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITIES_VERSION_3 = 0x20080522
_CAP_DAC_READ_SEARCH = 1 << 2
_libc = ctypes.CDLL(None, use_errno=True)

_CALLBACK = ctypes.CFUNCTYPE(None)(lambda: None)
"""First ctypes callback, which has libffi allocate a page that also holds the few callbacks of PDFium's reader.

Where memory must not be both writable and executable (`MemoryDenyWriteExecute=` of systemd, SELinux), libffi takes the
page from a file in memory, which a confined worker cannot create.
"""


def missing() -> list[str]:
    """Return what this machine lacks to confine workers, in words for an operator."""
    lacks = []
    if not landlock.version():
        lacks.append("Landlock, so workers can read what the daemon can read")
    if not seccomp.is_available():
        lacks.append("seccomp for this processor, so workers can use the network and start processes")
    return lacks


def confine(memory: int) -> None:
    """Confine this process to `memory` bytes of address space, its open files, and the program's own files.

    Call this while the process has one thread. Raises OSError when a mechanism that this machine has fails.
    """
    os.nice(_NICE)
    # RLIMIT_FSIZE: a worker writes no more than it holds in memory.
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        resource.setrlimit(limit, (value, value))
    end_with_parent()
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _drop_capabilities()
    if landlock.version():
        landlock.restrict(_program_files())
    if seccomp.is_available():
        seccomp.restrict()


def _drop_capabilities() -> None:
    """Drop the capabilities that a worker of root has.

    A command that root runs as the owner of a store hands on the one to read every file, without which its workers
    could not import what is installed below /root. It is kept if Landlock leaves nothing but the program to be read.
    """
    header, data = struct.pack("=Ii", _CAPABILITIES_VERSION_3, 0), ctypes.create_string_buffer(24)
    _check(_libc.capget(header, data))
    _, permitted, *_ = struct.unpack("=6I", data.raw)
    kept = permitted & _CAP_DAC_READ_SEARCH if os.geteuid() and landlock.version() else 0
    _check(_libc.capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0)))


def _program_files() -> list[Path]:
    """Return the directories of modules that are imported later, and of their libraries.

    Leaves out other entries of `sys.path`: the directory of a configuration may be among them.
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
