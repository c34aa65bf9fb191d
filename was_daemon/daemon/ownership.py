"""The system's user to whom the directories of stores, the spool and the checksums belong.

What root makes in a directory of another user cannot be used by a daemon that runs as that user.
"""

import os
import pwd
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import attrs

from was_daemon.config.settings import Settings, default_spool
from was_daemon.daemon.assembly import create_stores
from was_daemon.model.composition import stores_in
from was_daemon.model.interfaces import ILocalFiles


@attrs.frozen
class Owner:
    """User of the system other than root to whom `path` belongs; `gid` is the user's group, or else the path's."""

    uid: int
    gid: int
    path: Path

    def __str__(self) -> str:
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"#{self.uid}"


def owners(paths: Iterable[Path]) -> list[Owner]:
    """Return the users other than root to whom `paths` belong, each once; paths that do not exist belong to nobody."""
    found: dict[int, Owner] = {}
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            if status.st_uid != 0:
                found.setdefault(status.st_uid, Owner(status.st_uid, _group(status.st_uid, status.st_gid), path))
    return list(found.values())


def _group(uid: int, otherwise: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return otherwise


def store_directories(settings: Settings, names: Iterable[str]) -> list[Path]:
    """Return the directories of the stores called `names`, and of their parts, that are on this machine's disks."""
    stores = create_stores(settings)
    parts = [part for name in names for part in stores_in(stores[name])]
    return [ILocalFiles(part).root for part in parts if ILocalFiles.providedBy(part)]


def with_spool_of(uid: int, settings: Settings) -> Settings:
    """Return the settings for a process that is to go on as user `uid`, whose default spool is another one."""
    spool = settings.spool
    if spool.path != default_spool(os.environ, os.geteuid()):
        return settings
    return attrs.evolve(settings, spool=attrs.evolve(spool, path=default_spool(os.environ, uid)))


def check_user(settings: Settings, arguments: str) -> None:
    """Raise SystemExit with a line for the operator if root is to run the daemon in directories of another user.

    `arguments` are those of `was-daemon serve`.
    """
    if os.geteuid() != 0:
        return
    for owner in owners([*store_directories(settings, settings.stores), settings.spool.path]):
        raise SystemExit(
            f"root cannot be the daemon's user: {owner.path} belongs to {owner}, who could not use what root makes "
            f"there. Start its unit, which needs User={owner}, as with systemctl start was-daemon; or, if that user "
            f"can read the key, start it as that user, as with: runuser -u {owner} -- was-daemon serve{arguments} "
            f"(or twistd --uid {owner})"
        )
