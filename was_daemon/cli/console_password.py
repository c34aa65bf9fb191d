"""`was-daemon console-password`: a new password for the console."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from was_daemon.cli.options import config_option, epilog, load_settings

if TYPE_CHECKING:
    from was_daemon.config.settings import Settings

_LEAST = 12
"""Characters of a password that an administrator chooses."""


@click.command(name="console-password", epilog=epilog("was-daemon console-password --config was.toml"))
@click.option("--stdin", "is_given", is_flag=True, help="Read the password from the standard input, and print none.")
@config_option
def console_password(is_given: bool, config: Path | None) -> None:
    """Make a new password for the console on the admin endpoints, and print it.

    Its hash is written to [admin] password_file. The old password counts for some seconds more, and everybody has to
    log in anew. The daemon need not be told.
    """
    from was_daemon.cli.new_files import report_file_errors
    from was_daemon.config.new_files import replace_shared
    from was_daemon.model.passwords import hash_password, new_password

    settings = load_settings(config)
    path = settings.admin.password_file
    if not path:
        raise click.ClickException(
            'no file is set for it: add password_file = "/etc/was-daemon/console-password" to the section [admin]'
        )
    password = _given() if is_given else new_password()
    with report_file_errors():
        replace_shared(path.expanduser(), hash_password(password) + "\n", _group(settings))
    click.echo(f"Wrote the hash of the password to {path}.", err=True)
    if not is_given:
        click.echo(password)


def _given() -> str:
    password = sys.stdin.readline().rstrip("\r\n")
    if len(password) < _LEAST:
        raise click.ClickException(f"the password has to have {_LEAST} characters at least")
    return password


def _group(settings: "Settings") -> int | None:
    """Return the group of the user to whom stores and spool belong, None if that is root."""
    from was_daemon.daemon.ownership import owners, store_directories

    found = owners([*store_directories(settings, settings.stores), settings.spool.path])
    return found[0].gid if found else None
