"""`was-daemon import-settings`: translation of the official server's settings into a configuration."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from was_daemon.cli.options import epilog

if TYPE_CHECKING:
    from was_daemon.cli.settings_translation import Translation

_file = click.Path(path_type=Path, dir_okay=False)


def _variables(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    if not all(name and separator for name, separator, _ in pairs):
        raise click.BadParameter("expected NAME=VALUE")
    return {name: value for name, _, value in pairs}


@click.command(
    "import-settings",
    epilog=epilog("was-daemon import-settings settings.py --key-file key --output was.toml"),
)
@click.argument("settings", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--key-file", type=_file, help="Put the key into this file, for its user only.")
@click.option("--output", type=_file, help="Write the configuration to this file, not to the standard output.")
@click.option(
    "--env", "environ", multiple=True, metavar="NAME=VALUE", callback=_variables, help="What that server has."
)
@click.option("--force", is_flag=True, help="Overwrite the configuration; a key is never overwritten.")
def import_settings(
    settings: Path, key_file: Path | None, output: Path | None, environ: dict[str, str], force: bool
) -> None:
    """Print a configuration that does what the official server's SETTINGS, its file settings.py, do.

    The file is read, not executed: literals, names, environ.get and join. Comments name every other setting and its
    line. Where the settings ask for a variable of the environment, --env tells its value in the official server's
    container. Status 1 means that something is missing, or that it is not certain who had access.
    """
    from was_daemon.cli.new_files import report_file_errors
    from was_daemon.cli.settings_file import read_settings
    from was_daemon.cli.settings_translation import translate

    if key_file:
        key_file = Path.cwd() / key_file.expanduser()
    with report_file_errors():
        try:
            found = read_settings(settings, environ)
        except (SyntaxError, ValueError) as error:
            raise click.ClickException(f"{settings} is not a settings file of Python 3: {error}") from None
        translation = translate(found, settings, environ, key_file)
        _write(translation, key_file, output, force)


def _write(translation: "Translation", key_file: Path | None, output: Path | None, force: bool) -> None:
    from was_daemon.cli.new_files import write_config
    from was_daemon.config.load import ConfigError

    if key_file and translation.key:
        _write_key(key_file, translation.key)
    # A key in it makes the configuration a secret.
    mode = 0o644 if key_file or not translation.key else 0o600
    try:
        if output:
            write_config(output, translation.text, force=force, mode=mode)
            click.echo(f"Wrote {output}.", err=True)
        else:
            sys.stdout.write(translation.text)
            with TemporaryDirectory() as directory:
                write_config(Path(directory) / "was.toml", translation.text, force=True, mode=mode)
    except ConfigError as error:
        _report(translation)
        raise click.ClickException(f"this is not complete yet:\n{error}") from None
    _report(translation)
    if not translation.is_whole:
        raise click.ClickException("collections are missing; clients that name them get 404")
    if translation.access_unknown:
        raise click.ClickException("it is not certain who had access on that server: see the warnings above")


def _report(translation: "Translation") -> None:
    for warning in translation.access_unknown:
        click.echo(f"WARNING: {warning}", err=True)
    number = translation.attention
    if number:
        settings = "1 setting needs" if number == 1 else f"{number} settings need"
        click.echo(f"{settings} your attention: the comments in the configuration say which, and why.", err=True)
    else:
        click.echo("No setting needs your attention.", err=True)


def _write_key(path: Path, key: str) -> None:
    from was_daemon.config.new_files import write_key
    from was_daemon.config.secret_files import SecretFile

    if path.exists() and SecretFile(path).text().strip() == key:
        return
    write_key(path, key)
