"""`was-daemon token`: what a client sends to be let in."""

import time
from pathlib import Path

import click

from was_daemon.cli.options import config_option, epilog, load_settings


@click.command(epilog=epilog("was-daemon token photo.jpg --config was.toml"))
@click.argument("filename")
@config_option
def token(filename: str, config: Path | None) -> None:
    """Print a token that allows FILENAME, valid now.

    For an upload, FILENAME is the field `store`; for testkey, it is `random`.
    """
    from was_daemon import tokens

    key = load_settings(config).server.key
    if key is None:
        raise click.ClickException("the server runs without a key, and needs no tokens")
    click.echo(tokens.sign(key, filename, int(time.time())))
