"""Files that hold a key or a password: reading and writing them, and checks of their permissions."""

import os
import shlex
import stat
from pathlib import Path, PosixPath

_KEY_BYTES = 24


class SecretFile(PosixPath):
    """Path of a file that holds a secret. Permissions are checked when a configuration with the path is read."""

    def text(self) -> str:
        """Return the secret, without the line break at its end; raises OSError, or UnicodeDecodeError.

        A byte order mark, as Windows' editors write one, is no part of it.
        """
        return self.expanduser().read_text("utf-8-sig").rstrip("\r\n")


class HashFile(SecretFile):
    """Path of a file with the hash of a password. Of a missing one another warning tells, with the command for it."""


def may_be_changed_by_others(status: os.stat_result, gid: int) -> bool:
    """Return whether others than a file's owner and group `gid` may change it."""
    foreign_group = status.st_mode & stat.S_IWGRP and status.st_gid != gid
    return bool(status.st_mode & stat.S_IWOTH or foreign_group)


def check_permissions(path: Path) -> str | None:
    """Return a warning when others can read the file at `path`, or when there is none, else None.

    That there is no `HashFile` is not warned of here.

    Raises ValueError when others can change it: these are all but the file's owner and this process's group. Anything
    else but a regular file passes: reading it fails later.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return None if isinstance(path, HashFile) else f"{path}: there is no such file"
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    if may_be_changed_by_others(status, os.getegid()):
        raise ValueError(f"{path} can be changed by others: run chmod go-w {shlex.quote(str(path))}")
    if status.st_mode & stat.S_IROTH:
        return f"{path} can be read by every user of this machine: run chmod o-r {shlex.quote(str(path))}"
    return None
