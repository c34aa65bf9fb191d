"""Files that hold a key or a password: nobody else shall change them, and better not read them either."""

import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path, PosixPath


class SecretFile(PosixPath):
    """Path of a file that holds a secret. Permissions are checked when a configuration with the path is read."""

    def text(self) -> str:
        """Return the secret, without the line break at its end; raises OSError, or UnicodeDecodeError."""
        return self.expanduser().read_text("utf-8").rstrip("\r\n")


class SecretFiles:
    """The secret files that one version of a configuration names: what was read of them once is what they hold.

    `texts` are by path, and given where another process has read and checked the files: they may be others by now.
    """

    def __init__(self, texts: Mapping[str, str] | None = None) -> None:
        self.texts = dict(texts or {})
        self._were_checked = texts is not None

    def read(self, path: SecretFile) -> str:
        """Return the text of the file at `path`; raises what `SecretFile.text` does."""
        if str(path) not in self.texts:
            self.texts[str(path)] = path.text()
        return self.texts[str(path)]

    def check(self, path: Path) -> str | None:
        """See `check_permissions`."""
        return None if self._were_checked else check_permissions(path)


def check_permissions(path: Path) -> str | None:
    """Raise ValueError when others can change the file at `path`; what to warn of when they can read it, else None.

    The file's owner and this process's own group are not others. What is no regular file, or cannot be looked at, is
    left to whoever reads it.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    foreign_group = status.st_mode & stat.S_IWGRP and status.st_gid != os.getegid()
    if status.st_mode & stat.S_IWOTH or foreign_group:
        raise ValueError(f"{path} can be changed by others: run chmod go-w {shlex.quote(str(path))}")
    if status.st_mode & stat.S_IROTH:
        return f"{path} can be read by every user of this machine: run chmod o-r {shlex.quote(str(path))}"
    return None
