"""`was-daemon status`: the state of the daemon and its stores."""

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from was_daemon.cli.fixity_status import fixity_entry
from was_daemon.cli.identity import as_any_owner
from was_daemon.cli.mirror_status import mirror_entries, mirror_lines, mirror_warnings
from was_daemon.cli.options import config_option, epilog, json_option, load_settings
from was_daemon.cli.targets import create_stores, require_directory
from was_daemon.model.sizes import readable

if TYPE_CHECKING:
    from was_daemon.config.settings import Settings, SpecifySettings
    from was_daemon.library.collections import Collections
    from was_daemon.model.interfaces import IAssetStore

_WELL = {"ok": True}


@click.command(epilog=epilog("was-daemon status --config was.toml"))
@click.option("--url", "urls", multiple=True, help="Ask this address; those of the configuration by default.")
@click.option("--count", is_flag=True, help="Count the originals and thumbnails, too.")
@click.option("--timeout", default=10.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Seconds.")
@config_option
@json_option
def status(urls: tuple[str, ...], count: bool, timeout: float, config: Path | None, as_json: bool) -> None:
    """Tell whether the daemon answers, and whether its stores can be used."""
    from was_daemon.cli.reactor import run
    from was_daemon.daemon.assembly import collections_in
    from was_daemon.daemon.warnings import warnings
    from was_daemon.health.probe import addresses_of, probe

    settings = as_any_owner(load_settings(config))
    stores, min_free = create_stores(settings), settings.limits.min_free
    collections = collections_in(settings, stores)
    # Before the reactor runs: it would have to wait.
    answers = [probe(address, timeout) for address in urls or addresses_of(settings.server)]

    async def work() -> int:
        files = await _check_files(settings)
        # A database that does not answer need not be waited for once more.
        fixity = await fixity_entry(settings, list(stores)) if files.get("catalogue", _WELL)["ok"] else {}
        mirrors = await mirror_entries(stores, min_free)
        known = [*fixity.get("warnings", ()), *mirror_warnings(mirrors)]
        told = [*_warnings_of(answers), *warnings(settings), *known]
        summary: dict[str, Any] = {
            "addresses": answers,
            "stores": {name: await _check(store, collections, timeout, min_free) for name, store in stores.items()},
            **({"mirrors": mirrors} if mirrors else {}),
            "files": files,
            **({"fixity": fixity} if fixity else {}),
            "warnings": list(dict.fromkeys(told)),
            **({"collections": await _count_assets(settings, stores)} if count else {}),
        }
        for store in reversed(stores.values()):
            await store.close()
        entries = (*answers, *summary["stores"].values(), *summary["files"].values(), summary.get("fixity", _WELL))
        well = all(each["ok"] for each in entries)
        if as_json:
            click.echo(json.dumps({"ok": well, **summary}, ensure_ascii=False, indent=2))
        else:
            click.echo("\n".join(_lines(summary)))
        return 0 if well else 1

    run(work, is_report=True)


async def _check(store: "IAssetStore", collections: "Collections", timeout: float, min_free: int) -> dict[str, Any]:
    """Return whether a store can be used, with fewer than `min_free` free bytes not, and the free bytes if known."""
    from twisted.internet import defer, reactor
    from twisted.internet.interfaces import IReactorTime

    from was_daemon.health.checks import path_of
    from was_daemon.model.errors import AssetError

    found: dict[str, Any] = {"where": str(store), "ok": True}
    try:
        checking = defer.Deferred.fromCoroutine(_check_existing(store, collections))
        free = await checking.addTimeout(timeout, IReactorTime(reactor))
        if free is not None:
            found["free_bytes"] = free
            if free < min_free:
                problem = f"{readable(free)} free, less than min_free; uploads are refused"
                found.update(ok=False, problem=problem)
    except AssetError as error:
        path = path_of(error, store)
        found.update(ok=False, problem=f"{error} ({path})" if path else str(error))
    except defer.TimeoutError:
        found.update(ok=False, problem=f"no answer in {timeout:g} s")
    return found


async def _check_existing(store: "IAssetStore", collections: "Collections") -> int | None:
    from was_daemon.health.checks import look_at_store

    await require_directory(store)
    return await look_at_store(store, collections)


async def _check_files(settings: "Settings") -> dict[str, dict[str, Any]]:
    """Return whether the spool, the catalogue's files, and Specify's databases can be used, by name.

    All are looked at at the same time: several servers that hang take no longer than one.
    """
    from twisted.internet.defer import Deferred

    from was_daemon.concurrency.waiting import together
    from was_daemon.health.looks import file_looks

    looks = {name: _file_entry(where, look) for name, (where, look) in file_looks(settings).items()}
    looks |= {f"specify {name}": _specify_entry(name, each) for name, each in settings.specify.items() if each.url}
    entries = await together([Deferred.fromCoroutine(look) for look in looks.values()])
    return dict(zip(looks, entries, strict=True))


async def _file_entry(where: object, look: Callable[[], Awaitable[None]]) -> dict[str, Any]:
    from was_daemon.health.checks import path_of
    from was_daemon.model.errors import AssetError

    try:
        await look()
    except AssetError as error:
        details = error.reason or path_of(error, None) or where
        return {"where": str(where), "ok": False, "problem": f"{error} ({details})"}
    return {"where": str(where), "ok": True}


async def _specify_entry(name: str, settings: "SpecifySettings") -> dict[str, Any]:
    """Return whether a database of Specify can be read, and the number of its attachments."""
    from was_daemon.health.looks import look_at_specify
    from was_daemon.model.errors import AssetError
    from was_daemon.specify.database import SpecifyDatabase

    database = SpecifyDatabase(name, settings.url or "", settings.password_file)
    where = str(database)
    try:
        rows, missing = await look_at_specify(database)
    except AssetError as error:
        return {"where": where, "ok": False, "problem": f"{error}: {error.reason} ({where})"}
    if rows < settings.min_rows:
        return {"where": where, "ok": False, "problem": f"{rows} attachments, fewer than min_rows ({where})"}
    without = f", without {', '.join(missing)}" if missing else ""
    return {"where": f"{where}, {rows} attachments{without}", "ok": True, "attachments": rows}


async def _count_assets(settings: "Settings", stores: "dict[str, IAssetStore]") -> dict[str, dict[str, int]]:
    """Return the numbers of originals and thumbnails, by the names of the collections."""
    from was_daemon.jobs.traverse import count_items
    from was_daemon.model.errors import AssetError
    from was_daemon.model.keys import Kind

    collections = settings.collections
    if collections.mode == "auto":
        # Clients create collections by naming them; a store cannot list them.
        return {}
    places = {name: (each.directory, each.store) for name, each in collections.map.items()} or {"": ("", None)}
    numbers: dict[str, dict[str, int]] = {}
    for name, (directory, home) in places.items():
        store = home or settings.default_store
        numbers[name] = {}
        for kind, place in ((Kind.ORIGINAL, store), (Kind.THUMBNAIL, settings.thumbnails.store or store)):
            try:
                numbers[name][kind.value] = await count_items(stores[place].list(directory, kind))
            except AssetError as error:
                click.echo(f"{place}: {error}", err=True)
    return numbers


def _lines(summary: dict[str, Any]) -> Iterator[str]:
    for each in summary["addresses"]:
        version = f"was_daemon {each['version']}" if each.get("version") else "answers"
        yield _line(each["ok"], each["url"], version if each["ok"] else each["problem"])
        yield from _quotas(each.get("health", {}).get("collections", {}))
        yield from _trash(each.get("health", {}).get("trash", {}))
        yield from _promotions(each.get("health", {}).get("promotions", {}))
    for name, store in summary["stores"].items():
        free = f", {readable(store['free_bytes'])} free" if "free_bytes" in store else ""
        yield _line(store["ok"], f"store {name}", store["where"] + free if store["ok"] else store["problem"])
    yield from mirror_lines(summary.get("mirrors", {}))
    for name, each in summary["files"].items():
        yield _line(each["ok"], name, each["where"] if each["ok"] else each["problem"])
    if fixity := summary.get("fixity"):
        progress = fixity.get("progress", "as recorded, as far as verify has found")
        yield _line(fixity["ok"], "fixity", progress if fixity["ok"] else fixity["problem"])
        if not fixity["ok"] and "progress" in fixity:
            yield f"        {fixity['progress']}"
    for name, numbers in summary.get("collections", {}).items():
        counted = ", ".join(f"{number} {kind}" for kind, number in numbers.items())
        yield f"        {name + ': ' if name else ''}{counted}"
    for warning in summary["warnings"]:
        yield f"WARNING {warning}"


def _warnings_of(answers: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the warnings of running daemons, which may have read an earlier configuration."""
    for each in answers:
        found = each.get("health", {}).get("warnings", [])
        yield from map(str, found if isinstance(found, list) else [])


def _quotas(collections: dict[str, Any]) -> Iterator[str]:
    """Yield lines on the collections with a quota, from the report of a daemon."""
    for name, each in collections.items():
        used = "not counted yet" if each["used_bytes"] is None else readable(each["used_bytes"])
        yield f"        {name}: {used} of {readable(each['quota_bytes'])}"


def _trash(stores: dict[str, Any]) -> Iterator[str]:
    """Yield lines on what is in the trash of the stores, from the report of a daemon."""
    for name, each in stores.items():
        yield f"        trash of store {name}: {each['files']} files, {readable(each['bytes'])}"


def _promotions(stores: dict[str, Any]) -> Iterator[str]:
    """Yield lines on what stores in layers promote, from the report of a daemon."""
    for name, each in stores.items():
        told = f"{each['waiting']} wait, {each['promoted']} promoted, {each['failed']} failed"
        yield f"        promotions in store {name}: {told}"


def _line(ok: bool, subject: str, details: str) -> str:
    return f"{'ok' if ok else 'FAILED':<8}{subject}: {details}"
