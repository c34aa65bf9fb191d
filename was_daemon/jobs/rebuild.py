"""Entry of stored originals in the catalogue, with their checksums and what is in them, from one reading of each."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from io import FileIO

from twisted.internet.defer import DeferredLock

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.describing import Undescribed, describe, describe_content, undescribed_after
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.searching import Cursor
from was_daemon.jobs.facts import FactsReader
from was_daemon.jobs.report import JobReport
from was_daemon.library.collections import Original, Place
from was_daemon.library.spool import Spool
from was_daemon.model.digests import Digest, Hasher
from was_daemon.model.errors import AssetError, AssetNotFound, Interrupted
from was_daemon.model.facts import Facts
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Layout

_PIECE = 1 << 20
_BATCH = 100
"""Facts that are held until they are entered in the database together."""

_PAGE_ROWS = 1000


class Rebuilder:
    """Enters originals of the store called `name`; without `reader`, what is in them is left to the daemon."""

    def __init__(
        self,
        name: str,
        store: IAssetStore,
        catalogue: Catalogue,
        spool: Spool,
        reader: FactsReader | None,
        report: JobReport,
    ) -> None:
        self._name = name
        self._store = store
        self._catalogue = catalogue
        self._spool = spool
        self._reader = reader
        self._report = report
        self._new: list[tuple[str, AssetKey, str, Facts]] = []
        self._known: list[tuple[Undescribed, Facts]] = []
        self._flushing = DeferredLock()

    async def undescribed(self, directories: Sequence[str]) -> AsyncGenerator[Undescribed, None]:
        """Yield the recorded originals in these collections that are not described; none without a reader."""
        if not self._reader:
            return
        after: Cursor | None = None
        while True:
            rows, after = await self._catalogue.read(undescribed_after, self._name, directories, after, _PAGE_ROWS)
            for row in rows:
                yield row
            if after is None:
                return

    async def enter(self, key: AssetKey) -> None:
        """Read an original, and enter what is found."""
        # What the daemon changes from now on counts more.
        began = time.time()
        try:
            with await self._open(key) as source:
                digest = await self._spool.in_thread(_digest_of, source)
                facts = await self._facts(source, key)
        except AssetError as error:
            self._report.describe("failed", Layout.FLAT.path(key), str(error))
            return
        await self._catalogue.add(Event.new(EventKind.FOUND, self._name, key, digest, at=began))
        if facts:
            self._new.append((self._name, key, digest.sha256, facts))
        self._report.count("recorded")
        await self._flush_many()

    async def describe(self, row: Undescribed) -> None:
        """Look into an original that is recorded already."""
        assert self._reader  # noqa: S101 - without one, `undescribed` yields nothing
        try:
            with await self._open(row.key) as source:
                facts = await self._reader.read(source, row.key.name)
        except AssetNotFound:
            self._report.count("missing")
            return
        except AssetError as error:
            self._report.describe("failed", Layout.FLAT.path(row.key), str(error))
            return
        self._known.append((row, facts))
        self._report.count("described")
        await self._flush_many()

    async def _facts(self, source: FileIO, key: AssetKey) -> Facts | None:
        with suppress(Interrupted):
            return await self._reader.read(source, key.name) if self._reader else None
        # The daemon tries it again.
        return None

    async def _open(self, key: AssetKey) -> FileIO:
        place = Place(key.collection, self._store, self._store, self._name)
        return await self._spool.open(Original(place, key, await self._store.stat(key)))

    async def _flush_many(self) -> None:
        if len(self._new) + len(self._known) >= _BATCH:
            await self.flush()

    async def flush(self) -> None:
        """Enter in the database what has been found so far."""
        await self._flushing.run(self._flush)

    async def _flush(self) -> None:
        new, self._new = self._new, []
        known, self._known = self._known, []
        # The rows come from the journal; then the facts have a place.
        await self._catalogue.move_all()
        await self._catalogue.run(describe_content, new)
        await self._catalogue.run(describe, known)


def _digest_of(source: FileIO) -> Digest:
    """Return the digest of an open file; blocks."""
    hasher = Hasher(with_md5=True)
    source.seek(0)
    while piece := source.read(_PIECE):
        hasher.update(piece)
    return hasher.digest
