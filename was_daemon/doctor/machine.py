"""What root may see of a machine, before the checks go on as the daemon's user."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import attrs

from was_daemon.doctor.commands import CommandFailed, find_program, output_of
from was_daemon.doctor.sockets import Listener, listeners
from was_daemon.doctor.unit import DEFAULT_UNIT, Unit, look_at_unit
from was_daemon.stores.local.mounts import Mount, mounts

_MASTER = re.compile(r"nginx: master process \S+((?: \S+)*)")
_OPTION = re.compile(r" -([cpe]) (\S+)")
_VERSION = re.compile(r"nginx version: \S+?/([0-9.]+)")
_MOST_MASTERS = 8
_NGINX_SECONDS = 4.0


@attrs.frozen
class Nginx:
    """An nginx: its version, and the dump of its configuration, or why there is none."""

    version: str = ""
    dump: str | None = None
    problem: str | None = None


@attrs.frozen
class Machine:
    """The daemon's unit, what listens on ports, and nginx, as far as this user may see them.

    `is_seen_by_root` says whether that is everything. `seen_mounts` are those in the mount namespace of the unit's
    process; none if that does not run, or may not be seen.
    """

    unit: Unit = attrs.field(factory=Unit)
    listeners: Sequence[Listener] = ()
    nginx: Sequence[Nginx] = ()
    is_seen_by_root: bool = False
    seen_mounts: Sequence[Mount] = ()

    def listening_on(self, port: int) -> list[Listener]:
        """Return what listens on a port."""
        return [each for each in self.listeners if each.port == port]


def look_at_machine(unit: str = DEFAULT_UNIT) -> Machine:
    """Return what this user may see; blocks for some seconds at most."""
    examined = look_at_unit(unit)
    seen = mounts(examined.main_pid) if examined.main_pid else []
    return Machine(examined, listeners(), list(_nginxes()), os.geteuid() == 0, seen)


def _nginxes() -> Iterator[Nginx]:
    """Yield each nginx that runs, or the one that is installed."""
    if not find_program("nginx"):
        return
    version = ""
    with suppress(CommandFailed):
        _, err = output_of(["nginx", "-v"], _NGINX_SECONDS)
        match = _VERSION.search(err)
        version = match[1] if match else ""
    for options in list(_running())[:_MOST_MASTERS] or [()]:
        try:
            dump, _ = output_of(["nginx", *options, "-T"], _NGINX_SECONDS)
        except CommandFailed as error:
            yield Nginx(version, problem=str(error))
        else:
            yield Nginx(version, dump)


def _running() -> Iterator[tuple[str, ...]]:
    """Yield the options of each nginx that runs, which its title tells; only root's and this user's are believed."""
    found: dict[tuple[str, ...], None] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            title = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
            match = _MASTER.match(title)
            if match and process.stat().st_uid in (0, os.geteuid()):
                found[tuple(word for pair in _OPTION.findall(match[1]) for word in (f"-{pair[0]}", pair[1]))] = None
    yield from found
