"""Tuning of glibc malloc."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3)."""

_KEPT = 32 << 20
_LARGEST_PIECE = 2 << 20
"""More than is read or received at once."""


def keep_freed_memory() -> None:
    """Have glibc keep freed memory for the next piece of a file, and use one arena. Other C libraries are left alone.

    By default glibc returns freed memory to the system, which then has to find and clear pages for the next piece: that
    can take longer than copying it. With this, up to 32 MiB at the end of a heap are kept.

    By default glibc makes up to eight arenas per processor, each of which keeps its peak, as the 2 MB of Python's table
    of interned strings, which grows in whatever thread makes a path. One arena slows no thread down: threads that
    allocate hold the GIL, and so do not compete in malloc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_PIECE)
        mallopt(_M_ARENA_MAX, 1)
