"""`was-daemon`: the commands for operators, beside `twistd was`.

Each command has a module. Slow imports are inside the functions of commands, so that `--help` starts quickly.
"""

import sys
from typing import Any

import click

from was_daemon import __version__
from was_daemon.cli.catalogue import catalogue
from was_daemon.cli.catalogue_backup import backup
from was_daemon.cli.check import check
from was_daemon.cli.check_store import check_store
from was_daemon.cli.configuration import config
from was_daemon.cli.console_password import console_password
from was_daemon.cli.copy import copy
from was_daemon.cli.doctor import doctor
from was_daemon.cli.find import find
from was_daemon.cli.fixity import fixity
from was_daemon.cli.import_catalogue import import_
from was_daemon.cli.import_settings import import_settings
from was_daemon.cli.init import init
from was_daemon.cli.lost_output import drop_output, is_about_output
from was_daemon.cli.mirror import mirror
from was_daemon.cli.options import epilog
from was_daemon.cli.reconcile import reconcile
from was_daemon.cli.refused import refusal
from was_daemon.cli.serve import serve
from was_daemon.cli.specify import specify
from was_daemon.cli.status import status
from was_daemon.cli.thumbnails import thumbnails
from was_daemon.cli.token import token
from was_daemon.cli.trash import trash
from was_daemon.cli.verify import verify
from was_daemon.cli.visibility import visibility
from was_daemon.cli.zoom import zoom


class _Commands(click.Group):
    """Commands that end with a line, and 1, when their output cannot be written, or a file may not be used."""

    def main(self, *arguments: Any, **extra: Any) -> Any:
        """See `click.Command`, which looks for a reader that has gone only."""
        try:
            return super().main(*arguments, **extra)
        except PermissionError as error:
            click.echo(refusal(error), err=True)
            sys.exit(1)
        except OSError as error:
            if not is_about_output(error):
                raise
            drop_output(error)
            sys.exit(1)


@click.group(cls=_Commands, epilog=epilog("was-daemon check --help"))
@click.version_option(__version__)
def main() -> None:
    """The asset server, and the tools around it."""


catalogue.add_command(import_)
catalogue.add_command(backup)
main.add_command(catalogue)
main.add_command(check)
main.add_command(check_store)
main.add_command(config)
main.add_command(console_password)
main.add_command(copy)
main.add_command(doctor)
main.add_command(find)
main.add_command(fixity)
main.add_command(import_settings)
main.add_command(init)
main.add_command(mirror)
main.add_command(reconcile)
main.add_command(specify)
main.add_command(status)
main.add_command(thumbnails)
main.add_command(serve)
main.add_command(token)
main.add_command(trash)
main.add_command(verify)
main.add_command(visibility)
main.add_command(zoom)
