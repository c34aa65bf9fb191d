"""Files that decide which code the daemon runs, and that others than root and the daemon may change."""

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from was_daemon.config.plugins import PLUGIN_DIRECTORY
from was_daemon.config.secret_files import may_be_changed_by_others
from was_daemon.doctor.findings import Finding, failed
from was_daemon.doctor.patient import Patient


def look(check: str, patient: Patient) -> Iterator[Finding]:
    """Yield a finding for the configuration, and for each entry of `plugins.path`, that others may change; blocks."""
    if patient.config:
        # The directory counts, too: who may write to it may replace the file.
        open_paths = _changeable(patient, [patient.config.parent, patient.config])
        if open_paths and not _is_told(patient, open_paths):
            message = f"{_list(open_paths)} can be changed by others, and it says which plugins are loaded"
            yield failed(check, message, _mend(open_paths))
    for directory in patient.settings.plugin_path if patient.settings else ():
        place = directory / PLUGIN_DIRECTORY
        open_paths = _changeable(patient, [directory, place, *_contents(place)], place)
        if open_paths:
            message = f"{_list(open_paths)} can be changed by others, whose code the daemon would run (plugins.path)"
            yield failed(check, message, _mend(open_paths))


def make_plugins(directory: Path) -> str:
    """Return the command that makes an entry of `plugins.path`, and gives it to root, not to the daemon's user."""
    return f"install -d -o root -g root -m 755 {shlex.quote(str(directory / PLUGIN_DIRECTORY))}"


def _contents(directory: Path) -> list[Path]:
    """Return the modules in a directory of plugins, and their directories, those of compiled modules among them."""
    with suppress(OSError):
        return sorted(path for path in directory.rglob("*") if path.is_dir() or path.suffix in (".py", ".pyc", ".so"))
    return []


def _changeable(patient: Patient, paths: list[Path], filled: Path | None = None) -> list[Path]:
    """Return those of `paths`, of what they lead to, and of the directories above them, that others may change.

    All that is in the directory `filled` counts, also what is made there.
    """
    real = [Path(os.path.realpath(path)) for path in paths]
    named = dict.fromkeys([*paths, *real])
    above = dict.fromkeys(parent for path in named for parent in reversed(path.parents) if parent not in named)
    places = [filled, Path(os.path.realpath(filled))] if filled else []
    found = [path for path in above if _is_open(path, None, is_filled=False)]
    # The groups of a stranger are not those of the daemon.
    gid = None if patient.other_user else patient.account.gid
    found += [path for path in named if _is_open(path, gid, is_filled=any(map(path.is_relative_to, places)))]
    return [path for path in dict.fromkeys(found) if not path.is_symlink()]


def _is_open(path: Path, gid: int | None, is_filled: bool) -> bool:
    """Return whether others may change a path; without `gid`, whether all users of the machine may."""
    with suppress(OSError):
        status = path.stat()
        # In such a directory as /tmp, files of others cannot be replaced.
        is_sticky = stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX)
        return (is_filled or not is_sticky) and may_be_changed_by_others(status, status.st_gid if gid is None else gid)
    return False


def _is_told(patient: Patient, paths: list[Path]) -> bool:
    """Return whether a mistake tells the same: a configuration with a secret in it is refused."""
    told = [f"{path} can be changed by others" for path in paths]
    return all(any(each in mistake for mistake in patient.mistakes) for each in told)


def _list(paths: list[Path]) -> str:
    return " and ".join(map(str, paths)) if len(paths) < 3 else f"{paths[0]}, and {len(paths) - 1} more paths,"


def _mend(paths: list[Path]) -> str:
    return f"chmod go-w {shlex.join(map(str, paths))}"
