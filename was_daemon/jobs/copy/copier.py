"""Copy of single assets, each verified by reading the copy."""

import enum
from contextlib import aclosing

import attrs

from was_daemon.derivatives.marks import picture_size
from was_daemon.jobs.copy.journal import CopyJournal
from was_daemon.model.composition import IPromotes, stores_in, written_part
from was_daemon.model.digests import HashedStream, digest_of
from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.lookup import find_stat
from was_daemon.model.marks import mark_of


class CopyOutcome(enum.Enum):
    """Outcome of copying one asset; the value is its state in reports."""

    COPIED = "copied"
    REPLACED = "replaced"
    """Copied over another asset of the same name."""

    THERE = "there"
    """Already at the target, with the same bytes."""

    DIFFERS = "differs"
    """Left alone: the target has other bytes under this name."""

    GONE = "gone"
    """Deleted from the source before it was copied."""


class CopyFailed(Exception):
    """The bytes read back from the target are not the bytes written."""


@attrs.define
class Copier:
    """Copy of single assets from one store to another.

    With `overwrite`, assets that differ at the target are replaced. With `dry_run` nothing is written, and
    `CopyOutcome.COPIED` and `REPLACED` say what would be done. `copied_bytes` is the total size of the copies.
    """

    source: IAssetStore
    target: IAssetStore
    journal: CopyJournal
    overwrite: bool = False
    dry_run: bool = False
    copied_bytes: int = 0
    _is_target_faithful: bool = attrs.field(init=False, default=True)

    async def copy(self, key: AssetKey, shown: AssetKey | None = None) -> CopyOutcome:
        """Copy `key` unless the target has the same bytes; return the outcome.

        A thumbnail is marked as one of the target's original `shown`. Raises `CopyFailed` and the stores' errors.
        Nothing is deleted, and once a copy was read back with other bytes, nothing is replaced any more.
        """
        try:
            return await self._copy(key, shown)
        except AssetNotFound:
            if await find_stat(self.source, key):
                raise
            return CopyOutcome.GONE

    async def _copy(self, key: AssetKey, shown: AssetKey | None) -> CopyOutcome:
        if key.kind is Kind.ORIGINAL and IPromotes.providedBy(self.target) and self.source in stores_in(self.target):
            return await self._promote(key)
        original = await self.source.stat(key)
        existing = await find_stat(self.target, key)
        if existing and await self._is_same(key, original, existing):
            return CopyOutcome.THERE
        if existing and not self.overwrite:
            return CopyOutcome.DIFFERS
        if existing and not self._is_target_faithful:
            raise CopyFailed("it is not replaced, as the target has not kept another file as it was written")
        if self.dry_run:
            self.copied_bytes += original.size
        else:
            await self._transfer(key, shown)
        return CopyOutcome.REPLACED if existing else CopyOutcome.COPIED

    async def _promote(self, key: AssetKey) -> CopyOutcome:
        """Copy an original from one layer of the target to where it belongs, as a deletion meanwhile has to count."""
        try:
            version = await self.target.stat(key)
        except AssetNotFound:
            return CopyOutcome.GONE
        if await find_stat(written_part(self.target), key):
            return CopyOutcome.THERE
        if not self.dry_run and not await IPromotes(self.target).promote(key):
            return CopyOutcome.THERE
        self.copied_bytes += version.size
        return CopyOutcome.COPIED

    async def is_known_copy(self, key: AssetKey) -> bool:
        """Return whether the journal holds that both stores have the same bytes of `key` in their current versions."""
        source, target = await find_stat(self.source, key), await find_stat(self.target, key)
        return bool(source and target and await self.journal.are_same(key, source, target))

    async def _is_same(self, key: AssetKey, original: AssetStat, existing: AssetStat) -> bool:
        if await self.journal.are_same(key, original, existing):
            return True
        is_thumbnail = key.kind is Kind.THUMBNAIL
        if original.size != existing.size and not is_thumbnail:
            return False
        # Thumbnails end in a mark, which differs with the version of the original: only the pictures are compared.
        end = picture_size if is_thumbnail else None
        original, wanted = await digest_of(self.source, key, end)
        existing, found = await digest_of(self.target, key, end)
        if found != wanted:
            return False
        await self.journal.add(key, original, existing)
        return True

    async def _transfer(self, key: AssetKey, shown: AssetKey | None) -> None:
        reader = await self.source.open(key)
        try:
            size, mark = reader.stat.size, b""
            if shown:
                size, mark = await picture_size(reader), mark_of(await self.target.stat(shown))
            stream = HashedStream(reader, size, mark)
            async with aclosing(stream.chunks()) as chunks:
                await self.target.write(key, chunks, size + len(mark))
        finally:
            await reader.close()
        try:
            stored, found = await digest_of(self.target, key)
        except AssetNotFound:
            raise CopyFailed("it is not there after it was written") from None
        if found != stream.digest or found.size != size + len(mark):
            # It stays: somebody may have replaced it meanwhile, or it may have been read wrongly.
            self._is_target_faithful = False
            raise CopyFailed("what was read back is not what was written; it stays at the target until --overwrite")
        await self.journal.add(key, reader.stat, stored)
        self.copied_bytes += found.size
