"""The library libvips, as all modules here load it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

# Read when the library is loaded. The pool has a worker for each processor, but one picture is decoded by one thread:
# with a second one, which writes tiles meanwhile, the pyramid of a photograph takes a tenth less.
os.environ.setdefault("VIPS_CONCURRENCY", "2")

import pyvips as pyvips  # other modules take it from here, with the variable set

pyvips.cache_set_max(0)  # the cache would answer for a path with the picture of an earlier file


@contextmanager
def builtin_errors() -> Iterator[None]:
    """Raise MemoryError or OSError for an error of libvips."""
    try:
        yield
    except pyvips.Error as error:
        raise to_builtin_error(error) from None


def to_builtin_error(error: pyvips.Error) -> Exception:
    """Return MemoryError or OSError for an error of libvips, without its text, which names files and functions.

    The cause is in `error.detail`; `error.message` always says "unable to write to memory".
    """
    return MemoryError() if "memory" in error.detail.lower() else OSError("libvips cannot read it")
