"""Reading of Specify's databases at intervals, into the catalogue."""

import time
from collections.abc import AsyncGenerator, Container, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import groupby

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.config.settings import SpecifySettings
from was_daemon.model.errors import AssetError, StoreUnavailable
from was_daemon.specify.attachments import Page
from was_daemon.specify.database import Snapshot, SpecifyDatabase, Sums
from was_daemon.specify.export import BadExport, Export
from was_daemon.specify.records import Source, keep, last_reading, note_reading, tells_visibility

_RETRY_SECONDS = 60.0
_PAUSE_SECONDS = 0.02
"""Pause of a daemon after each page, which takes as long: Python computes in one thread at a time."""


class TooFewRows(StoreUnavailable):
    """A database that has suspiciously few attachments or columns, so that the catalogue keeps what is known."""


class SpecifyReader:
    """Reader of a database of Specify, which keeps in the catalogue what it says of attachments.

    It asks the database for checksums of the table's rows in buckets, and reads the buckets whose checksum has changed;
    the whole table at the start, and once a day at `full_at`. A daemon leaves out a reading when another has just done
    it.
    """

    _log = Logger()

    def __init__(self, source: Source, settings: SpecifySettings, catalogue: CatalogueDatabase) -> None:
        from twisted.internet import reactor

        assert settings.url  # noqa: S101  # of other sources only exports are read
        self.source = source
        self.rows = 0
        self.read_at = 0.0
        self._settings = settings
        self._catalogue = catalogue
        self._database = SpecifyDatabase(source.name, settings.url, settings.password_file)
        self._clock = IReactorTime(reactor)
        self._tasks = BackgroundTasks()
        self._sums: Sums | None = None
        self._whole_at = 0.0
        self._missing: list[str] = []
        self._problem: AssetError | None = None

    @property
    def is_up(self) -> bool:
        """Whether the last reading went well."""
        return self._problem is None

    def start(self) -> None:
        """Begin to read at intervals."""
        self._tasks.start(self._read_for_ever())

    async def check(self) -> None:
        """Raise `StoreUnavailable` with the reason, and the time of the last success, when the last reading failed."""
        if self._problem:
            last = f"{_local(self.read_at):%Y-%m-%d %H:%M}" if self.read_at else "never"
            raise StoreUnavailable(f"{_words(self._problem)}; last read: {last}")

    async def read(self, whole: bool = False, pause: float = 0.0) -> int:
        """Read what has changed since the last call, or everything; fire with the number of changed records.

        `pause` are seconds to leave to other work after each thousand rows. Raises `StoreUnavailable` when the database
        or the catalogue cannot be used, and `TooFewRows`.
        """
        changed, now = 0, time.time()
        async with self._database.snapshot() as snapshot:
            self._note_missing(snapshot)
            sums = await snapshot.sums()
            await require_enough(self._catalogue, self.source.name, self._settings, sums.rows, snapshot.columns)
            before = None if whole else self._sums
            for first, stop in _changed_spans(before, sums):
                changed += await keep_all(self._catalogue, self.source, snapshot.pages(first, stop), pause)
        await self._catalogue.run(note_reading, self.source.name, sums.rows, now)
        self._sums, self.rows, self.read_at = sums, sums.rows, now
        if before is None:
            self._whole_at = self.read_at
        return changed

    async def close(self) -> None:
        """Stop reading."""
        self._tasks.cancel()
        await self._tasks.settled()
        await self._database.close()

    async def _read_for_ever(self) -> None:
        while True:
            every = self._settings.every
            await deferLater(self._clock, every if await self._try() else min(every, _RETRY_SECONDS))

    async def _try(self) -> bool:
        try:
            await self._read_if_due()
        except CancelledError:
            raise
        except AssetError as error:
            self._note_failure(error)
            return False
        except Exception:
            if self.is_up:
                self._log.failure("specify.{name}: the database could not be read", name=self.source.name)
            self._problem = StoreUnavailable("internal error")
            return False
        self._note_success()
        return True

    async def _read_if_due(self) -> None:
        now = time.time()
        last = await self._catalogue.read(last_reading, self.source.name)
        if last and self._sums and 0 <= now - last.at < self._settings.every / 2:
            self.rows, self.read_at = last.rows, last.at
            return
        whole = self._whole_at < last_time(self._settings.full_at, _local(now))
        await self.read(whole, _PAUSE_SECONDS)

    def _note_missing(self, snapshot: Snapshot) -> None:
        before, self._missing = self._missing, snapshot.missing
        if self._missing and self._missing != before:
            self._log.warn(
                "specify.{name}: without the columns {columns}, which the table lacks or the account may not read",
                name=self.source.name,
                columns=", ".join(self._missing),
            )

    def _note_failure(self, error: AssetError) -> None:
        if self.is_up:
            self._log.error(
                "specify.{name}: {problem}: what was last read counts", name=self.source.name, problem=_words(error)
            )
        self._problem = error

    def _note_success(self) -> None:
        if not self.is_up:
            self._log.info("specify.{name}: the database is read again", name=self.source.name)
        self._problem = None


async def require_enough(
    catalogue: CatalogueDatabase, name: str, settings: SpecifySettings, rows: int, columns: Container[str]
) -> None:
    """Raise `TooFewRows` if `rows` are less than `min_rows`, or than `min_share` of those at the last reading, or if
    nobody tells any more what is public; `columns` are the fields of `Attachment` that can be read."""
    last = await catalogue.read(last_reading, name)
    if rows < settings.min_rows:
        raise TooFewRows(f"specify.{name} has {rows} attachments, fewer than min_rows, {settings.min_rows}")
    if last and rows < last.rows * settings.min_share:
        raise TooFewRows(
            f"specify.{name} has {rows} attachments, and had {last.rows}: fewer than min_share allows. "
            f"If that is right: was-daemon specify read {name} --accept-fewer"
        )
    if settings.min_share and "is_public" not in columns and await catalogue.read(tells_visibility, name):
        # With unknown = "public", all private files would be public.
        raise TooFewRows(
            f"specify.{name} had the column IsPublic, which is not there, or cannot be read, any more. "
            f"If that is right: was-daemon specify read {name} --accept-fewer"
        )


async def read_export(catalogue: CatalogueDatabase, source: Source, settings: SpecifySettings, export: Export) -> int:
    """Do as `SpecifyReader.read` with an export that has been loaded; raises `BadExport` if it has no AttachmentIDs."""
    if not export.has_numbers:
        raise BadExport(f"{export.path} has no column AttachmentID, by which records are known again")
    await require_enough(catalogue, source.name, settings, export.rows, export.columns)
    changed = await keep_all(catalogue, source, export.pages())
    await catalogue.run(note_reading, source.name, export.rows, min(export.modified, time.time()))
    return changed


async def keep_all(
    catalogue: CatalogueDatabase, source: Source, pages: AsyncGenerator[Page, None], pause: float = 0.0
) -> int:
    """Keep the attachments of all pages in the catalogue; fire with the number of changed records."""
    from twisted.internet import reactor

    changed = 0
    async with aclosing(pages):
        async for page in pages:
            changed += await _keep(catalogue, source, page)
            if pause:
                await deferLater(IReactorTime(reactor), pause)
    return changed


async def _keep(catalogue: CatalogueDatabase, source: Source, page: Page) -> int:
    try:
        return await catalogue.run(keep, source, page)
    except StoreUnavailable:
        # Another daemon may have entered one of the records at the same time, which is seen now.
        return await catalogue.run(keep, source, page)


def _changed_spans(before: Sums | None, now: Sums) -> Iterator[tuple[int, int | None]]:
    """Yield the spans of AttachmentIDs in which rows have changed, from the first to before the last; all without
    `before`."""
    if before is None or before.size != now.size:
        yield 0, None
        return
    old, new, size = before.buckets, now.buckets, now.size
    different = sorted(first for first in old.keys() | new.keys() if old.get(first) != new.get(first))
    for _, group in groupby(enumerate(different), lambda pair: pair[1] - pair[0] * size):
        firsts = [first for _, first in group]
        yield firsts[0], firsts[-1] + size


def _local(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone()


def last_time(clock: str, now: datetime) -> float:
    """Return the Unix time of the last moment at which a local clock, which shows `now`, showed "HH:MM"."""
    hour, minute = map(int, clock.split(":"))
    moment = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (moment if moment <= now else moment - timedelta(days=1)).timestamp()


def _words(error: AssetError) -> str:
    return f"{error} ({error.reason})" if error.reason else str(error)
