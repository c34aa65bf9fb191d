"""What the C library does with memory that is freed."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""

_KEPT = 32 << 20
_LARGEST_PIECE = 2 << 20
"""More than is read or received at once."""


def keep_freed_memory() -> None:
    """Use freed memory for the next piece of a file.

    glibc gives it back to the system, and the system has to find and clear pages for the next one, which can take
    longer than copying it. It keeps up to 32 MiB at the end of a heap. Other C libraries go on as they do.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_PIECE)
