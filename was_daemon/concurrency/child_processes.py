"""Further Python processes of this program: their command line, their module path, and their end with their parent."""

import ctypes
import os
import signal
import sys
from pathlib import Path

PARENT = "WAS_PARENT"
"""Environment variable with the number of a process's parent."""

_PR_SET_PDEATHSIG = 1
"""Option of prctl(2)."""

_libc = ctypes.CDLL(None, use_errno=True)


def command(bootstrap: str, *arguments: str) -> list[str]:
    """Return the command that runs the Python statements `bootstrap` with this process's interpreter."""
    return [sys.executable, "-P", "-B", "-c", bootstrap, *arguments]


def module_path() -> str:
    """Return a `PYTHONPATH` with which a process finds this process's modules, whatever its working directory."""
    return os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)


def end_with_parent(parent: int | None = None) -> None:
    """Have the kernel kill this process when its parent ends, from now on; raise OSError.

    `parent` is the parent's process number: if that has ended before, this process ends at once.
    """
    if _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
