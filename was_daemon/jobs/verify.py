"""Verification of stored originals against the checksums in the catalogue."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import attrs

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.jobs.report import JobReport
from was_daemon.jobs.traverse import list_assets
from was_daemon.model.digests import Digest, digest_of
from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind, Layout

_BATCH = 500
"""Number of originals that the catalogue is asked about at a time."""

_ABSENT_KEY = AssetKey("", Kind.ORIGINAL, "was-daemon-verify")


@attrs.frozen
class Verifier:
    """Comparison of the originals in the store called `name` with their recorded sizes and checksums."""

    name: str
    store: IAssetStore
    catalogue: Catalogue
    report: JobReport

    async def require_store(self) -> None:
        """Ask the store for an asset; raise the store's error when it cannot be used."""
        try:
            await self.store.stat(_ABSENT_KEY)
        except AssetNotFound:
            return

    async def recorded(self, directories: Sequence[str]) -> AsyncGenerator[tuple[AssetKey, Digest], None]:
        """Yield what is recorded of the originals in these collections."""
        for directory in directories:
            async with aclosing(self.catalogue.each(self.name, directory)) as records:
                async for each in records:
                    yield each

    async def unrecorded(self, directories: Sequence[str]) -> AsyncGenerator[AssetKey, None]:
        """Yield the keys of the stored originals in these collections of which nothing is recorded."""
        batch: list[AssetKey] = []
        async with aclosing(list_assets(self.store, directories, Kind.ORIGINAL)) as keys:
            async for key in keys:
                batch.append(key)
                if len(batch) == _BATCH:
                    for each in await self.catalogue.unrecorded(self.name, batch):
                        yield each
                    batch = []
        for each in await self.catalogue.unrecorded(self.name, batch):
            yield each

    async def compare(self, record: tuple[AssetKey, Digest]) -> None:
        """Read one original, and report whether it is as recorded."""
        key, wanted = record
        try:
            _, found = await digest_of(self.store, key)
        except AssetNotFound:
            found = None
        except AssetError as error:
            self.report.describe("failed", Layout.FLAT.path(key), str(error))
            return
        if found == wanted:
            self.report.count("ok")
        elif await self.catalogue.find(self.name, key) != wanted:
            # The daemon has replaced or deleted the original meanwhile.
            self.report.count("ok")
        elif found is None:
            self.report.describe("missing", Layout.FLAT.path(key), "")
        else:
            self.report.describe("changed", Layout.FLAT.path(key), _difference(wanted, found))

    async def count(self, key: AssetKey) -> None:
        """Count an original as not recorded."""
        self.report.count("unrecorded")

    async def record(self, key: AssetKey) -> None:
        """Read an original, and record its size and checksums."""
        # What the daemon changes from now on counts more.
        began = time.time()
        try:
            _, found = await digest_of(self.store, key, with_md5=True)
        except AssetError as error:
            self.report.describe("failed", Layout.FLAT.path(key), str(error))
            return
        await self.catalogue.add(Event.new(EventKind.FOUND, self.name, key, found, at=began))
        self.report.count("recorded")


def _difference(wanted: Digest, found: Digest) -> str:
    if wanted.size != found.size:
        return f"{found.size} bytes instead of {wanted.size}"
    return f"SHA-256 {found.sha256} instead of {wanted.sha256}"
