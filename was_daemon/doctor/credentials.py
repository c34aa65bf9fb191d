"""The files that systemd reads for the daemon (LoadCredential=): missing, empty, and what mends that."""

import os
import shlex
from contextlib import suppress
from pathlib import Path

import attrs

from was_daemon.config.weak_keys import GOOD_KEY_COMMAND
from was_daemon.doctor.patient import Patient
from was_daemon.doctor.unit import Unit

_KEY = "key"
"""Name of the credential with the attachment key in the units of this project."""


@attrs.frozen
class Lack:
    """Why systemd cannot pass a credential to the daemon, or passes nothing in it, and what mends that."""

    message: str
    remedy: str


def lack_of(unit: Unit, name: str) -> Lack | None:
    """Return what is wrong with the file of a credential, None if nothing is, or only root may see; blocks."""
    path = unit.credentials[name]
    if not _is_there(path):
        why = f"names no file, so {unit.name} does not start"
    elif kind := _kind_of(path):
        why = f"names {kind}, so the daemon does not start"
    else:
        return None
    return Lack(f"LoadCredential={name}:{path} {why}", _remedy(unit, name, path))


def told_by_configuration(patient: Patient) -> set[str]:
    """Return the credentials of which a mistake in the configuration tells."""
    return {name for each in patient.mistakes if (name := patient.credential_of(each))}


def _remedy(unit: Unit, name: str, path: Path) -> str:
    install = f"install -m 600 /dev/stdin {shlex.quote(str(path))}"
    if name != _KEY:
        return f"Write it again, or copy it from a backup: {install}; then: {unit.restart}"
    return key_remedy(install, unit.restart)


def key_remedy(install: str, restart: str) -> str:
    """Return what brings back an attachment key, which `install` writes to its file: the old one, or else a new one."""
    return (
        "Try the old key first: Specify's settings have it (ASSET_SERVER_KEY of Specify 7, attachment.key of Specify "
        f"6), or a backup; {install} takes it. Only if it is lost make a NEW one: {GOOD_KEY_COMMAND} | {install}, and "
        f"enter it in Specify, too, as every upload is refused until Specify has it. Then: {restart}"
    )


def _is_there(path: Path) -> bool:
    with suppress(PermissionError):
        return path.exists() if os.path.lexists(path) else not os.access(path.parent, os.X_OK)
    # Nobody but root may see.
    return True


def _kind_of(path: Path) -> str | None:
    """Return what is in a file that has no secret in it, None for one that has, or that this user may not read."""
    with suppress(OSError):
        if path.stat().st_size == 0 or not path.read_bytes().strip():
            return "an empty file"
        try:
            path.read_text("utf-8")
        except UnicodeDecodeError:
            return "a file that is not a text"
    return None
