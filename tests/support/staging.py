"""Staging files as tests need them: put in place under a path, and left behind as a killed daemon leaves them."""

import os
from pathlib import Path

from was_daemon.model.interfaces import IStagingFile
from was_daemon.stores.local.directories import opened_directory


def publish(staged: IStagingFile, target: Path) -> os.stat_result:
    """Make a staging file the one at `target`, whose directory is made when it is missing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened_directory(target.parent) as directory:
        return staged.publish(directory, target.name)


def stale_name(number: int = 0) -> str:
    """Return a name that a daemon gives its staging files."""
    return f"was-{number:032x}.part"


def leave_stale(base: Path, number: int = 0, content: bytes = b"half a photograph") -> Path:
    """Put what a killed daemon leaves into the staging directory of `base`; return its path."""
    path = base / ".staging" / stale_name(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
