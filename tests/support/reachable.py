"""Directories that every user of the machine can reach, unlike those of pytest."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def reachable_directory() -> Iterator[Path]:
    """An empty directory, removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="was-test-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
