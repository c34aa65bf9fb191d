"""Going through the files of a store, some at a time, and telling how far it is."""

import json
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from typing import Any, Generic, TypeVar

import attrs
import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredLock, FirstError, gatherResults

from was_daemon.errors import AssetError
from was_daemon.interfaces import IAssetStore
from was_daemon.keys import AssetKey, Kind
from was_daemon.usage import readable

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


async def listing(store: IAssetStore, directories: Sequence[str], kind: Kind) -> AsyncGenerator[AssetKey, None]:
    """The keys of that kind in these collections of a store, one after another."""
    for directory in directories:
        async with aclosing(store.list(directory, kind)) as keys:
            async for key in keys:
                yield key


async def count(keys: AsyncGenerator[Any, None]) -> int:
    """How many there are."""
    number = 0
    async with aclosing(keys):
        async for _ in keys:
            number += 1
    return number


class _Turns(Generic[T]):
    """One iterator for several who each take what is next."""

    def __init__(self, items: AsyncIterator[T]) -> None:
        self._items = items
        self._lock = DeferredLock()

    async def each(self, work: Callable[[T], Awaitable[None]]) -> None:
        while True:
            await self._lock.acquire()
            try:
                item = await anext(self._items)
            except StopAsyncIteration:
                return
            finally:
                self._lock.release()
            await work(item)


async def for_each(items: AsyncGenerator[T, None], parallel: int, work: Callable[[T], Awaitable[None]]) -> None:
    """Do `work` on every item, on at most `parallel` at a time; items are taken when there is room for them.

    What `work` or `items` raise ends all of it, as does cancelling.
    """
    async with aclosing(items):
        turns = _Turns(items)
        workers = [Deferred.fromCoroutine(turns.each(work)) for _ in range(parallel)]
        try:
            await gatherResults(workers, consumeErrors=True)
        except FirstError as error:
            error.subFailure.raiseException()
        finally:
            for worker in workers:
                worker.cancel()
            await DeferredList(workers, consumeErrors=True)


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
            shown.set_total(await count(items()))


class Report:
    """What is worth a line is printed as it comes, and counts at the end: as text, or as one JSON object."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._listed = 0
        self.counts: Counter[str] = Counter()

    def count(self, word: str) -> None:
        """One more went like that."""
        self.counts[word] += 1

    def tell(self, word: str, what: str, reason: str) -> None:
        """Count, and tell what it was."""
        self.count(word)
        if not self._as_json:
            line = f"{word:<9} {what}" + (f": {reason}" if reason else "")
            click.echo("".join(each if each.isprintable() else "\ufffd" for each in line))
            return
        # As it comes: there may be a million of them.
        click.echo('{"files": [' if not self._listed else ",")
        self._listed += 1
        click.echo(json.dumps({"state": word, "file": what, "reason": reason}, ensure_ascii=False), nl=False)

    def end(self, words: dict[str, str], **sizes: int) -> None:
        """Print the counts: `words` are all states, with what a sentence calls them; `sizes` are bytes."""
        if not self._as_json:
            told = [f"{self.counts[word]} {text}" for word, text in words.items()]
            click.echo(", ".join(told + [readable(size) for size in sizes.values()]))
            return
        click.echo("\n]," if self._listed else '{"files": [],')
        rest = {word: self.counts[word] for word in words} | sizes
        click.echo(json.dumps(rest, ensure_ascii=False)[1:])
