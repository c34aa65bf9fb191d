"""The system's user as whom the daemon runs, and what it may do with a path."""

import grp
import os
import pwd
import re
import shlex
import stat
from pathlib import Path

import attrs

from was_daemon.health.directories import may_use

_EVERYBODYS = re.compile("/|/(etc|home|media|mnt|opt|root|run|srv|tmp|usr|usr/local|var|var/(cache|lib|log|tmp|www))")
"""Directories of the system, whose owner is never to be changed."""


@attrs.frozen
class Account:
    """User of the system, with the groups it is in."""

    uid: int
    gid: int
    groups: frozenset[int]

    @classmethod
    def current(cls) -> "Account":
        """Return the user of this process."""
        return cls(os.geteuid(), os.getegid(), frozenset({os.getegid(), *os.getgroups()}))

    def __str__(self) -> str:
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"#{self.uid}"

    @property
    def owner(self) -> str:
        """User and group as `chown` takes them."""
        try:
            group = grp.getgrgid(self.gid).gr_name
        except KeyError:
            group = str(self.gid)
        return f"{str(self).removeprefix('#')}:{group}"


@attrs.frozen
class Obstacle:
    """Reason why a user cannot use a path, and the command that mends it."""

    message: str
    remedy: str


def obstacle(
    account: Account, path: Path, mode: int, may_be_missing: bool = False, is_whole: bool = False
) -> Obstacle | None:
    """Return what keeps this process's user from using `path`, None if nothing does; blocks.

    `mode` is of `os.R_OK`, `os.W_OK` and `os.X_OK`. A path that may be missing is made where its parent may be written
    to. With `is_whole`, all that is in the directory should be the user's. The kernel is asked, so that lists of access
    (ACL) count.
    """
    real = Path(os.path.realpath(path))
    for parent in reversed(real.parents):
        if not may_use(parent, os.F_OK):
            break
        if not parent.is_dir():
            return Obstacle(
                f"{parent} is no directory, and {real} is to be in it", f"ls -ld {shlex.quote(str(parent))}"
            )
        if not may_use(parent, os.X_OK):
            return Obstacle(
                f"{account} may not enter {parent}, on the way to {real}",
                _mend(account, parent, os.X_OK, is_whole=False),
            )
    if not may_use(real, os.F_OK):
        return _missing(account, real, mode, may_be_missing)
    if may_use(real, mode):
        return None
    return Obstacle(f"{account} may not {_verbs(mode)} {real}", _mend(account, real, mode, is_whole))


def _missing(account: Account, path: Path, mode: int, may_be_missing: bool) -> Obstacle | None:
    parent = next(each for each in path.parents if may_use(each, os.F_OK))
    if not mode & os.X_OK:
        # A file: if it may be missing, its directory is another need.
        return None if may_be_missing else Obstacle(f"{path} does not exist", f"ls -l {shlex.quote(str(parent))}")
    quoted = shlex.quote(str(path))
    user, _, group = account.owner.partition(":")
    make = f"install -d -o {user} -g {group} {quoted}"
    if not may_be_missing:
        return Obstacle(f"{path} does not exist", make)
    if may_use(parent, os.W_OK | os.X_OK):
        return None
    return Obstacle(f"{path} does not exist, and {account} may not make it in {parent}", make)


def _verbs(mode: int) -> str:
    verbs = [verb for bit, verb in ((os.R_OK, "read"), (os.W_OK, "write to"), (os.X_OK, "enter")) if mode & bit]
    return " and ".join(verbs[-2:]) if len(verbs) < 3 else "read and write to"


def _mend(account: Account, path: Path, mode: int, is_whole: bool) -> str:
    """Return the command by which root gives the user these rights."""
    quoted, status = shlex.quote(str(path)), path.stat()
    is_directory, is_written = stat.S_ISDIR(status.st_mode), bool(mode & os.W_OK)
    bits = "".join(letter for bit, letter in ((os.R_OK, "r"), (os.W_OK, "w"), (os.X_OK, "x")) if mode & bit)
    if status.st_uid == account.uid:
        return f"chmod u+{bits} {quoted}"
    if is_written and is_directory and _EVERYBODYS.fullmatch(str(path)):
        return f"{path} is not the daemon's alone: choose a directory of its own in it, made by install -d -o {account}"
    if is_written:
        return f"chown {'-R ' if is_whole else ''}{account.owner} {quoted}"
    if status.st_gid in account.groups:
        return f"chmod g+{bits} {quoted}"
    if is_directory:
        return f"chmod o+{bits} {quoted}"
    # Files with secrets are not for everybody.
    return f"chgrp {account.owner.partition(':')[2]} {quoted} && chmod g+{bits} {quoted}"
