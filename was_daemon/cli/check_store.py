"""`was-daemon check-store`: checks of a live store against the contract of stores."""

from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from was_daemon.cli.identity import as_owner
from was_daemon.cli.options import config_option, epilog, load_settings
from was_daemon.cli.targets import check_store_name, create_stores

if TYPE_CHECKING:
    from was_daemon.model.interfaces import IAssetStore
    from was_daemon.testing.live import PromiseResult


@click.command("check-store", epilog=epilog("was-daemon check-store main --config was.toml"))
@click.argument("name")
@click.option("--collection", default="", help="The collection's directory to try in; the store's root by default.")
@config_option
def check_store(name: str, collection: str, config: Path | None) -> None:
    """Try every promise of a store on the live store NAME, one line each.

    Works with one asset of an unguessable name, which it removes again; touches no other. A store that cannot be used
    at all is not tried further.
    """
    from twisted.internet import task
    from twisted.internet.defer import Deferred

    settings = load_settings(config)
    settings = as_owner(settings, [check_store_name(settings, name, "NAME")])
    store = create_stores(settings)[name]
    task.react(lambda _: Deferred.fromCoroutine(_check_store(store, collection)))


async def _check_store(store: "IAssetStore", collection: str) -> None:
    from was_daemon.cli.reactor import log_warnings
    from was_daemon.testing.live import check_live

    log_warnings()
    kept = True
    try:
        async with aclosing(check_live(store, collection)) as results:
            async for result in results:
                kept = kept and result.problem is None
                click.echo(_line(result))
    finally:
        await store.close()
    if not kept:
        raise SystemExit(1)


def _line(result: "PromiseResult") -> str:
    if result.problem is not None:
        return f"FAILED  {result.promise}: {result.problem}"
    return f"ok      {result.promise}" if result.tried else f"skipped {result.promise}"
