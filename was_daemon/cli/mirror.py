"""`was-daemon mirror verify` and `repair`: the copies of a mirror."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from was_daemon.cli.changes import as_daemon
from was_daemon.cli.options import config_option, epilog, json_option, load_settings
from was_daemon.cli.targets import collection_option, create_stores, directories_of, require_directory

if TYPE_CHECKING:
    from was_daemon.cli.report import Report
    from was_daemon.config.settings import Settings
    from was_daemon.jobs.mirror.repair import Repair
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
}
_REPAIRED = {
    **{word: text for word, text in _WORDS.items() if word not in ("uncopied", "lost")},
    "copied": "to the copy",
    "restored": "to the primary",
}
_WRONG = ("uncopied", "lost", "differs", "failed")

_PATIENCE_SECONDS = 120.0
"""Seconds without any progress after which `repair` does not wait for a copy any longer."""

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
@deep_option
@parallel_option
@config_option
@json_option
def verify(
    store: str | None, collections: tuple[str, ...], deep: bool, parallel: int, config: Path | None, as_json: bool
) -> None:
    """Compare the names and sizes of the files in the primary with those in each copy.

    A line for each file that a copy lacks, that the primary has lost, or that differs. An interrupted command is
    started again, and goes on. The daemon may go on meanwhile. The first comparison also tells the daemon what is in a
    copy, so that it need not ask there for names that are new.
    """
    settings = as_daemon(load_settings(config))
    _run(settings, store, collections, deep, parallel, as_json, None)


@mirror.command(epilog=epilog("was-daemon mirror repair --dry-run --config was.toml"))
@store_option
@collection_option
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
    settings = as_daemon(load_settings(config))
    _run(settings, store, collections, deep, parallel, as_json, (dry_run, prefer))


def _run(
    settings: "Settings",
    store: str | None,
    collections: Sequence[str],
    deep: bool,
    parallel: int,
    as_json: bool,
    repairing: tuple[bool, str | None] | None,
) -> None:
    from was_daemon.cli.reactor import RESUMED, run

    stores = create_stores(settings)
    found = _find_mirror(stores, store)
    directories = directories_of(settings, collections)
    is_whole = not collections

    async def work() -> int:
        from was_daemon.cli.report import Report
        from was_daemon.jobs.mirror.repair import Repair, Side
        from was_daemon.library.spool import Spool

        report = Report(as_json)
        spool = Spool(settings.spool.path, settings.spool.max_size)
        mender = Repair(found, spool, Side(repairing[1]) if repairing[1] else None, repairing[0]) if repairing else None
        try:
            await _compare(found, directories, deep, parallel, report, mender, is_whole)
            if mender and not mender.dry_run and report.counts["copied"]:
                await _follow(found)
        finally:
            for each in reversed(stores.values()):
                await each.close()
            await spool.close()
            report.end(_REPAIRED if repairing else _WORDS, **({"bytes": mender.bytes} if mender else {}))
        return 1 if any(report.counts[word] for word in _WRONG) else 0

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


async def _compare(
    mirror: "IMirror",
    directories: Sequence[str],
    deep: bool,
    parallel: int,
    report: "Report",
    mender: "Repair | None",
    is_whole: bool,
) -> None:
    from was_daemon.cli.progress import for_each_with_bar
    from was_daemon.jobs.mirror.comparison import Comparison

    await require_directory(mirror.primary)
    for name, copy in mirror.copies.items():
        await require_directory(copy)
        comparison = Comparison(mirror, name, directories, report, deep, mender)
        await comparison.begin()
        await for_each_with_bar(f"In {name}", comparison.in_primary, parallel, comparison.compare)
        await for_each_with_bar(f"From {name}", comparison.in_copy, parallel, comparison.look_for)
        if not report.counts["failed"]:
            await comparison.end(is_whole)


async def _follow(mirror: "IMirror") -> None:
    """Have the copies follow until nothing waits, together with a daemon that runs, or in its place."""
    from twisted.internet import reactor
    from twisted.internet.interfaces import IReactorTime
    from twisted.internet.task import deferLater

    from was_daemon.model.composition import IBackgroundWork
    from was_daemon.model.errors import StoreUnavailable

    clock = IReactorTime(reactor)
    IBackgroundWork(mirror).start()
    before, since = -1, clock.seconds()
    while True:
        states = await mirror.states()
        left = sum(state.files for state in states.values())
        if not left:
            return
        if left != before:
            before, since = left, clock.seconds()
        elif clock.seconds() - since > _PATIENCE_SECONDS:
            problems = [f"{name}: {state.problem}" for name, state in states.items() if state.problem]
            raise StoreUnavailable(f"{left} files wait for the copies: {'; '.join(problems) or 'see the log'}")
        await deferLater(clock, 0.5)
