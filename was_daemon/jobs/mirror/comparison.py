"""Comparison of one copy of a mirror with the primary."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager

import attrs

from was_daemon.jobs.mirror.once import Once
from was_daemon.jobs.mirror.repair import Repair
from was_daemon.jobs.report import JobReport
from was_daemon.jobs.traverse import list_assets
from was_daemon.model.digests import digest_of
from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.interfaces import AssetStat, IAssetStore, IUnlisted
from was_daemon.model.keys import AssetKey, Layout
from was_daemon.model.lookup import find_stat
from was_daemon.model.mirror import Action, CopiedVersion, IMirror, IMirrorJournal, Known
from was_daemon.stores.layers.named import Names, named


@attrs.define
class Comparison:
    """Comparison of the copy called `name` with the primary of `mirror`, in `directories`.

    Names and sizes are compared, with `deep` also the bytes, all of which are read. What this comparison has found to
    be alike, before it was interrupted, is not compared again. `repair` mends what differs, None only reports it. What
    is wrong with the mirror, rather than with one of its copies, is told `once`. A side that cannot list its originals
    is taken to have `names`; those that are nowhere are missing.
    """

    mirror: IMirror
    name: str
    directories: Sequence[str]
    report: JobReport
    once: Once
    deep: bool = False
    repair: Repair | None = None
    names: Names | None = None
    _run: int = attrs.field(init=False, default=0)
    _knows_all: bool = attrs.field(init=False, default=False)

    @property
    def _journal(self) -> IMirrorJournal:
        return IMirrorJournal(self.mirror.journal)

    @property
    def _copy(self) -> IAssetStore:
        return self.mirror.copies[self.name]

    async def begin(self) -> None:
        """Begin, or go on with the comparison that was interrupted."""
        scope = [*self.directories, *(kind.value for kind in self.mirror.kinds)]
        self._run = await self._journal.begin_run(self.name, self.deep, scope)
        self._knows_all = (await self.mirror.states())[self.name].compared is not None

    async def end(self, is_whole: bool) -> None:
        """Note that all files in `directories` were compared; `is_whole` tells that these are all there are.

        A side that was not listed may have others.
        """
        is_listed = not any(IUnlisted.providedBy(side) for side in (self.mirror.primary, self._copy))
        await self._journal.end_run(self.name, is_whole and is_listed)

    async def in_primary(self) -> AsyncGenerator[AssetKey, None]:
        """Yield the files that the primary has."""
        for kind in self.mirror.kinds:
            async for key in list_assets(self._listed(self.mirror.primary), self.directories, kind):
                yield key

    async def in_copy(self) -> AsyncGenerator[AssetKey, None]:
        """Yield the files that the copy has."""
        for kind in self.mirror.kinds:
            async for key in list_assets(self._listed(self._copy), self.directories, kind):
                yield key

    def _listed(self, side: IAssetStore) -> IAssetStore:
        if self.names and IUnlisted.providedBy(side):
            return named(side, self.names, self._tell_unusable)
        return side

    async def compare(self, key: AssetKey) -> None:
        """Compare a file that the primary has."""
        with self._reported_failure(key):
            known = await self._journal.look(self.name, key)
            if known.run == self._run:
                self.report.count("same")
            elif known.waits:
                self.report.count("waiting")
            else:
                await self._compare(key, known)

    async def _compare(self, key: AssetKey, known: Known) -> None:
        original = await find_stat(self.mirror.primary, key)
        found = await find_stat(self._copy, key)
        if original is None:
            if not IUnlisted.providedBy(self.mirror.primary):
                self.report.count("gone")
            elif found is None:
                await self._tell_missing(key)
        elif found is None:
            await self._tell(key, "uncopied", original.size, None)
        elif original.size != found.size:
            await self._tell(key, "differs", original.size, f"{original.size} bytes, in the copy {found.size}")
        elif self.deep:
            await self._compare_bytes(key, known)
        else:
            await self._note(key, known, original, found, None)

    async def _compare_bytes(self, key: AssetKey, known: Known) -> None:
        try:
            original, wanted = await digest_of(self.mirror.primary, key)
            found, digest = await digest_of(self._copy, key)
        except AssetNotFound:
            self.report.count("gone")
            return
        if digest != wanted:
            recorded = known.version.sha256 if known.version else None
            damaged = {wanted.sha256: "the copy has changed", digest.sha256: "the primary has changed"}.get(
                recorded or ""
            )
            await self._tell(key, "differs", original.size, damaged or "other bytes in the copy")
        else:
            await self._note(key, known, original, found, wanted.sha256)

    async def _note(
        self, key: AssetKey, known: Known, original: AssetStat, found: AssetStat, sha256: str | None
    ) -> None:
        version = CopiedVersion(original.size, original.modified, original.etag, found.etag, sha256)
        if sha256 is None and known.version:
            # Sizes do not prove that what was recorded of the bytes has changed.
            version = known.version
        noted = await self._journal.note(self.name, key, known, version, self._run)
        self.report.count("same" if noted else "waiting")

    async def look_for(self, key: AssetKey) -> None:
        """Look whether the primary has a file that the copy has, and has not lost it."""
        with self._reported_failure(key):
            if await find_stat(self.mirror.primary, key):
                return
            found = await find_stat(self._copy, key)
            known = await self._journal.look(self.name, key)
            if found is None:
                await self._tell_missing(key)
            elif known.waits is Action.DELETE:
                self.report.count("waiting")
            elif not known.version and self._knows_all:
                self.report.describe("extra", Layout.FLAT.path(key), "nobody has copied it there")
            elif known.waits and await self._journal.current(key):
                # The primary is to get it from a copy that has the last version, and this one is to get it then.
                self.report.count("waiting")
            else:
                await self._found_lost(key, known, found)

    async def _found_lost(self, key: AssetKey, known: Known, found: AssetStat) -> None:
        if not known.version:
            version = CopiedVersion(found.size, found.modified, "", found.etag)
            await self._journal.note(self.name, key, known, version, 0)
            known = attrs.evolve(known, version=version)
        if (not self.repair or self.repair.dry_run) and not await self.once.is_first("lost", key):
            return
        remark = "an earlier version: the last one is lost" if known.waits else None
        await self._tell(key, "lost", found.size, remark, known)

    def _tell_unusable(self, name: str, reason: str) -> None:
        if self.once.is_new(name):
            self.report.describe("failed", name, reason)

    async def _tell_missing(self, key: AssetKey) -> None:
        """Tell that neither side has a file whose name was given, unless another copy has it."""
        if not self.names:
            return
        for copy in self.mirror.copies.values():
            if await find_stat(copy, key):
                return
        if await self.once.is_first("missing", key):
            self.report.describe("missing", Layout.FLAT.path(key), "neither in the primary nor in a copy")

    async def _tell(self, key: AssetKey, state: str, size: int, remark: str | None, known: Known | None = None) -> None:
        path = Layout.FLAT.path(key)
        if self.repair:
            state = await self.repair.mend(self.name, key, state, size, known)
        self.report.describe(state, path, remark or "")

    @contextmanager
    def _reported_failure(self, key: AssetKey) -> Iterator[None]:
        try:
            yield
        except AssetError as error:
            self.report.describe("failed", Layout.FLAT.path(key), str(error))
