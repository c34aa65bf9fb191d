"""Check of what the daemon's user may do with every path that the daemon needs, and of what the unit hides from it."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from was_daemon.config.endpoints import tls_files
from was_daemon.config.secret_files import HashFile, SecretFile
from was_daemon.doctor.account import obstacle
from was_daemon.doctor.changeable import make_plugins
from was_daemon.doctor.findings import Finding, failed, ok, skipped
from was_daemon.doctor.mount_points import is_bare
from was_daemon.doctor.patient import Patient
from was_daemon.doctor.unit import Unit, drop_in
from was_daemon.health.directories import UnusableDirectory, check_directories, check_spool
from was_daemon.model.interfaces import IAssetStore, ILocalFiles, IReadOnly
from was_daemon.model.keys import Kind
from was_daemon.stores.local.mounts import Mount, mount_of, mounts, unmounted

_NAME = "paths"
_AS_ROOT = "sudo was-daemon doctor"
_READ, _ENTER = os.R_OK, os.R_OK | os.X_OK
_WRITE_FILE, _WRITE_DIRECTORY = os.R_OK | os.W_OK, os.R_OK | os.W_OK | os.X_OK
_STAGING = ".staging"
_MOUNT = (
    "mount {0}, as it was before, or systemctl start the unit of its disk; lsblk --fs shows the disks. Only if it is "
    "to be a directory without a disk of its own:"
)


@attrs.frozen
class Need:
    """A path that the daemon has to use in a way of `os.access`, and the setting that names it.

    With `is_whole`, it is a directory in which everything is the daemon's. `make` is the command that makes it if it is
    missing, where the daemon is not to own it.
    """

    path: Path
    mode: int
    setting: str
    may_be_missing: bool = False
    is_whole: bool = False
    make: str | None = None

    @property
    def is_written(self) -> bool:
        """Whether the daemon writes to it."""
        return bool(self.mode & os.W_OK)


def look(patient: Patient) -> Iterator[Finding]:
    """Yield what the daemon's user may not do, with the command that allows it."""
    user = patient.machine.unit.user if patient.unit_in_use else None
    if patient.other_user:
        yield skipped(_NAME, f"this is {patient.account}, and the daemon is {patient.other_user.name}", _AS_ROOT)
        return
    if user not in (None, str(patient.account), str(patient.account.uid)):
        yield skipped(_NAME, f"this is {patient.account}, and the daemon is {user}", _AS_ROOT)
        return
    known = mounts()
    all_needs = list(dict.fromkeys(needs(patient)))
    found: dict[str, Finding] = {}
    given: list[Path] = []
    for need in all_needs:
        # The command that gives a directory to the user gives it all that is in it.
        finding = None if any(map(need.path.is_relative_to, given)) else _finding(patient, need, known)
        if finding:
            found.setdefault(finding.message.partition(" (")[0], finding)
            if str(finding.remedy).startswith("chown -R "):
                given.append(need.path)
    yield from found.values()
    if not found:
        found_in = list(_by_health(patient))
        yield from found_in
        if not found_in:
            yield ok(_NAME, f"{patient.account} may use all {len(all_needs)} paths that the daemon needs")


def _finding(patient: Patient, need: Need, known: list[Mount]) -> Finding | None:
    unit = patient.machine.unit
    if patient.unit_in_use:
        own = next(filter(need.path.is_relative_to, unit.own_directories()), None)
        if own and not need.path.exists():
            # systemd makes it when it starts the daemon, and not before.
            return _removed(unit, own) if unit.is_active and not own.exists() else None
        found = _in_unit(unit, need)
        if found:
            return found
    missing = unmounted(need.path, known, patient.required_units)
    if missing and (need.is_written or need.setting.startswith("stores.")):
        # Another check tells.
        return skipped(_NAME, f"{need.path} is not looked at ({need.setting}): nothing is mounted on {missing.place}")
    mount = mount_of(need.path, known)
    if need.is_written and mount and mount.is_read_only:
        # Another check tells.
        return skipped(_NAME, f"what is on {mount.place} is not looked at, as that is read-only ({need.setting})")
    blocked = obstacle(patient.account, need.path, need.mode, need.may_be_missing, need.is_whole)
    if blocked and is_bare(patient, need.path, need.setting, known):
        place = shlex.quote(str(need.path))
        state = "is empty" if need.path.exists() else "does not exist"
        message = f"{need.path} {state}, and nothing is mounted on it: its disk is missing ({need.setting})"
        return failed(_NAME, message, f"{_MOUNT.format(place)} {blocked.remedy}")
    if not blocked:
        return None
    make = None if os.path.lexists(need.path) else need.make
    return failed(_NAME, f"{blocked.message} ({need.setting})", make or blocked.remedy)


def _removed(unit: Unit, directory: Path) -> Finding:
    message = f"{directory} has been removed since {unit.name} was started, which makes it"
    return failed(_NAME, message, unit.restart)


def _in_unit(unit: Unit, need: Need) -> Finding | None:
    """Return what the sandbox of the unit keeps from the daemon, whatever its user may do."""
    hidden = unit.hides(need.path)
    if hidden:
        line = "ProtectHome=no" if hidden.startswith("ProtectHome") else "InaccessiblePaths="
        return failed(_NAME, f"{unit.name} hides {need.path} from the daemon ({hidden})", drop_in(unit, "paths", line))
    kept = unit.keeps_read_only(need.path) if need.is_written else None
    if not kept:
        return None
    place = need.path if need.path.is_dir() else need.path.parent
    message = f"{unit.name} lets the daemon only read {need.path} ({kept})"
    return failed(_NAME, message, drop_in(unit, "paths", f"ReadWritePaths={place}"))


def _by_health(patient: Patient) -> Iterator[Finding]:
    """Yield what the daemon's own check of its directories finds, such as a link in the place of one."""
    try:
        for files in patient.local_stores().values():
            if patient.collections and not IReadOnly.providedBy(files):
                # A missing directory is told above.
                check_directories(IAssetStore(files), patient.collections)
        check_spool(patient.known.spool.path)
    except UnusableDirectory as error:
        yield failed(_NAME, f"{error} ({error.path})", f"ls -ld {shlex.quote(str(error.path))}")


def needs(patient: Patient) -> Iterator[Need]:
    """Yield every path that the daemon needs; blocks."""
    settings = patient.known
    if patient.config:
        yield Need(patient.config, _READ, "the configuration")
    yield from _secrets(patient)
    for name, files in patient.local_stores().items():
        yield from _of_store(patient, f"stores.{name}", files)
    for name, store in settings.stores.items():
        yield from _of_options(f"stores.{name}", store.options)
    yield Need(settings.spool.path, _WRITE_DIRECTORY, "spool.path", may_be_missing=True, is_whole=True)
    for path in (settings.catalogue.path, settings.catalogue.journal_path) if settings.catalogue.is_on else ():
        if path:
            yield Need(path.parent, _WRITE_DIRECTORY, "catalogue", may_be_missing=True)
            yield Need(path, _WRITE_FILE, "catalogue", may_be_missing=True)
    if settings.thumbnails.nginx_marker:
        yield Need(settings.thumbnails.nginx_marker.parent, _WRITE_DIRECTORY, "thumbnails.nginx_marker")
    for path in settings.plugin_path:
        yield Need(path, _ENTER, "plugins.path", make=make_plugins(path))
    for setting, descriptions in patient.endpoints().items():
        yield from _of_endpoints(setting, descriptions)


def _of_endpoints(setting: str, descriptions: Sequence[str]) -> Iterator[Need]:
    for description in descriptions:
        if description.startswith("unix:"):
            path = Path(description.split(":")[1].removeprefix("address="))
            yield Need(path.parent, _WRITE_DIRECTORY, setting)
        for argument, file in tls_files(description).items():
            yield Need(file, _READ, f"{argument} of {setting}")


def _secrets(patient: Patient) -> Iterator[Need]:
    """Yield the files with keys and passwords, but for those that systemd reads for the daemon."""
    # The options of stores have other files besides; plugins are not sections.
    left_out = {"stores", "plugins", *(() if patient.known.server.admin_listen else ("admin",))}
    fields = attrs.asdict(patient.known, recurse=False)
    sections = {name: value for name, value in fields.items() if name not in left_out}
    for setting, path in _secret_files(sections):
        if not patient.is_passed(Path(path)):
            # The command that makes the file of the console's password is told elsewhere.
            yield Need(Path(path).expanduser(), _READ, setting, may_be_missing=isinstance(path, HashFile))


def _secret_files(values: Mapping[str, Any], section: str = "") -> Iterator[tuple[str, SecretFile]]:
    """Yield the files with secrets in a section, and in those below it, by their settings."""
    for name, value in values.items():
        if isinstance(value, SecretFile):
            yield f"{section}{name}", value
        elif isinstance(value, Mapping):
            yield from _secret_files(value, f"{section}{name}.")
        elif attrs.has(type(value)):
            yield from _secret_files(attrs.asdict(value, recurse=False), f"{section}{name}.")


def _of_store(patient: Patient, setting: str, files: ILocalFiles) -> Iterator[Need]:
    mode = _ENTER if IReadOnly.providedBy(files) else _WRITE_DIRECTORY
    root: Path = files.root
    yield Need(root, mode, setting, is_whole=True)
    if not patient.collections or not os.access(root, _ENTER):
        return
    for directory in patient.collections.directories(files):
        for kind in (Kind.ORIGINAL, Kind.THUMBNAIL, Kind.PYRAMID, Kind.TRASH):
            base = root / directory / kind.value
            for path in (base.parent, base, base / _STAGING, base.parent / _STAGING):
                if os.path.lexists(path):
                    yield Need(path, mode, setting, is_whole=True)


def _of_options(setting: str, options: Any) -> Iterator[Need]:
    """Yield the files and directories that a store's options name, without that of the store itself."""
    if options is None:
        return
    for name, value in attrs.asdict(options, recurse=False).items():
        for path in value.values() if isinstance(value, dict) else [value]:
            if isinstance(path, SecretFile) or (isinstance(path, Path) and name.endswith(("_file", "_hosts"))):
                yield Need(Path(path).expanduser(), _READ, f"{setting}.{name}", may_be_missing=name == "known_hosts")
            elif isinstance(path, Path) and name == "journal":
                yield Need(path, _WRITE_DIRECTORY, f"{setting}.{name}", may_be_missing=True)
