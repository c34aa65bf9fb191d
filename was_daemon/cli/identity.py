"""The user as whom a command works: called by root, it works as the user to whom the files belong.

The daemon could not use what root makes in its directories.
"""

import ctypes
import os
import pwd
import shlex
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from was_daemon.config.settings import Settings
    from was_daemon.daemon.ownership import Owner

_PRESENCE = ".daemons"
"""Directory that a running daemon makes in a store: it tells the daemon's user if the store's directory is root's."""

_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_CAPABILITIES_VERSION_3 = 0x20080522
_CAP_DAC_READ_SEARCH = 2


def as_owner(settings: "Settings", stores: Iterable[str], others: Sequence[Path] = ()) -> "Settings":
    """Have a command that root has called go on as the owner of the `stores` and of the `others` that it writes to.

    Returns the settings with that user's spool. Raises `ClickException` if there are several owners. If the files are
    root's or do not exist, the owner of the remaining stores and of the spool counts; without one the command stays
    root's. The process can still read every file, such as keys that only root can read.
    """
    if os.geteuid() != 0:
        return settings
    found = _owners(settings, stores, others)
    if len(found) > 1:
        whose = ", and ".join(f"{each.path} belongs to {each}" for each in found)
        raise click.ClickException(
            f"{whose}. Only one of them can be the daemon's user, who could not use what root makes. Give all to that "
            f"user, or, if that user can read the key, run the command so: runuser -u {found[0]} -- was-daemon ..."
        )
    return become(found[0], settings) if found else settings


def as_any_owner(settings: "Settings") -> "Settings":
    """Do as `as_owner` for a command that looks at all stores and writes nothing; of several owners, be root."""
    if os.geteuid() != 0:
        return settings
    found = owners_of(settings)
    return become(found[0], settings) if len(found) == 1 else settings


def owners_of(settings: "Settings") -> "list[Owner]":
    """Return the users other than root to whom the stores belong, or else the spool."""
    return _owners(settings, settings.stores, ())


def require_writable(settings: "Settings", stores: Iterable[str], others: Sequence[Path] = ()) -> None:
    """Raise `ClickException`, with what to type, unless this process can write to the `stores` and the `others`.

    Root may have called the command, and does not expect to be refused anything.
    """
    from was_daemon.daemon.ownership import store_directories

    user = str(os.geteuid())
    with suppress(KeyError):
        user = pwd.getpwuid(os.geteuid()).pw_name
    for path in (*store_directories(settings, stores), *others):
        existing = next(each for each in (path, *path.parents) if each.exists())
        if existing.is_dir() and not os.access(existing, os.W_OK | os.X_OK):
            command = ["chown", "-R"] if existing == path else ["install", "-d", "-o"]
            raise click.ClickException(
                f"This command works as {user}, as the daemon does, and {user} cannot write to {existing}. "
                f"As root, type: {shlex.join([*command, user, str(path)])}"
            )


def _owners(settings: "Settings", stores: Iterable[str], others: Sequence[Path]) -> "list[Owner]":
    from was_daemon.daemon.ownership import owners, store_directories

    def traced(names: Iterable[str]) -> list[Path]:
        return [path for root in store_directories(settings, names) for path in (root, root / _PRESENCE)]

    return owners([*traced(stores), *others]) or owners([*traced(settings.stores), settings.spool.path])


def become(owner: "Owner", settings: "Settings") -> "Settings":
    """Go on as `owner`, see `go_on_as`; return the settings of that user."""
    from was_daemon.daemon.ownership import with_spool_of

    settings = with_spool_of(owner.uid, settings)
    go_on_as(owner)
    return settings


def go_on_as(owner: "Owner", groups: Sequence[int] = ()) -> None:
    """Go on as `owner`, in the groups of that user and in `groups`, and with the right to read every file.

    Only threads that are started later have the right, so no other may run yet.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    try:
        user = pwd.getpwuid(owner.uid)
    except KeyError:
        os.setgroups([])
    else:
        os.initgroups(user.pw_name, owner.gid)
        os.environ["HOME"] = user.pw_dir
    os.setgroups([*os.getgroups(), *groups])
    os.setresgid(owner.gid, owner.gid, owner.gid)
    os.setresuid(owner.uid, owner.uid, owner.uid)
    _keep_capability(libc, _CAP_DAC_READ_SEARCH)


def _keep_capability(libc: ctypes.CDLL, wanted: int) -> None:
    """Keep no capability but number `wanted`, if the process has it, also in the processes that it starts.

    A container may lack it. See capabilities(7).
    """
    header = struct.pack("=Ii", _CAPABILITIES_VERSION_3, 0)
    data = ctypes.create_string_buffer(24)
    libc.capget(header, data)
    _, permitted, *_ = struct.unpack("=6I", data.raw)
    kept = permitted & 1 << wanted
    libc.capset(header, struct.pack("=6I", kept, kept, kept, 0, 0, 0))
    # Workers need it where only root can read the program, as below /root. Their sandbox takes it away.
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, wanted, 0, 0)
