"""Comparing stored originals with what was recorded of them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import attrs

from was_daemon.catalogue.checksums import Checksums
from was_daemon.jobs.work import JobReport, listing
from was_daemon.model.digests import Digest, digest_of
from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey, Kind, Layout

_NO_SUCH_NAME = AssetKey("", Kind.ORIGINAL, "was-daemon-verify")


@attrs.frozen
class Verifier:
    """Compares the originals in the store called `name`, and reports."""

    name: str
    store: IAssetStore
    checksums: Checksums
    report: JobReport

    async def begin(self) -> None:
        """See that the store answers; raises what it raises."""
        try:
            await self.store.stat(_NO_SUCH_NAME)
        except AssetNotFound:
            return

    async def recorded(self, directories: Sequence[str]) -> AsyncGenerator[tuple[AssetKey, Digest], None]:
        """What is recorded of these collections."""
        for directory in directories:
            async with aclosing(self.checksums.each(self.name, directory)) as records:
                async for each in records:
                    yield each

    def stored(self, directories: Sequence[str]) -> AsyncGenerator[AssetKey, None]:
        """The originals that are stored of these collections."""
        return listing(self.store, directories, Kind.ORIGINAL)

    async def compare(self, record: tuple[AssetKey, Digest]) -> None:
        """Read what is stored, and report how it compares with what is recorded."""
        key, wanted = record
        try:
            _, found = await digest_of(self.store, key)
        except AssetNotFound:
            found = None
        except AssetError as error:
            self.report.tell("failed", Layout.FLAT.path(key), str(error))
            return
        if found == wanted:
            self.report.count("ok")
        elif await self.checksums.find(self.name, key) != wanted:
            # It was replaced or deleted by the daemon meanwhile.
            self.report.count("ok")
        elif found is None:
            self.report.tell("missing", Layout.FLAT.path(key), "")
        else:
            self.report.tell("changed", Layout.FLAT.path(key), _difference(wanted, found))

    async def count_if_new(self, key: AssetKey) -> None:
        """Count an original of which nothing is recorded."""
        if not await self.checksums.find(self.name, key):
            self.report.count("unrecorded")

    async def record_if_new(self, key: AssetKey) -> None:
        """Record an original, as it is, of which nothing is recorded."""
        if await self.checksums.find(self.name, key):
            return
        try:
            read, found = await digest_of(self.store, key)
            await self.checksums.record_new(self.name, key, found)
            await self._check_unchanged(key, read, found)
        except AssetError as error:
            self.report.tell("failed", Layout.FLAT.path(key), str(error))
            return
        self.report.count("recorded")

    async def _check_unchanged(self, key: AssetKey, read: AssetStat, recorded: Digest) -> None:
        """Forget what was recorded of a file that the daemon has replaced or deleted meanwhile."""
        try:
            if await self.store.stat(key) == read:
                return
        except AssetNotFound:
            pass
        if await self.checksums.find(self.name, key) == recorded:
            await self.checksums.forget(self.name, key)


def _difference(wanted: Digest, found: Digest) -> str:
    if wanted.size != found.size:
        return f"{found.size} bytes instead of {wanted.size}"
    return f"SHA-256 {found.sha256} instead of {wanted.sha256}"
