"""Options that several commands have, and the end of their help."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from was_daemon.config.settings import Settings

config_option = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The daemon's configuration; without it, what `twistd was` uses by itself: ./attachments.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def epilog(*examples: str) -> str:
    """Return the end of a command's help: examples of its use, and its exit status."""
    lines = "".join(f"\n  {example}" for example in examples)
    return f"\b\nExample:{lines}\n\nExit status: 0 all is well, 1 something failed, 2 the command was used wrongly."


def load_settings(config: Path | None) -> "Settings":
    """Return the settings; print all mistakes to stderr and exit with status 1 if there are any."""
    # This imports Twisted's reactor and the plugins, which `--help` does not need.
    from was_daemon.config.load import ConfigError, load

    try:
        return load(config, os.environ)
    except ConfigError as error:
        click.echo(error, err=True)
        raise SystemExit(1) from None
