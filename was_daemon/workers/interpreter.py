"""Starting another process of this program."""

import os
import sys
from pathlib import Path


def command(bootstrap: str, *arguments: str) -> list[str]:
    """What runs the Python statements `bootstrap` with the interpreter of this process."""
    return [sys.executable, "-P", "-B", "-c", bootstrap, *arguments]


def module_path() -> str:
    """`PYTHONPATH` for a process that is to find the modules that this one finds, wherever it starts."""
    return os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
