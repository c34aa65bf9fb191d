"""Changes of originals, as they come into the catalogue."""

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import pytest_twisted
from sqlalchemy import URL

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.journal import Journal
from was_daemon.catalogue.recorder import Recorder
from was_daemon.library.changes import Change, participating
from was_daemon.library.collections import Place
from was_daemon.library.spool import Spool
from was_daemon.library.store_steps import store_staged
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.origins import Origin
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked

async_test = pytest_twisted.ensureDeferred

KEY = AssetKey("", Kind.ORIGINAL, "a.jpg")
SHA256_OF_NEW = "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"


@attrs.frozen
class Museum:
    """A store, and a catalogue of what is stored through a daemon."""

    store: MemoryStore
    spool: Spool
    catalogue: Catalogue

    async def put(self, content: bytes, interruption: bytes | None = None, is_refused: bool = False) -> None:
        """Store an original; `interruption` is what another daemon stores in its place at once."""
        recorder = Recorder(self.catalogue)
        staged = recorder.watch(await self.spool.stage())
        await staged.write([content])
        change = Change(Place("", self.store, self.store, "main"), KEY, staged, Origin("Käfer.jpg", "192.0.2.7"))
        async with participating(change, [recorder.changing]):
            if is_refused:
                raise StoreUnavailable("down")
            change.stored = await store_staged(self.store, KEY, staged)
            if interruption:
                await self.store.write(KEY, chunked(interruption))
        staged.discard()

    async def recorded(self) -> str | None:
        """The SHA-256 that the catalogue has."""
        await self.catalogue.settled()
        digest = await self.catalogue.find("main", KEY)
        return digest.sha256 if digest else None


@pytest_twisted.async_yield_fixture
async def museum(tmp_path: Path) -> AsyncIterator[Museum]:
    spool = Spool(tmp_path / "spool", 1 << 20)
    url = URL.create("sqlite", database=str(tmp_path / "catalogue.sqlite"))
    catalogue = Catalogue(CatalogueDatabase(url), Journal(tmp_path / "journal.sqlite"))
    yield Museum(MemoryStore(), spool, catalogue)
    await catalogue.close()
    await spool.close()


@async_test
async def test_what_is_stored_is_recorded(museum: Museum) -> None:
    await museum.put(b"new")
    assert await museum.recorded() == SHA256_OF_NEW


@async_test
async def test_of_what_another_daemon_has_replaced_nothing_is_recorded(museum: Museum) -> None:
    await museum.put(b"new", interruption=b"theirs")
    assert await museum.recorded() is None


@async_test
async def test_a_change_that_fails_and_changes_nothing_leaves_the_record(museum: Museum) -> None:
    await museum.put(b"new")
    with pytest.raises(StoreUnavailable):
        await museum.put(b"newer", is_refused=True)
    assert await museum.recorded() == SHA256_OF_NEW
