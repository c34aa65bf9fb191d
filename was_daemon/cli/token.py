"""`was-daemon token`: a token as clients send it."""

import time
from pathlib import Path

import click

from was_daemon.cli.options import config_option, epilog, load_settings


@click.command(epilog=epilog("was-daemon token photo.jpg --config was.toml"))
@click.argument("filename")
@click.option("--collection", metavar="NAME", help="The collection that the file is in; it may have its own key.")
@config_option
def token(filename: str, collection: str | None, config: Path | None) -> None:
    """Print a token that allows FILENAME, valid now.

    For an upload, FILENAME is the field `store`; for testkey, it is `random`.
    """
    from was_daemon.model import tokens

    settings = load_settings(config)
    key = settings.server.key
    if collection is not None and settings.collections.mode == "map":
        if collection not in settings.collections.map:
            raise click.UsageError(f"no collection is called {collection}")
        key = settings.collections.map[collection].key or key
    if key is None and settings.server.insecure_no_key:
        raise click.ClickException("the server runs without a key, and needs no tokens")
    if key is None:
        raise click.UsageError("each collection has a key of its own: name one with --collection")
    click.echo(tokens.sign(key, filename, int(time.time())))
