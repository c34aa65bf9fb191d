"""Comparison of all copies of a mirror for `was-daemon mirror`, whatever is the matter with one of them."""

from collections.abc import Collection, Mapping, Sequence

import attrs
import click
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from was_daemon.cli.progress import for_each_with_bar
from was_daemon.cli.report import Report
from was_daemon.cli.targets import require_directory
from was_daemon.health.mirrors import stranger_warnings
from was_daemon.jobs.mirror.comparison import Comparison
from was_daemon.jobs.mirror.once import Once
from was_daemon.jobs.mirror.repair import Repair
from was_daemon.jobs.report import JobReport
from was_daemon.jobs.traverse import require_answer
from was_daemon.model.composition import IBackgroundWork
from was_daemon.model.errors import AssetError, StoreUnavailable
from was_daemon.model.mirror import IMirror
from was_daemon.stores.layers.named import Names

_PATIENCE_SECONDS = 120.0
"""Seconds without any progress after which `repair` does not wait for a copy any longer."""


@attrs.frozen
class Wanted:
    """What to compare, and how: see `Comparison`. `is_whole` tells that `directories` are all there are."""

    directories: Sequence[str]
    is_whole: bool
    deep: bool
    parallel: int


@attrs.frozen
class _CopyReport(JobReport):
    """Report about one copy, whose lines say `where` that is."""

    report: Report
    where: Mapping[str, str]

    def count(self, state: str, number: int = 1) -> None:
        """See `JobReport`."""
        self.report.count(state, number)

    def describe(self, state: str, path: str, reason: str) -> None:
        """See `JobReport`."""
        self.report.describe(state, path, reason, **self.where)


async def compare_copies(
    mirror: IMirror, wanted: Wanted, report: Report, as_json: bool, mender: Repair | None, names: Names | None
) -> dict[str, str]:
    """Compare each copy with the primary; fire with those that could not be, by name, and the reasons.

    A copy that cannot be used keeps none of the others from being compared. Raises what the primary raises.
    """
    await require_directory(mirror.primary)
    await require_answer(mirror.primary, wanted.directories)
    for warning in stranger_warnings(str(mirror), await mirror.journal.other_settings()):
        click.echo(f"WARNING {warning}", err=True)
    not_compared = {}
    once = Once()
    try:
        for name, copy in mirror.copies.items():
            where = {"copy": name} if as_json or len(mirror.copies) > 1 else {}
            of_copy = _CopyReport(report, where)
            comparison = Comparison(mirror, name, wanted.directories, of_copy, once, wanted.deep, mender, names)
            try:
                await require_directory(copy)
                await require_answer(copy, wanted.directories)
                await _compare(comparison, wanted, report)
            except AssetError as error:
                not_compared[name] = str(error)
                click.echo(f"The copy {name} was not compared, or not to the end: {error}", err=True)
    finally:
        await once.close()
    return not_compared


async def _compare(comparison: Comparison, wanted: Wanted, report: Report) -> None:
    failed = report.counts["failed"]
    await comparison.begin()
    await for_each_with_bar(f"In {comparison.name}", comparison.in_primary, wanted.parallel, comparison.compare)
    await for_each_with_bar(f"From {comparison.name}", comparison.in_copy, wanted.parallel, comparison.look_for)
    if report.counts["failed"] == failed:
        await comparison.end(wanted.is_whole)


async def follow(mirror: IMirror, left_out: Collection[str]) -> None:
    """Have the copies follow until nothing waits, together with a daemon that runs, or in its place.

    The copies that are `left_out` are not waited for.
    """
    from twisted.internet import reactor

    clock = IReactorTime(reactor)
    IBackgroundWork(mirror).start()
    before, since = -1, clock.seconds()
    while True:
        states = {name: state for name, state in (await mirror.states()).items() if name not in left_out}
        left = sum(state.files for state in states.values())
        if not left:
            return
        if left != before:
            before, since = left, clock.seconds()
        elif clock.seconds() - since > _PATIENCE_SECONDS:
            problems = [f"{name}: {state.problem}" for name, state in states.items() if state.problem]
            raise StoreUnavailable(f"{left} files wait for the copies: {'; '.join(problems) or 'see the log'}")
        await deferLater(clock, 0.5)
