"""The unit of systemd that runs the daemon, as `systemctl` tells it."""

import grp
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import attrs

from was_daemon.doctor.commands import CommandFailed, output_of

DEFAULT_UNIT = "was-daemon.service"

_BOOTED = Path("/run/systemd/system")
"""Directory that there is where systemd runs, see sd_booted(3)."""

_NO_SYSTEMD = "systemd does not run here"
_HOMES = ("/home", "/root", "/run/user")
_SYSTEM = ("/usr", "/boot", "/efi")
_PRIVATE = ("/tmp", "/var/tmp")  # noqa: S108  # compared with
_DIRECTORIES = {"RuntimeDirectory": "/run", "StateDirectory": "/var/lib", "CacheDirectory": "/var/cache"}
_LOAD = re.compile(r"^[ \t]*(LoadCredential|LoadCredentialEncrypted)[ \t]*=[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_PROPERTIES = (
    *("LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "NRestarts", "MainPID", "NeedDaemonReload"),
    *("User", "Group", "SupplementaryGroups", "DynamicUser", "Environment", "ExecStart", "FragmentPath", "DropInPaths"),
    *("RuntimeDirectory", "StateDirectory", "CacheDirectory", "LogsDirectory", "ReadWritePaths", "ReadOnlyPaths"),
    *("InaccessiblePaths", "ProtectSystem", "ProtectHome", "PrivateTmp", "LimitNOFILE", "MemoryMax", "MemoryHigh"),
    *("AmbientCapabilities", "TriggeredBy", "ExecMainStatus", "ControlGroup"),
    *("Requires", "RequiresMountsFor"),
)


@attrs.frozen
class Unit:
    """A unit, with the properties that `systemctl show` tells; `problem` says why they are not known.

    `credentials` are the files of LoadCredential=, by the credential's name.
    """

    name: str = DEFAULT_UNIT
    properties: Mapping[str, str] = attrs.field(factory=dict)
    credentials: Mapping[str, Path] = attrs.field(factory=dict)
    problem: str | None = _NO_SYSTEMD

    @property
    def is_loaded(self) -> bool:
        """Whether there is such a unit."""
        return self.properties.get("LoadState") == "loaded"

    @property
    def is_active(self) -> bool:
        """Whether the daemon runs, or is about to."""
        return self.properties.get("ActiveState") in ("active", "reloading", "activating")

    @property
    def restart(self) -> str:
        """The command that starts the daemon again, also where systemd refuses as it was started too often."""
        reset = f"systemctl reset-failed {self.name}; " if self._has_starts_behind_it else ""
        return f"{reset}systemctl restart {self.name}"

    @property
    def _has_starts_behind_it(self) -> bool:
        return self.properties.get("ActiveState") in ("failed", "activating")

    @property
    def main_pid(self) -> int:
        """The daemon's process; 0 without one."""
        return int(self.properties.get("MainPID") or 0)

    @property
    def user(self) -> str | None:
        """The user that the unit names; None if it is root's, or not known."""
        return self.properties.get("User") or None if self.is_loaded else None

    def words(self, name: str) -> list[str]:
        """Return the words of a property that is a list; those with a backslash are printed in quotes."""
        value = self.properties.get(name, "")
        with suppress(ValueError):
            return shlex.split(value) if '"' in value else value.split()
        return value.split()

    @property
    def gid(self) -> int | None:
        """The group that the unit names."""
        with suppress(KeyError):
            if self.properties.get("Group"):
                return grp.getgrnam(self.properties["Group"]).gr_gid
        return None

    def groups(self) -> list[int]:
        """Return the supplementary groups."""
        found = []
        for name in self.words("SupplementaryGroups"):
            with suppress(KeyError):
                found.append(grp.getgrnam(name).gr_gid)
        return found

    def environment(self) -> dict[str, str]:
        """Return the variables that systemd gives to the daemon, as far as the unit tells."""
        found = {}
        with suppress(ValueError):
            pairs = (word.partition("=") for word in shlex.split(self.properties.get("Environment", "")))
            found = {name: value for name, _, value in pairs}
        for variable, setting in (("CACHE_DIRECTORY", "CacheDirectory"), ("STATE_DIRECTORY", "StateDirectory")):
            names = self.words(setting)
            if names:
                found[variable] = f"{_DIRECTORIES[setting]}/{names[0].partition(':')[0]}"
        credentials = Path("/run/credentials") / self.name
        if self.credentials and credentials.is_dir():
            found["CREDENTIALS_DIRECTORY"] = str(credentials)
        return found

    def runs(self, config: Path) -> bool:
        """Return whether the daemon of this unit reads the configuration `config`."""
        return self.is_loaded and str(config) in re.split(r"[\s;]+", self.properties.get("ExecStart", ""))

    def own_directories(self) -> list[Path]:
        """Return the directories that systemd makes for the daemon."""
        return [
            Path(base) / name.partition(":")[0]
            for setting, base in {**_DIRECTORIES, "LogsDirectory": "/var/log"}.items()
            for name in self.words(setting)
        ]

    def disks(self) -> list[Path]:
        """Return the paths of RequiresMountsFor=, without those that systemd adds for the daemon's own directories."""
        implied = {*self.own_directories(), *map(Path, _PRIVATE)}
        return [path for each in self.words("RequiresMountsFor") if (path := Path(each)) not in implied]

    def hides(self, path: Path) -> str | None:
        """Return the setting that keeps the daemon from seeing `path`."""
        if any(path.is_relative_to(each.lstrip("-+")) for each in self.words("InaccessiblePaths")):
            return "InaccessiblePaths="
        value = self.properties.get("ProtectHome", "no")
        if value in ("yes", "tmpfs") and any(map(path.is_relative_to, _HOMES)):
            return f"ProtectHome={value}"
        return None

    def keeps_read_only(self, path: Path) -> str | None:
        """Return the setting that keeps the daemon from writing to `path`."""
        writable = [Path(each.lstrip("-+")) for each in self.words("ReadWritePaths")] + self.own_directories()
        if any(map(path.is_relative_to, writable)):
            return None
        if any(path.is_relative_to(each.lstrip("-+")) for each in self.words("ReadOnlyPaths")):
            return "ReadOnlyPaths="
        if self.properties.get("PrivateTmp") == "yes" and any(map(path.is_relative_to, _PRIVATE)):
            return None
        value = self.properties.get("ProtectSystem", "no")
        protected = {"yes": _SYSTEM, "full": (*_SYSTEM, "/etc"), "strict": ("/",)}.get(value, ())
        if any(map(path.is_relative_to, protected)):
            return f"ProtectSystem={value}"
        if self.properties.get("ProtectHome") == "read-only" and any(map(path.is_relative_to, _HOMES)):
            return "ProtectHome=read-only"
        return None


def look_at_unit(name: str = DEFAULT_UNIT) -> Unit:
    """Return the unit as systemd has it now; blocks for some seconds at most.

    Where instances of it run (was-daemon@1.service and so on) and not the unit itself, return the first of them.
    """
    if not _BOOTED.is_dir():
        return Unit(name)
    unit = _shown(name)
    if unit.problem or unit.is_active:
        return unit
    return next(map(_shown, _instances(name)), unit)


def _instances(name: str) -> list[str]:
    """Return the instances of a unit's template that run."""
    pattern = f"{name.removesuffix('.service')}@*.service"
    command = ["systemctl", "list-units", "--no-pager", "--no-legend", "--plain", "--state=active", pattern]
    with suppress(CommandFailed):
        listed, _ = output_of(command)
        return [line.split()[0] for line in listed.splitlines() if line.strip()]
    return []


def _shown(name: str) -> Unit:
    try:
        shown, _ = output_of(["systemctl", "show", "--no-pager", f"--property={','.join(_PROPERTIES)}", name])
    except CommandFailed as error:
        return Unit(name, problem=str(error))
    unit = Unit(name, _properties(shown), problem=None)
    with suppress(CommandFailed):
        if unit.is_loaded:
            text, _ = output_of(["systemctl", "cat", "--no-pager", name])
            return attrs.evolve(unit, credentials=dict(_credentials(text)))
    return unit


def _properties(text: str) -> dict[str, str]:
    """Return properties in the form in which `systemctl show` prints them; several values of one are joined."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator:
            found[name] = f"{found[name]} {value}".strip() if name in found else value
    return found


def _credentials(text: str) -> Iterator[tuple[str, Path]]:
    """Yield the credentials that a unit's file and its drop-ins load; a file with a relative path is systemd's own."""
    found: dict[str, Path] = {}
    for _, value in _LOAD.findall(text):
        name, separator, path = value.partition(":")
        if not value:
            found.clear()
        elif separator and path.startswith("/"):
            found[name] = Path(path)
    yield from found.items()


def drop_in(unit: Unit, file: str, line: str) -> str:
    """Return the command that adds a line to the section [Service] of a unit, and restarts it."""
    directory = f"/etc/systemd/system/{unit.name}.d"
    return (
        f"mkdir -p {directory} && printf '[Service]\\n{line}\\n' >> {directory}/{file}.conf && "
        f"systemctl daemon-reload && {{ {unit.restart}; }}"
    )
