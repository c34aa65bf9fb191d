"""Copying one file after another, and believing only what was read back."""

import enum
from contextlib import aclosing, suppress

import attrs

from was_daemon.derivatives.marks import mark_of, picture_size
from was_daemon.jobs.copying.journal import Journal
from was_daemon.model.digests import Flow, digest_of
from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey, Kind


class CopyOutcome(enum.Enum):
    """What came of a file; the value is the word for it in reports."""

    COPIED = "copied"
    REPLACED = "replaced"
    """Copied in the place of another."""

    THERE = "there"
    DIFFERS = "differs"
    GONE = "gone"
    """Deleted from the source while its turn came."""


class CopyFailed(Exception):
    """What was read back from the target is not what was sent."""


@attrs.define
class Copier:
    """Copies single assets from one store to another.

    With `overwrite`, files that differ at the target are replaced. With `dry_run` nothing is written anywhere, and
    `CopyOutcome.COPIED` and `REPLACED` are what would be done. `copied_bytes` counts.
    """

    source: IAssetStore
    target: IAssetStore
    journal: Journal
    overwrite: bool = False
    dry_run: bool = False
    copied_bytes: int = 0

    async def copy(self, key: AssetKey, shown: AssetKey | None = None) -> CopyOutcome:
        """Have `key` at the target as it is at the source; a thumbnail is marked as one of the original `shown` there.

        Raises `CopyFailed`, and what the stores raise; nothing half-written is left.
        """
        try:
            return await self._copy(key, shown)
        except AssetNotFound:
            if await _find(self.source, key):
                raise
            return CopyOutcome.GONE

    async def _copy(self, key: AssetKey, shown: AssetKey | None) -> CopyOutcome:
        original = await self.source.stat(key)
        existing = await _find(self.target, key)
        if existing and await self._is_same(key, original, existing):
            return CopyOutcome.THERE
        if existing and not self.overwrite:
            return CopyOutcome.DIFFERS
        if self.dry_run:
            self.copied_bytes += original.size
        else:
            await self._transfer(key, shown)
        return CopyOutcome.REPLACED if existing else CopyOutcome.COPIED

    async def is_known_copy(self, key: AssetKey) -> bool:
        """Whether both stores have the same of `key` now, as `copy` has found before."""
        source, target = await _find(self.source, key), await _find(self.target, key)
        return bool(source and target and self.journal.are_same(key, source, target))

    async def _is_same(self, key: AssetKey, original: AssetStat, existing: AssetStat) -> bool:
        if self.journal.are_same(key, original, existing):
            return True
        is_thumbnail = key.kind is Kind.THUMBNAIL
        if original.size != existing.size and not is_thumbnail:
            return False
        # The marks of thumbnails differ as the versions of their originals do.
        end = picture_size if is_thumbnail else None
        original, wanted = await digest_of(self.source, key, end)
        existing, found = await digest_of(self.target, key, end)
        if found != wanted:
            return False
        self.journal.add(key, original, existing)
        return True

    async def _transfer(self, key: AssetKey, shown: AssetKey | None) -> None:
        reader = await self.source.open(key)
        try:
            size, mark = reader.stat.size, b""
            if shown:
                size, mark = await picture_size(reader), mark_of(await self.target.stat(shown))
            flow = Flow(reader, size, mark)
            async with aclosing(flow.chunks()) as chunks:
                await self.target.write(key, chunks, size + len(mark))
        finally:
            await reader.close()
        try:
            stored, found = await digest_of(self.target, key)
        except AssetNotFound:
            raise CopyFailed("it is not there after it was written") from None
        if found != flow.digest or found.size != size + len(mark):
            with suppress(AssetNotFound):
                await self.target.delete(key)
            raise CopyFailed("what was read back is not what was written; it is removed again")
        self.journal.add(key, reader.stat, stored)
        self.copied_bytes += found.size


async def _find(store: IAssetStore, key: AssetKey) -> AssetStat | None:
    try:
        return await store.stat(key)
    except AssetNotFound:
        return None
