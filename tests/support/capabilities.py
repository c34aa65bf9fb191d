"""Root without its right to use files of others, so that directories can be closed to the tests."""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_VERSION_3 = 0x20080522
_OF_FILES = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, see capabilities(7)."""


@contextmanager
def without_rights_to_files() -> Iterator[None]:
    """Have this thread, if it is root's, obey the permissions of files."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = struct.pack("=Ii", _VERSION_3, 0), ctypes.create_string_buffer(24)
    libc.capget(header, data)
    before = data.raw
    effective, *others = struct.unpack("=6I", before)
    libc.capset(header, struct.pack("=6I", effective & ~_OF_FILES, *others))
    try:
        yield
    finally:
        libc.capset(header, before)


@contextmanager
def in_closed_directory(directory: Path) -> Iterator[None]:
    """Be in a directory that this process may neither read nor enter."""
    before = Path.cwd()
    directory.mkdir()
    os.chdir(directory)
    directory.chmod(0)
    try:
        with without_rights_to_files():
            yield
    finally:
        os.chdir(before)
        directory.chmod(0o700)
