"""The work that a process does by itself, for the console: what is known of each part, and how far it has come."""

import time
from collections.abc import Iterator, Sequence

from was_daemon.daemon.components import Components
from was_daemon.health.mirrors import waiting
from was_daemon.health.report import Report
from was_daemon.health.work import Task
from was_daemon.jobs.progress_file import CommandProgress
from was_daemon.model.durations import counted, exactly, in_words
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.mirror import IMirror
from was_daemon.model.sizes import readable


async def tasks_of(components: Components, report: Report, commands: Sequence[CommandProgress]) -> list[Task]:
    """Fire with what the components and commands do, and what `report` tells of them."""
    return [
        *map(_command, commands),
        _jobs(components),
        *_warming(components),
        *_fixity(components),
        *_copies(components, report),
        *_promotions(report),
        *await _catalogue(components),
        *_specify(components),
        *_trash(components, report),
    ]


def _command(progress: CommandProgress) -> Task:
    of = f" of {progress.total}" if progress.total else ""
    ago = in_words(time.time() - progress.began)
    state = f"{progress.title}: {progress.done}{of} done, begun {ago} ago."
    return Task(progress.command, state, progress.done if progress.total else None, progress.total)


def _jobs(components: Components) -> Task:
    pool = components.pool
    state = (
        f"{counted(pool.running, 'job')} of the workers under way; {pool.waiting(background=False)} wait, and "
        f"{pool.waiting(background=True)} in the background."
    )
    return Task("Thumbnails and metadata", state, problem=pool.problem() or "")


def _warming(components: Components) -> Iterator[Task]:
    settings = components.settings
    if settings.thumbnails.warm or settings.zoom.warm:
        number = components.assets.warming
        yield Task("Warming", f"{counted(number, 'new original')} to make thumbnails of before anybody asks.")


def _fixity(components: Components) -> Iterator[Task]:
    fixity = components.fixity
    if not fixity or not fixity.plan:
        return
    progress = fixity.progress()
    if not components.state.process.is_first:
        yield Task("Fixity", "Process 1 reads the originals.")
    elif not progress:
        yield Task("Fixity", "The originals are being counted.")
    else:
        done = progress.originals - progress.due
        told = fixity.plan.describe(progress)
        yield Task("Fixity", f"{told[0].upper()}{told[1:]}.", done, progress.originals)


def _copies(components: Components, report: Report) -> Iterator[Task]:
    for name, mirror in report.mirrors.items():
        for copy, state in mirror.copies.items():
            copied = _copied(components.stores[name], copy)
            told = f"{waiting(state)}, the first for {in_words(state.lag)}." if state.files else "It has everything."
            lost = f" {counted(state.lost, 'file')} were lost before they were copied." if state.lost else ""
            total = copied + state.files if state.files else None
            yield Task(f"Copy {copy} of store {name}", told + lost, copied, total, state.problem)


def _copied(store: IAssetStore, copy: str) -> int:
    return IMirror(store).copied[copy]


def _promotions(report: Report) -> Iterator[Task]:
    for name, state in report.promotions.items():
        failed = counted(state.failed, "attempt")
        told = f"{counted(state.waiting, 'original')} to be promoted; {state.promoted} were, and {failed} failed."
        yield Task(f"Promotion in store {name}", told, problem=state.problem)


async def _catalogue(components: Components) -> list[Task]:
    catalogue = components.catalogue
    if not catalogue:
        return []
    title = "Catalogue"
    try:
        number = await catalogue.journal.count()
    except StoreUnavailable as error:
        return [Task(title, "It is not known what is to be entered.", problem=str(error))]
    return [Task(title, f"{counted(number, 'change')} to be entered." if number else "Every change is entered.")]


def _specify(components: Components) -> Iterator[Task]:
    for name, reader in components.specify.items():
        if not reader.read_at:
            yield Task(f"Specify's records in {name}", "They were not read yet.")
            continue
        ago = in_words(time.time() - reader.read_at)
        yield Task(f"Specify's records in {name}", f"{counted(reader.rows, 'attachment')}, last read {ago} ago.")


def _trash(components: Components, report: Report) -> Iterator[Task]:
    keep = components.settings.trash.keep
    for name, size in report.trash.items():
        state = f"{counted(size.files, 'file')}, {readable(size.bytes)}; each is kept for {exactly(keep or 0)}."
        yield Task(f"Trash of store {name}", state)
