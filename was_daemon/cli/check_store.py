"""`was-daemon check-store`: checks of a live store against the contract of stores."""

import json
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from was_daemon.cli.identity import as_owner
from was_daemon.cli.options import config_option, epilog, json_option, load_settings
from was_daemon.cli.targets import check_store_name, create_stores, require_directory

if TYPE_CHECKING:
    from was_daemon.model.interfaces import IAssetStore
    from was_daemon.testing.live import PromiseResult


@click.command("check-store", epilog=epilog("was-daemon check-store main --config was.toml"))
@click.argument("name")
@click.option("--collection", default="", help="The collection's directory to try in; the store's root by default.")
@config_option
@json_option
def check_store(name: str, collection: str, config: Path | None, as_json: bool) -> None:
    """Try every promise of a store on the live store NAME, one line each.

    Says which quirks of a server cannot be lived with, and what they cost. Works with a few assets of unguessable
    names, which it removes again; touches no other. A store that cannot be used at all is not tried further.
    """
    from was_daemon.cli.reactor import run

    settings = load_settings(config)
    settings = as_owner(settings, [check_store_name(settings, name, "NAME")])
    store = create_stores(settings)[name]

    async def work() -> int:
        results = await _try(store, collection, quiet=as_json)
        kept = all(result.problem is None for result in results)
        if as_json:
            report = {"ok": kept, "store": name, "promises": [_entry(result) for result in results]}
            click.echo(json.dumps(report, ensure_ascii=False, indent=2))
        return 0 if kept else 1

    run(work)


async def _try(store: "IAssetStore", collection: str, quiet: bool) -> "list[PromiseResult]":
    """Try the promises, print a line for each unless `quiet`, and close the store; fire with the results."""
    from was_daemon.testing.live import check_live

    told = []
    try:
        await require_directory(store)
        async with aclosing(check_live(store, collection)) as results:
            async for result in results:
                told.append(result)
                if not quiet:
                    click.echo(_line(result))
    finally:
        await store.close()
    return told


def _line(result: "PromiseResult") -> str:
    problem = f": {result.problem}" if result.problem is not None else ""
    return f"{_state(result).upper() if problem else _state(result):<7} {result.promise}{problem}"


def _entry(result: "PromiseResult") -> dict[str, str | None]:
    return {"promise": result.promise, "state": _state(result), "problem": result.problem}


def _state(result: "PromiseResult") -> str:
    if result.problem is not None:
        return "failed"
    return "ok" if result.tried else "skipped"
