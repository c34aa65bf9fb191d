"""How far a command is, as a line on a terminal."""

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
    """Files a second."""

    def render(self, task: Task) -> Text:
        """See `ProgressColumn`."""
        return Text(f"{task.speed:.1f} files/s" if task.speed else "")


@attrs.frozen
class Bar:
    """How far some work is; nothing is seen of it where nobody looks."""

    _progress: Progress
    _task: Any

    @property
    def is_seen(self) -> bool:
        """Whether somebody looks at it."""
        return not self._progress.disable

    def step(self) -> None:
        """One more is done."""
        self._progress.advance(self._task)

    def set_total(self, total: int) -> None:
        """This many there are."""
        self._progress.update(self._task, total=total)


@contextmanager
def bar(title: str) -> Iterator[Bar]:
    """A line on a terminal with rate and time left, there as long as the context lasts."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as progress:
        yield Bar(progress, progress.add_task(title, total=None))


async def go_through(
    title: str,
    items: Callable[[], AsyncGenerator[T, None]],
    parallel: int,
    work: Callable[[T], Awaitable[None]],
) -> None:
    """`for_each` of what `items` yields whenever it is called, with a bar of that title."""
    with bar(title) as shown:

        async def step(item: T) -> None:
            await work(item)
            shown.step()

        counting = Deferred.fromCoroutine(_set_total(shown, items))
        try:
            await for_each(items(), parallel, step)
        finally:
            counting.cancel()


async def _set_total(shown: Bar, items: Callable[[], AsyncGenerator[T, None]]) -> None:
    """How many there are is counted while the work goes on already: the time left is worth that to whoever looks."""
    if shown.is_seen:
        with suppress(AssetError, CancelledError):
            shown.set_total(await count_items(items()))
