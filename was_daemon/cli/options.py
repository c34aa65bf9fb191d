"""Options that several commands have, and the end of their help."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from was_daemon.config.settings import Settings

CONSOLE_DIRECTORY = "was_daemon.console_directory"
"""Key of the click context for the directory of the console of the daemon whose configuration was read."""

SYSTEM_CONFIG = Path("/etc/was-daemon/was.toml")
"""The configuration of the daemon that systemd runs."""

DEFAULT_KEY = Path("attachments/.key")
"""The key that the daemon makes when it is started without a configuration."""


def has_default_key() -> bool:
    """Return whether a daemon without a configuration has run in this directory, False if it may not be looked into."""
    # `Path.exists` raises then.
    return os.path.exists(DEFAULT_KEY)  # noqa: PTH110


def _find_config(_context: click.Context, _parameter: click.Parameter, given: Path | None) -> Path | None:
    """Return the configuration to use, None for what the daemon uses without one."""
    if given or has_default_key():
        return given
    return SYSTEM_CONFIG if _may_be_there(SYSTEM_CONFIG) else None


def _may_be_there(path: Path) -> bool:
    """Return whether a file exists, True also where this user may not look: reading it says so."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


_CONFIG_HELP = (
    f"The daemon's configuration. Without it: ./attachments if a daemon without one has run here, else {SYSTEM_CONFIG}."
)

config_option = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    callback=_find_config,
    help=_CONFIG_HELP,
)
reported_config_option = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    callback=_find_config,
    help=_CONFIG_HELP,
)
"""The same for a command that reports on a configuration that is not there, or that this user may not read."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


_STATUS = "0 all is well, 1 something failed, 2 the command was used wrongly"


def epilog(*examples: str, status: str = _STATUS) -> str:
    """Return the end of a command's help: examples of its use, and its exit status."""
    lines = "".join(f"\n  {example}" for example in examples)
    return f"\b\nExample:{lines}\n\nExit status: {status}."


@contextmanager
def failing_with(status: int) -> Iterator[None]:
    """Exit with this status for every error that is raised within, also for a configuration with mistakes."""
    try:
        yield
    except click.ClickException as error:
        error.show()
        raise SystemExit(status) from None
    except SystemExit as error:
        raise SystemExit(status if error.code else 0) from None


def load_settings(config: Path | None) -> "Settings":
    """Return the settings; print all mistakes to stderr and exit with status 1 if there are any.

    Without a configuration there has to be a key: the daemon would make one, a command that looks at it does not.
    """
    # This imports Twisted's reactor and the plugins, which `--help` does not need.
    from was_daemon.config.load import ConfigError, load

    if config is None and not os.environ.get("ATTACHMENT_KEY") and not has_default_key():
        raise click.UsageError(
            f"there is no configuration: name it with --config; there is no {SYSTEM_CONFIG}, and no daemon without a "
            "configuration has run in this directory"
        )
    try:
        settings = load(config, os.environ)
    except ConfigError as error:
        click.echo(error, err=True)
        raise SystemExit(1) from None
    context = click.get_current_context(silent=True)
    if context:
        context.meta[CONSOLE_DIRECTORY] = settings.console_directory
    return settings
