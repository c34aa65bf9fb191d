"""`was-daemon mirror verify` and `repair`: the copies of a mirror."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from was_daemon.cli.changes import as_daemon
from was_daemon.cli.names import check_names, names_option, opened_if_given, require_names
from was_daemon.cli.options import config_option, epilog, json_option, load_settings
from was_daemon.cli.targets import collection_option, create_stores, directories_of

if TYPE_CHECKING:
    from was_daemon.model.interfaces import IAssetStore
    from was_daemon.model.mirror import IMirror

_WORDS = {
    "same": "the same on both sides",
    "waiting": "about to follow",
    "uncopied": "not in the copy",
    "lost": "lost by the primary",
    "differs": "differ",
    "extra": "in the copy only",
    "failed": "failed",
    "gone": "deleted meanwhile",
    "missing": "missing",
}
_REPAIRED = {
    **{word: text for word, text in _WORDS.items() if word not in ("uncopied", "lost")},
    "copied": "to the copy",
    "restored": "to the primary",
}
_WRONG = ("uncopied", "lost", "differs", "failed", "missing")

store_option = click.option("--store", metavar="STORE", help="The mirror; needed if there are several.")
deep_option = click.option("--deep", is_flag=True, help="Read all bytes on both sides, and compare their digests.")
parallel_option = click.option(
    "--parallel", default=8, show_default=True, type=click.IntRange(1, 256), help="Files at a time."
)


@click.group()
def mirror() -> None:
    """Compare the copies of a mirror with its primary, and repair either side."""


@mirror.command(epilog=epilog("was-daemon mirror verify --deep --config was.toml"))
@store_option
@collection_option
@names_option
@deep_option
@parallel_option
@config_option
@json_option
def verify(
    store: str | None,
    collections: tuple[str, ...],
    names: str | None,
    deep: bool,
    parallel: int,
    config: Path | None,
    as_json: bool,
) -> None:
    """Compare the names and sizes of the files in the primary with those in each copy.

    A line for each file that a copy lacks, that the primary has lost, or that differs. An interrupted command is
    started again, and goes on. The daemon may go on meanwhile. The first comparison also tells the daemon what is in a
    copy, so that it need not ask there for names that are new. A copy that cannot be compared keeps none of the others
    from it. With --names, a side that cannot list its files is asked for each of these originals.
    """
    _run(config, store, collections, names, deep, parallel, as_json, None)


@mirror.command(epilog=epilog("was-daemon mirror repair --dry-run --config was.toml"))
@store_option
@collection_option
@names_option
@deep_option
@parallel_option
@click.option("--dry-run", is_flag=True, help="Write nothing, only list what would be done.")
@click.option(
    "--prefer",
    type=click.Choice(["primary", "copy"]),
    help="Of files that differ, have the other side get the bytes of this one. Without it they are left alone.",
)
@config_option
@json_option
def repair(
    store: str | None,
    collections: tuple[str, ...],
    names: str | None,
    deep: bool,
    parallel: int,
    dry_run: bool,
    prefer: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Compare as `mirror verify` does, and give each side the files that it lacks.

    A copy gets what is new or was never copied; the primary gets back what it has lost, as after a disk was replaced.
    Nothing is deleted. The daemon may go on meanwhile; what somebody deletes or uploads then counts.
    """
    _run(config, store, collections, names, deep, parallel, as_json, (dry_run, prefer))


def _run(
    config: Path | None,
    store: str | None,
    collections: Sequence[str],
    names: str | None,
    deep: bool,
    parallel: int,
    as_json: bool,
    repairing: tuple[bool, str | None] | None,
) -> None:
    from was_daemon.cli.reactor import RESUMED, run

    settings = load_settings(config)
    directories = directories_of(settings, collections)
    check_names(settings, names, directories)
    settings = as_daemon(settings)
    stores = create_stores(settings)
    found = _find_mirror(stores, store)
    sides = {id(side) for side in (found.primary, *found.copies.values())}
    require_names([(name, each) for name, each in stores.items() if id(each) in sides], names)

    async def work() -> int:
        from was_daemon.cli.mirror_comparison import Wanted, compare_copies, follow
        from was_daemon.cli.report import Report
        from was_daemon.jobs.mirror.repair import Repair, Side
        from was_daemon.library.spool import Spool

        report = Report(as_json)
        spool = Spool(settings.spool.path, settings.spool.max_size)
        mender = Repair(found, spool, Side(repairing[1]) if repairing[1] else None, repairing[0]) if repairing else None
        wanted = Wanted(directories, not collections, deep, parallel)
        not_compared: dict[str, str] = {}
        try:
            async with opened_if_given(settings, names, directories) as given:
                not_compared = await compare_copies(found, wanted, report, as_json, mender, given)
            if mender and not mender.dry_run and report.counts["copied"]:
                await follow(found, not_compared)
        finally:
            for each in reversed(stores.values()):
                await each.close()
            await spool.close()
            left_out = [{"copy": name, "reason": reason} for name, reason in not_compared.items()]
            size = {"bytes": mender.bytes} if mender else {}
            report.end(_REPAIRED if repairing else _WORDS, {"not_compared": left_out}, **size)
        return 1 if not_compared or any(report.counts[word] for word in _WRONG) else 0

    run(work, RESUMED)


def _find_mirror(stores: "dict[str, IAssetStore]", name: str | None) -> "IMirror":
    from was_daemon.model.mirror import IMirror

    mirrors = {each: store for each, store in stores.items() if IMirror.providedBy(store)}
    if not mirrors:
        raise click.ClickException('no store has plugin = "mirror"')
    if name is None and len(mirrors) > 1:
        raise click.UsageError(f"name the mirror with --store; there are {', '.join(mirrors)}")
    if name is not None and name not in mirrors:
        raise click.BadParameter(f"no mirror is called {name}; there are {', '.join(mirrors)}", param_hint="--store")
    return IMirror(mirrors[name or next(iter(mirrors))])
