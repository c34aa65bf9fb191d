"""Programs of the system that are asked for what they know, each with a limit of time."""

import os
import shutil
import subprocess
from collections.abc import Sequence

_PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Directories that are searched, and not those of a user's own: root may be the caller."""

_SECONDS = 5.0


class CommandFailed(Exception):
    """A program is missing, failed, or took too long; the message says so in a phrase."""


def find_program(name: str) -> str | None:
    """Return the path of a program of the system."""
    return shutil.which(name, path=_PLACES)


def output_of(command: Sequence[str], seconds: float = _SECONDS) -> tuple[str, str]:
    """Return what a program of the system prints, on both outputs; raises `CommandFailed`.

    Blocks for `seconds` at most: a program that hangs is killed, and not waited for.
    """
    program = find_program(command[0])
    if not program:
        raise CommandFailed(f"there is no {command[0]}")
    environ = {"PATH": _PLACES, "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
    try:
        # The callers name programs of the system, and no argument comes from a client.
        process = subprocess.Popen(  # noqa: S603
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environ,
            cwd=os.sep,
        )
    except OSError as error:
        raise CommandFailed(f"{command[0]} cannot be run: {error.strerror}") from None
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise CommandFailed(f"{command[0]} did not answer within {seconds:g} s") from None
    if process.returncode:
        lines = (err or out).strip().splitlines()
        raise CommandFailed(f"{command[0]} says: {lines[-1] if lines else f'status {process.returncode}'}")
    return out, err
