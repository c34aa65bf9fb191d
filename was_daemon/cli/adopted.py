"""What an existing directory of attachments tells about the server that made it."""

import os
from itertools import islice
from pathlib import Path

import attrs

_LOOKED_AT = 100
"""Entries of `originals` that are looked at: there may be a million."""

_SHARD = 2


@attrs.frozen
class Adopted:
    """A directory as it was found.

    `directories` are those of collections in it; `is_single` says that assets lie in it directly, `is_sharded` that
    they lie in subdirectories named after the beginnings of their names.
    """

    is_single: bool
    directories: list[str]
    is_sharded: bool

    @property
    def mode(self) -> str:
        """The mode of collections that fits."""
        return "map" if self.directories and not self.is_single else "single"


def look_at(path: Path) -> Adopted:
    """Look at a directory, which may not exist yet; raises OSError."""
    if not path.is_dir():
        return Adopted(False, [], False)
    directories = sorted(child.name for child in path.iterdir() if (child / "originals").is_dir())
    is_single = (path / "originals").is_dir()
    homes = [path, *(path / name for name in directories)]
    return Adopted(is_single, directories, any(map(_is_sharded, homes)))


def _is_sharded(home: Path) -> bool:
    if not (home / "originals").is_dir():
        return False
    # Not iterdir, which reads all names first.
    with os.scandir(home / "originals") as found:
        entries = [entry for entry in islice(found, _LOOKED_AT) if not entry.name.startswith(".")]
    return bool(entries) and all(len(entry.name) == _SHARD and entry.is_dir() for entry in entries)
