"""Progress bars on a terminal."""

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import attrs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from twisted.internet.defer import CancelledError, Deferred

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
    """Progress bar, which is visible only when stderr is a terminal."""

    _progress: Progress
    _task: Any

    @property
    def is_visible(self) -> bool:
        """Whether the bar is drawn."""
        return not self._progress.disable

    def advance(self) -> None:
        """Count one more file as done."""
        self._progress.advance(self._task)

    def set_total(self, total: int) -> None:
        """Set the number of files, which is unknown at first."""
        self._progress.update(self._task, total=total)


@contextmanager
def progress_bar(title: str) -> Iterator[ProgressBar]:
    """Draw a progress bar with rate and time left for as long as the context lasts."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as progress:
        yield ProgressBar(progress, progress.add_task(title, total=None))


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
