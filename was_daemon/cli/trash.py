"""`was-daemon trash list`, `restore` and `empty`."""

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from was_daemon.cli.changes import as_daemon, build_components, opened
from was_daemon.cli.identity import as_any_owner
from was_daemon.cli.moments import Ago, Moment
from was_daemon.cli.options import config_option, epilog, json_option, load_settings
from was_daemon.cli.report import printable
from was_daemon.cli.targets import collection_option, directories_of, require_directory
from was_daemon.model.moments import shown
from was_daemon.model.sizes import readable

if TYPE_CHECKING:
    from was_daemon.cli.report import Report
    from was_daemon.config.settings import Settings
    from was_daemon.daemon.components import Components
    from was_daemon.jobs.trash_versions import TrashVersions
    from was_daemon.model.keys import AssetKey
    from was_daemon.model.trash import TrashedVersion

_REMOVED = {"removed": "removed for good", "failed": "failed"}
_TO_REMOVE = {"removed": "to be removed for good", "failed": "failed"}
_RESTORED = {"restored": "restored", "failed": "failed"}


@click.group()
def trash() -> None:
    """Look at what was deleted or replaced, bring it back, or remove it for good."""


@trash.command("list", epilog=epilog("was-daemon trash list --since '7 days' --config was.toml"))
@click.argument("name", required=False)
@collection_option
@click.option(
    "--since", type=Moment(), metavar="TIME", help="Only what came there since then: a date, or '7 days' ago."
)
@config_option
@json_option
def list_trash(
    name: str | None, collections: tuple[str, ...], since: float | None, config: Path | None, as_json: bool
) -> None:
    """List the versions in the trash, the latest last; NAME, which may have wildcards (* and ?), selects originals.

    A store that cannot be used is left out, with a message and the exit status 1.
    """
    settings = as_any_owner(load_settings(config))
    directories = directories_of(settings, collections)

    async def work(components: "Components") -> int:
        found: list[TrashedVersion] = []
        problems = await _look(components, directories, lambda versions: versions.each(name, since, found.append))
        found.sort(key=lambda version: version.id.at)
        if as_json:
            document = {"versions": [version.document() for version in found], "failed": problems}
            click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        else:
            click.echo("\n".join(_table(found, bool(problems))))
        for store, reason in problems.items():
            click.echo(f"The trash of the store {store} cannot be listed: {reason}", err=True)
        return 1 if problems else 0

    _run(settings, work, is_writing=False)


@trash.command(epilog=epilog("was-daemon trash restore 6e0c0e9c-2f5b-4a51-9d5e-0c9a8f5fbb8e.jpg --config was.toml"))
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@collection_option
@click.option("--replace", is_flag=True, help="Put an original that has the name by now into the trash.")
@config_option
@json_option
def restore(
    names: tuple[str, ...], collections: tuple[str, ...], replace: bool, config: Path | None, as_json: bool
) -> None:
    """Bring back the latest version of each original NAME, or the version with an ID that `trash list` shows.

    An original that was uploaded under the name meanwhile stays, and the version in the trash, without --replace.
    """
    from was_daemon.cli.report import Report

    settings = as_daemon(load_settings(config))
    directories = directories_of(settings, collections)
    report = Report(as_json)

    async def work(components: "Components") -> int:
        for name in names:
            await _restore(components, directories, name, replace, report)
        report.end(_RESTORED)
        return 1 if report.counts["failed"] else 0

    _run(settings, work)


@trash.command(epilog=epilog("was-daemon trash empty --older-than '90 days' --dry-run --config was.toml"))
@collection_option
@click.option("--all", "everything", is_flag=True, help="Remove everything that is in the trash.")
@click.option("--older-than", type=Ago(), metavar="TIME", help="Remove what is there for longer, such as '30 days'.")
@click.option("--dry-run", is_flag=True, help="Remove nothing, only list what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
def empty(
    collections: tuple[str, ...],
    everything: bool,
    older_than: float | None,
    dry_run: bool,
    yes: bool,
    config: Path | None,
    as_json: bool,
) -> None:
    """Remove versions from the trash for good: those that are there for longer than `keep` in the configuration.

    The daemon does the same by itself. Only files are removed that the daemon has put there. A store that cannot be
    used is left out, with a message and the exit status 1.
    """
    settings = load_settings(config)
    before = _limit(settings, everything, older_than)
    settings = as_any_owner(settings) if dry_run else as_daemon(settings)
    directories = directories_of(settings, collections)

    async def work(components: "Components") -> int:
        from was_daemon.cli.report import Report
        from was_daemon.jobs.trash_versions import TrashVersions
        from was_daemon.library.trash.removal import TrashRemoval

        due: list[AssetKey] = []

        async def find(versions: TrashVersions) -> None:
            due.extend(await versions.due(before))

        problems = await _look(components, directories, find)
        if due and not (yes or dry_run):
            click.confirm(_question(due), abort=True, err=True)
        report = Report(as_json)
        for store, reason in problems.items():
            report.describe("failed", f"the store {store}", reason)
        versions = TrashVersions(components.collections, directories)
        await versions.remove(due, None if dry_run else TrashRemoval(components.state.quotas), report, _story)
        report.end(_TO_REMOVE if dry_run else _REMOVED)
        return 1 if report.counts["failed"] else 0

    _run(settings, work, is_writing=not dry_run)


def _run(settings: "Settings", work: "Callable[[Components], Awaitable[int]]", is_writing: bool = True) -> None:
    """Run `work` with the components of `settings`; if it `is_writing`, with the quotas and catalogue of the daemon."""
    from was_daemon.cli.reactor import run

    components = build_components(settings)

    async def run_and_close() -> int:
        async with opened(components, is_writing):
            return await work(components)

    run(run_and_close)


async def _look(
    components: "Components", directories: Sequence[str], look: "Callable[[TrashVersions], Awaitable[None]]"
) -> dict[str, str]:
    """Call `look` with the trash of each store; fire with why that was not possible, by the names of the stores."""
    from was_daemon.jobs.trash_versions import TrashVersions
    from was_daemon.model.errors import AssetError

    stores: dict[str, list[str]] = {}
    for directory in directories:
        stores.setdefault(components.collections.place_in(directory).name, []).append(directory)
    problems: dict[str, str] = {}
    for name, inside in stores.items():
        try:
            await require_directory(components.stores[name])
            await look(TrashVersions(components.collections, inside))
        except AssetError as error:
            problems[name] = str(error)
    return problems


async def _restore(
    components: "Components", directories: Sequence[str], name: str, replace: bool, report: "Report"
) -> None:
    from was_daemon.model.errors import AssetError, AssetExists
    from was_daemon.model.keys import Layout
    from was_daemon.model.trash import TrashId

    found: list[TrashedVersion] = []

    async def find(versions: "TrashVersions") -> None:
        found.extend(await versions.find(name))

    problems = await _look(components, directories, find)
    places = {version.key.collection for version in found}
    if problems and not (found and TrashId.parse(name)):
        # There may be versions of this name, also later ones.
        reasons = ", ".join(
            f"the trash of the store {store} cannot be looked at: {why}" for store, why in problems.items()
        )
        report.describe("failed", name, f"{reasons}; name the collection, if it is one of another store")
        return
    if not found:
        report.describe("failed", name, "is not in the trash")
        return
    if len(places) > 1:
        report.describe("failed", name, f"is in several collections ({', '.join(sorted(places))}): name one of them")
        return
    version = max(found, key=lambda each: each.id.at)
    path = Layout.FLAT.path(version.key)
    try:
        await components.assets.restore(version, replace=replace)
    except AssetExists:
        report.describe("failed", path, "an original has this name by now; --replace puts it into the trash")
    except AssetError as error:
        report.describe("failed", path, str(error))
    else:
        report.describe("restored", path, _story(version))


def _limit(settings: "Settings", everything: bool, older_than: float | None) -> float:
    """Return the Unix time before which versions are to be removed."""
    import time

    if everything and older_than is not None:
        raise click.UsageError("give --all or --older-than, not both")
    if everything:
        return float("inf")
    age = settings.trash.keep if older_than is None else older_than
    if age is None:
        raise click.UsageError("the configuration keeps no trash: say --all, or how old with --older-than")
    return time.time() - age


def _question(due: "Sequence[AssetKey]") -> str:
    from was_daemon.model.trash import TrashId

    size = sum(known.size for key in due if (known := TrashId.of_record(key)))
    return f"Remove {len(due)} {'file' if len(due) == 1 else 'files'}, {readable(size)}, for good?"


def _table(found: "Sequence[TrashedVersion]", is_incomplete: bool) -> list[str]:
    if not found:
        return ["Nothing is known to be in the trash." if is_incomplete else "The trash is empty."]
    rows = [("SINCE", "WHY", "SIZE", "BY", "ORIGINAL", "ID"), *map(_row, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]
    total = sum(version.id.size for version in found)
    return [*lines, f"{len(found)} {'version' if len(found) == 1 else 'versions'}, {readable(total)}"]


def _row(version: "TrashedVersion") -> tuple[str, ...]:
    from was_daemon.model.keys import Layout

    return (
        shown(version.id.at),
        version.reason.value,
        readable(version.id.size),
        version.by or "-",
        printable(Layout.FLAT.path(version.key)),
        version.id.text,
    )


def _story(version: "TrashedVersion") -> str:
    return f"{version.reason} {shown(version.id.at)}"
