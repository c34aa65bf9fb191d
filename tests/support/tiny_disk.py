"""A small disk that tests fill."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.needs import lacking


@contextmanager
def tiny_disk(at: Path) -> Iterator[None]:
    """One mebibyte at `at`; needs root."""
    at.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tiny", str(at)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        lacking("a file system can be mounted by root only")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def fill(directory: Path) -> Path:
    """Fill the disk of a directory; return the file that does."""
    file = directory / "filler"
    with suppress(OSError), file.open("wb", buffering=0) as writing:
        while True:
            writing.write(bytes(4096))
    return file
