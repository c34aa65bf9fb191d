"""`was-daemon`: what an operator does beside running the daemon."""

import os
import sys
import time
from pathlib import Path

import click

from was_daemon import __version__, tokens
from was_daemon.config import ConfigError, Settings, load

_CONFIG = click.option("--config", "-c", type=click.Path(path_type=Path), help="The daemon's configuration.")


@click.group()
@click.version_option(__version__)
def main() -> None:
    """Tools for the asset server. Without --config they use what `twistd was` uses: ./attachments."""


@main.command()
@click.argument("filename")
@_CONFIG
def token(filename: str, config: Path | None) -> None:
    """Print a token that allows FILENAME, valid now."""
    key = _settings(config).server.key
    if key is None:
        raise click.ClickException("the server runs without a key, and needs no tokens")
    click.echo(tokens.sign(key, filename, int(time.time())))


def _settings(config: Path | None) -> Settings:
    try:
        return load(config, os.environ)
    except ConfigError as error:
        click.echo(error, err=True)
        sys.exit(1)
