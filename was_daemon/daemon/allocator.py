"""What the C library does with memory that is freed."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3)."""

_KEPT = 32 << 20
_LARGEST_PIECE = 2 << 20
"""More than is read or received at once."""


def keep_freed_memory() -> None:
    """Use freed memory for the next piece of a file.

    glibc gives it back to the system, and the system has to find and clear pages for the next one, which can take
    longer than copying it. It keeps up to 32 MiB at the end of a heap. Other C libraries go on as they do.

    All threads share one heap. Of eight for each processor, every one would keep what it needed once, as the 2 MB of
    Python's table of names, which grows in whatever thread makes a path. Threads that hold Python's lock have nobody to
    wait for in malloc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_PIECE)
        mallopt(_M_ARENA_MAX, 1)
