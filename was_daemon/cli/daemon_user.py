"""The daemon's user, for a command that neither root nor that user has called."""

import os
import pwd
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was_daemon.config.settings import Settings
    from was_daemon.doctor.patient import OtherUser
    from was_daemon.doctor.unit import Unit

_ROOT = 0


def other_user(settings: "Settings | None", config: Path | None, unit: "Unit | None") -> "OtherUser | None":
    """Return the daemon's user, None if the caller is that user or root, or if it cannot be known; blocks.

    The user of the unit counts, if it runs the daemon with this configuration; or else that of a daemon that runs with
    it; or else the owner of files that the caller cannot write to.
    """
    from was_daemon.doctor.patient import OtherUser

    if os.geteuid() == _ROOT:
        return None
    if unit:
        is_dynamic = unit.properties.get("DynamicUser") == "yes"
        uid = None if is_dynamic else _uid(unit.user or "root")
        return None if uid in (None, os.geteuid()) else OtherUser(_name(uid), f"{unit.name} says so")
    running = _users_of_running(config) if config else set()
    if running:
        # One of root may be sudo, which waits for the daemon.
        uid = next(iter(running - {_ROOT}), _ROOT)
        return None if os.geteuid() in running else OtherUser(_name(uid), "it runs as that user")
    found = [*_owners(settings), *_readers(config)]
    return OtherUser(_name(found[0][0]), found[0][1]) if found else None


def _uid(user: str) -> int | None:
    with suppress(KeyError):
        return pwd.getpwnam(user).pw_uid
    return int(user) if user.isdecimal() else None


def _name(uid: int | None) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid or _ROOT).pw_name
    return f"#{uid}"


def _users_of_running(config: Path) -> set[int]:
    """Return the users whose processes are daemons with this configuration; the kernel shows them to everybody."""
    from was_daemon.doctor.sockets import is_daemon

    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            if is_daemon(" ".join(words)) and any(word in (str(config), f"--config={config}") for word in words):
                found.add(process.stat().st_uid)
    return found


def _owners(settings: "Settings | None") -> Iterator[tuple[int, str]]:
    """Yield the users, other than root and the caller, whose stores or spool the caller may not write to, and why."""
    from was_daemon.config.load import ConfigError
    from was_daemon.daemon.ownership import store_directories

    directories: list[Path] = []
    with suppress(ConfigError, KeyError, AttributeError, RecursionError):
        if settings:
            directories = [*store_directories(settings, settings.stores), settings.spool.path]
    for path in directories:
        for place in (path, *path.parents):
            try:
                uid = place.stat().st_uid
            except PermissionError:
                # Whose directory it is that keeps the caller from looking tells as much.
                continue
            except OSError:
                break
            if uid not in (_ROOT, os.geteuid()) and not os.access(path, os.W_OK, effective_ids=True):
                yield uid, f"{place} belongs to that user"
            break


def _readers(config: Path | None) -> Iterator[tuple[int, str]]:
    """Yield the user whose own group may read a configuration that the caller may not."""
    if config is None or os.access(config, os.R_OK, effective_ids=True):
        return
    for place in (config, config.parent):
        with suppress(OSError):
            gid = place.stat().st_gid
            for user in pwd.getpwall():
                if user.pw_gid == gid and user.pw_uid not in (_ROOT, os.geteuid()):
                    yield user.pw_uid, f"the group of {place} is that user's"
