"""Memory that the C library keeps in a worker between jobs.

The limit of a worker's memory counts reserved address space, too (`RLIMIT_AS`). Whatever one job leaves reserved is
missing from the next one.
"""

import ctypes
from pathlib import Path
from resource import getpagesize

_M_ARENA_MAX = -8
"""Parameter of mallopt(3)."""

_MAX_FREE = 32 << 20
"""Bytes of free memory in the heap that are kept: finding and clearing them again takes longer than a photograph."""


class _Mallinfo(ctypes.Structure):
    """`struct mallinfo2` (mallinfo(3))."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


_libc = ctypes.CDLL(None)
_mallopt = getattr(_libc, "mallopt", None)
_malloc_trim = getattr(_libc, "malloc_trim", None)
_mallinfo = getattr(_libc, "mallinfo2", None)  # glibc 2.33
if _mallinfo:
    _mallinfo.restype = _Mallinfo


def bound_heap() -> None:
    """Have all threads share one heap. Does nothing with other C libraries.

    glibc reserves 64 MiB for each thread of a decoder, eight times for each processor, and keeps them.
    """
    if _mallopt:
        _mallopt(_M_ARENA_MAX, 1)


def trim_heap() -> None:
    """Give free memory back to the system when there is much of it, which takes up to 20 ms after large pictures."""
    if _malloc_trim and not (_mallinfo and _mallinfo().fordblks <= _MAX_FREE):
        _malloc_trim(0)


def address_space(process: int) -> int | None:
    """Return the size of the address space of a process in bytes, or None where the system does not tell."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[0]) * getpagesize()
    except (OSError, ValueError, IndexError):
        return None
