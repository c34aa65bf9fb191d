"""`was-daemon`: what an operator does beside running the daemon."""

import os
import sys
import time
from contextlib import aclosing
from pathlib import Path

import click
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from was_daemon import __version__, tokens
from was_daemon.config import ConfigError, Settings, load
from was_daemon.graph import create_stores
from was_daemon.interfaces import IAssetStore
from was_daemon.testing.live import Outcome, check_live

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


@main.command("check-store")
@click.argument("name")
@click.option("--collection", default="", help="The collection's directory to try in; the store's root by default.")
@_CONFIG
def check_store(name: str, collection: str, config: Path | None) -> None:
    """Try every promise of a store on the live store NAME, one line each.

    Works with one asset of an unguessable name, which it removes again; touches no other. A store that cannot be used
    at all is not tried further.
    """
    try:
        stores = create_stores(_settings(config))
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    if name not in stores:
        raise click.ClickException(f"no store is called {name}; there are {', '.join(stores)}")
    task.react(lambda _: Deferred.fromCoroutine(_check_store(stores[name], collection)))


async def _check_store(store: IAssetStore, collection: str) -> None:
    # What a store tells its operator only, like how to add a host key, is in the log.
    from_warnings_on = LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)
    observer = FilteringLogObserver(textFileLogObserver(sys.stderr), [from_warnings_on])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    kept = True
    try:
        async with aclosing(check_live(store, collection)) as outcomes:
            async for outcome in outcomes:
                kept = kept and outcome.problem is None
                click.echo(_line(outcome))
    finally:
        await store.close()
    if not kept:
        raise SystemExit(1)


def _line(outcome: Outcome) -> str:
    if outcome.problem is not None:
        return f"FAILED  {outcome.promise}: {outcome.problem}"
    return f"ok      {outcome.promise}" if outcome.tried else f"skipped {outcome.promise}"


def _settings(config: Path | None) -> Settings:
    try:
        return load(config, os.environ)
    except ConfigError as error:
        click.echo(error, err=True)
        sys.exit(1)
