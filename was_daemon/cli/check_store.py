"""`was-daemon check-store`: checks of a live store against the contract of stores."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from was_daemon.cli.identity import as_owner
from was_daemon.cli.options import config_option, epilog, json_option, load_settings
from was_daemon.cli.targets import check_store_name, close, create_stores, require_directory

if TYPE_CHECKING:
    from was_daemon.library.collections import Collections
    from was_daemon.model.interfaces import IAssetStore
    from was_daemon.testing.promises import PromiseResult


@click.command("check-store", epilog=epilog("was-daemon check-store main --config was.toml"))
@click.argument("name")
@click.option("--collection", help="The collection's directory to try in; those of all collections by default.")
@config_option
@json_option
def check_store(name: str, collection: str | None, config: Path | None, as_json: bool) -> None:
    """Try every promise of a store on the live store NAME, one line each.

    Says which quirks of a server cannot be lived with, and what they cost. Works with a few assets of unguessable
    names, which it removes again; touches no other. A store that cannot be used at all is not tried further.
    """
    from was_daemon.cli.reactor import run
    from was_daemon.daemon.assembly import collections_in

    settings = load_settings(config)
    settings = as_owner(settings, [check_store_name(settings, name, "NAME")])
    stores = create_stores(settings)
    store, collections = stores[name], collections_in(settings, stores)

    async def work() -> int:
        results = await _try(store, collections, collection, quiet=as_json)
        kept = all(result.problem is None for result in results)
        if as_json:
            report = {"ok": kept, "store": name, "promises": [_entry(result, store) for result in results]}
            click.echo(json.dumps(report, ensure_ascii=False, indent=2))
        return 0 if kept else 1

    run(work, is_report=True)


async def _try(
    store: "IAssetStore", collections: "Collections", collection: str | None, quiet: bool
) -> "list[PromiseResult]":
    """Try the promises, print a line for each unless `quiet`, and close the store; fire with the results."""
    from was_daemon.jobs.traverse import directories_in
    from was_daemon.testing.live_collections import without_traces

    told = []
    try:
        await require_directory(store)
        known = await directories_in(store, collections)
        directories = known if collection is None else [collection]
        async with (
            without_traces(store, directories or [""]),
            aclosing(_results(store, collections, directories, known)) as results,
        ):
            async for result in results:
                told.append(result)
                if not quiet:
                    click.echo(_line(result, store))
    finally:
        await close(store)
    return told


async def _results(
    store: "IAssetStore", collections: "Collections", directories: list[str], known: list[str]
) -> "AsyncGenerator[PromiseResult, None]":
    """Try all promises in the first of these directories, and whether those of `known` collections can be used."""
    from was_daemon.model.interfaces import ILocalFiles
    from was_daemon.testing.live import check_live
    from was_daemon.testing.live_collections import check_collections, check_permissions

    first, in_use = directories[0] if directories else "", [each for each in directories if each in known]

    async def check_first() -> None:
        if first in in_use:
            await check_permissions(store, collections, first)

    # The first promise is that the store can be used at all.
    usable: bool | None = None
    async with aclosing(check_live(store, first, check_first)) as results:
        async for result in results:
            usable = result.problem is None if usable is None else usable
            yield result
    if not usable:
        # On a disk, the directories of other collections may be well.
        in_use = [each for each in in_use if each != first] if ILocalFiles.providedBy(store) else []
    async with aclosing(check_collections(store, collections, in_use)) as results:
        async for result in results:
            yield result


def _line(result: "PromiseResult", store: "IAssetStore") -> str:
    if result.problem is not None:
        return f"FAILED  {result.promise}: {_problem(result, store)}"
    return f"{_state(result):<7} {result.promise}" + (f": {result.remark}" if result.remark else "")


def _entry(result: "PromiseResult", store: "IAssetStore") -> dict[str, str | None]:
    remark = {"remark": result.remark} if result.remark else {}
    return {"promise": result.promise, "state": _state(result), "problem": _problem(result, store), **remark}


def _problem(result: "PromiseResult", store: "IAssetStore") -> str | None:
    """Return what is wrong, and where if that is on this machine."""
    from was_daemon.health.checks import path_of
    from was_daemon.model.errors import StoreUnavailable

    path = path_of(result.error, store) if isinstance(result.error, StoreUnavailable) else None
    return f"{result.problem} ({path})" if path else result.problem


def _state(result: "PromiseResult") -> str:
    if result.problem is not None:
        return "failed"
    return "ok" if result.tried else "skipped"
