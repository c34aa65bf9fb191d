"""Memory that the C library keeps in a worker between jobs.

The limit of a worker's memory counts reserved address space, too (`RLIMIT_AS`). Whatever one job leaves reserved is
missing from the next one.
"""

import ctypes
from pathlib import Path
from resource import getpagesize

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
"""Parameters of mallopt(3)."""

_MAPPED = 1 << 20
"""Size from which a piece of memory goes back to the system when it is freed."""

_libc = ctypes.CDLL(None)


def bound_heap() -> None:
    """Have all threads share one heap, and large pieces go back to the system. Does nothing with other C libraries.

    glibc reserves 64 MiB for each thread of a decoder, eight times for each processor, and keeps them. It also raises
    the size of a piece that it maps to that of the largest one freed so far, up to 32 MiB.
    """
    mallopt = getattr(_libc, "mallopt", None)
    if mallopt:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _MAPPED)


def trim_heap() -> None:
    """Give free memory back to the system: 0.1 ms after a photograph, up to 20 ms after the largest pictures."""
    malloc_trim = getattr(_libc, "malloc_trim", None)
    if malloc_trim:
        malloc_trim(0)


def address_space(process: int) -> int | None:
    """Return the size of the address space of a process in bytes, or None where the system does not tell."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[0]) * getpagesize()
    except (OSError, ValueError, IndexError):
        return None
