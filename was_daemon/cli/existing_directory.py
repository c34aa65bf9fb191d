"""Inspection of an existing directory of attachments, which another asset server may have made."""

import os
from itertools import islice
from pathlib import Path

import attrs

_SAMPLE_SIZE = 100
"""Number of entries of `originals` that are inspected: there may be a million."""

_SHARD_LENGTH = 2
"""Characters of the name of a subdirectory in the sharded layout."""


@attrs.frozen
class ExistingDirectory:
    """Layout of an existing directory.

    `directories` are the names of collections' directories in it. `is_single` is True when assets lie in it directly,
    `is_sharded` when they lie in subdirectories named after the beginnings of their names.
    """

    is_single: bool
    directories: list[str]
    is_sharded: bool

    @property
    def mode(self) -> str:
        """Value of `collections.mode` that fits the directory."""
        return "map" if self.directories and not self.is_single else "single"


def inspect_directory(path: Path) -> ExistingDirectory:
    """Return the layout of the directory at `path`, which may not exist yet; raise OSError."""
    if not path.is_dir():
        return ExistingDirectory(False, [], False)
    directories = sorted(child.name for child in path.iterdir() if (child / "originals").is_dir())
    is_single = (path / "originals").is_dir()
    is_sharded = any(map(_is_sharded, [path, *(path / name for name in directories)]))
    return ExistingDirectory(is_single, directories, is_sharded)


def _is_sharded(directory: Path) -> bool:
    if not (directory / "originals").is_dir():
        return False
    # Not iterdir, which reads all names first.
    with os.scandir(directory / "originals") as found:
        entries = [entry for entry in islice(found, _SAMPLE_SIZE) if not entry.name.startswith(".")]
    return bool(entries) and all(len(entry.name) == _SHARD_LENGTH and entry.is_dir() for entry in entries)
