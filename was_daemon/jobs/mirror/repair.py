"""Repair of single files of a mirror."""

import enum
from contextlib import aclosing, suppress

import attrs

from was_daemon.library.spool import Spool
from was_daemon.library.store_steps import open_staging_file, store_staged
from was_daemon.model.digests import HashedStream, digest_of
from was_daemon.model.errors import AssetExists, AssetNotFound, StoreFailed
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore, ICreates, IStagingFile
from was_daemon.model.keys import AssetKey
from was_daemon.model.lookup import find_stat
from was_daemon.model.mirror import Action, CopiedVersion, IMirror, IMirrorJournal, Known


class Side(enum.Enum):
    """The side of a mirror that counts where both have other bytes; the value is the word of a command."""

    PRIMARY = "primary"
    COPY = "copy"


@attrs.define
class Repair:
    """Repair of the files of `mirror`: what one side lacks, it gets from the other.

    A copy gets files by way of the journal, like uploads. What both have with other bytes is left alone, or that of
    `prefer` counts. With `dry_run` nothing is written. `bytes` are those of the files that were repaired.
    """

    mirror: IMirror
    spool: Spool
    prefer: Side | None = None
    dry_run: bool = False
    bytes: int = 0

    async def mend(self, copy: str, key: AssetKey, state: str, size: int, known: Known | None) -> str:
        """Mend a file that a comparison found "uncopied", "lost" or "differs"; fire with its state afterwards."""
        step = self._step(state)
        if not step:
            return state
        if not self.dry_run:
            journal = IMirrorJournal(self.mirror.journal)
            if step == "restored":
                await self._restore(journal, copy, key, known or await journal.look(copy, key), state == "differs")
            else:
                await journal.enqueue(copy, key, size)
        self.bytes += size
        return step

    def _step(self, state: str) -> str | None:
        if state == "differs":
            return {Side.PRIMARY: "copied", Side.COPY: "restored"}[self.prefer] if self.prefer else None
        return {"uncopied": "copied", "lost": "restored"}[state]

    async def _restore(self, journal: IMirrorJournal, copy: str, key: AssetKey, known: Known, replace: bool) -> None:
        """Write a file of the copy to the primary. An upload of that name that comes before it stays."""
        reader = await self.mirror.copies[copy].open(key)
        try:
            staged = await open_staging_file(self.mirror.primary, key, self.spool)
            try:
                stream = await _fill(staged, reader)
                recorded = known.version.sha256 if known.version else None
                if recorded and stream.digest.sha256 != recorded and not replace:
                    raise StoreFailed("the copy does not have the bytes that were copied there")
                stored = await _put(self.mirror.primary, key, staged, replace)
            finally:
                staged.discard()
            _, found = await digest_of(self.mirror.primary, key)
            if found != stream.digest:
                raise StoreFailed("what was read back from the primary is not what was written")
        finally:
            await reader.close()
        now = await journal.look(copy, key)
        if now.waits is Action.DELETE:
            # Somebody has deleted it meanwhile.
            with suppress(AssetNotFound):
                await self.mirror.primary.delete(key)
            return
        version = CopiedVersion(stored.size, stored.modified, stored.etag, reader.stat.etag, stream.digest.sha256)
        await journal.note(copy, key, now, version, 0)


async def _fill(staged: IStagingFile, reader: IAssetReader) -> HashedStream:
    stream = HashedStream(reader)
    async with aclosing(stream.chunks()) as chunks:
        async for chunk in chunks:
            await staged.write([chunk])
    if stream.digest.size != reader.stat.size:
        raise StoreFailed("the copy gave another number of bytes than it says")
    return stream


async def _put(primary: IAssetStore, key: AssetKey, staged: IStagingFile, replace: bool) -> AssetStat:
    if not replace and ICreates.providedBy(primary):
        return await ICreates(primary).create(staged, key)
    if not replace and await find_stat(primary, key):
        raise AssetExists("an asset of this name exists")
    return await store_staged(primary, key, staged)
