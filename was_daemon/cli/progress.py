"""Progress bars on a terminal, and in the console of the daemon."""

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import attrs
import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from twisted.internet.defer import CancelledError, Deferred

from was_daemon.cli.options import CONSOLE_DIRECTORY
from was_daemon.jobs.progress_file import ProgressFile
from was_daemon.jobs.traverse import count_items, for_each
from was_daemon.model.errors import AssetError

T = TypeVar("T")


class _Rate(ProgressColumn):
    """Column with the number of files a second."""

    def render(self, task: Task) -> Text:
        """See `ProgressColumn`."""
        return Text(f"{task.speed:.1f} files/s" if task.speed else "")


@attrs.frozen
class ProgressBar:
    """Progress bar, which is visible only when stderr is a terminal; `_file` is for the console, if there is one."""

    _progress: Progress
    _task: Any
    _file: ProgressFile | None

    @property
    def is_visible(self) -> bool:
        """Whether the bar is drawn."""
        return not self._progress.disable

    def advance(self) -> None:
        """Count one more file as done."""
        self._progress.advance(self._task)
        if self._file:
            self._file.advance()

    def set_total(self, total: int) -> None:
        """Set the number of files, which is unknown at first."""
        self._progress.update(self._task, total=total)
        if self._file:
            self._file.set_total(total)


@contextmanager
def progress_bar(title: str) -> Iterator[ProgressBar]:
    """Draw a progress bar with rate and time left for as long as the context lasts, and tell the console of it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as progress:
        file = _progress_file(title)
        try:
            yield ProgressBar(progress, progress.add_task(title, total=None), file)
        finally:
            if file:
                file.close()


def _progress_file(title: str) -> ProgressFile | None:
    """Return the file for the console of the daemon whose configuration the command has read."""
    context = click.get_current_context(silent=True)
    directory = context and context.meta.get(CONSOLE_DIRECTORY)
    return ProgressFile(directory, context.command_path, title) if context and directory else None


async def for_each_with_bar(
    title: str,
    items: Callable[[], AsyncGenerator[T, None]],
    parallel: int,
    work: Callable[[T], Awaitable[None]],
) -> None:
    """Do as `for_each`, with a progress bar. `items` is called a second time if they have to be counted."""
    with progress_bar(title) as bar:

        async def step(item: T) -> None:
            await work(item)
            bar.advance()

        counting = Deferred.fromCoroutine(_set_total(bar, items))
        try:
            await for_each(items(), parallel, step)
        finally:
            counting.cancel()


async def _set_total(bar: ProgressBar, items: Callable[[], AsyncGenerator[T, None]]) -> None:
    """Count the items for a visible bar, while the work goes on already."""
    if bar.is_visible:
        with suppress(AssetError, CancelledError):
            bar.set_total(await count_items(items()))
