"""Command and module path for further Python processes of this program."""

import os
import sys
from pathlib import Path


def command(bootstrap: str, *arguments: str) -> list[str]:
    """Return the command that runs the Python statements `bootstrap` with this process's interpreter."""
    return [sys.executable, "-P", "-B", "-c", bootstrap, *arguments]


def module_path() -> str:
    """Return a `PYTHONPATH` with which a process finds this process's modules, whatever its working directory."""
    return os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
