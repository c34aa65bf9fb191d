"""Landlock: restriction of a process to reading the files below given directories.

Source: Linux, `Documentation/userspace-api/landlock.rst`.
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Numbers of the system calls, the same on every architecture."""

_VERSION = 1 << 0
_PATH_BENEATH = 1
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3

_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""Number of access rights for files, each a bit from execution (bit 0) on, by the version that introduced them."""

_TCP = 0b11
_TCP_SINCE = 4
_SCOPES = 0b11
"""Bits for abstract Unix sockets and signals."""
_SCOPES_SINCE = 6

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """Return the version of the kernel's Landlock interface; 0 when Landlock is missing or switched off."""
    with suppress(OSError):
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    return 0


def restrict(readable: Iterable[Path]) -> None:
    """Restrict this thread, and its later threads and children, to opening files below `readable` for reading.

    Files that are open stay open. TCP, signals to other processes and abstract Unix sockets are denied where the
    kernel's version supports that. Needs `version() > 0` and `no_new_privs`; raises OSError.
    """
    abi = version()
    files = (1 << max(bits for since, bits in _FILE_RIGHTS.items() if since <= abi)) - 1
    rights = struct.pack("=QQQ", files, _TCP if abi >= _TCP_SINCE else 0, _SCOPES if abi >= _SCOPES_SINCE else 0)
    size = 8 if abi < _TCP_SINCE else 16 if abi < _SCOPES_SINCE else 24
    ruleset = _call(_CREATE_RULESET, rights, ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for path in readable:
            _allow(ruleset, path)
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        access = _READ_FILE | _READ_DIRECTORY if path.is_dir() else _READ_FILE
        rule = struct.pack("=Qi", access, place)
        _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(place)


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
