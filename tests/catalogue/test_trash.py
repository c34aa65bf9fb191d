"""What the catalogue tells of versions that come into the trash, and learns of those that come back."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from sqlalchemy import URL
from twisted.internet.defer import Deferred

from was_daemon.catalogue import recorder
from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.journal import Journal
from was_daemon.catalogue.recorder import Recorder
from was_daemon.library.changes import Change, participating
from was_daemon.library.collections import Place
from was_daemon.library.trash.contents import read_record, records
from was_daemon.library.trash.trash import Trash, TrashRules
from was_daemon.model.digests import Digest
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.origins import Origin
from was_daemon.model.trash import NOTHING_KNOWN, Known, Reason, TrashedVersion
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked, collect

async_test = pytest_twisted.ensureDeferred

KEY = AssetKey("", Kind.ORIGINAL, "a.jpg")
DIGEST = Digest(5, "0" * 64, "1" * 32)
ORIGIN = Origin("Käfer.jpg", "192.0.2.7", "/photos/Käfer.tif", "on a leaf", "2" * 32)
TRASH = Trash(TrashRules(keeps_deleted=True))


@pytest_twisted.async_yield_fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[Catalogue]:
    url = URL.create("sqlite", database=str(tmp_path / "catalogue.sqlite"))
    opened = Catalogue(CatalogueDatabase(url), Journal(tmp_path / "journal.sqlite"))
    await opened.add(Event.new(EventKind.STORED, "main", KEY, DIGEST, ORIGIN))
    await opened.settled()
    yield opened
    await opened.close()


async def stored() -> MemoryStore:
    store = MemoryStore()
    await store.write(KEY, chunked(b"bytes"))
    return store


async def delete(store: MemoryStore, catalogue: Catalogue, reason: Reason = Reason.DELETED) -> TrashedVersion:
    """Do what the daemon does with a deletion; fire with the version in the trash."""
    change = Change(Place("", store, store, "main"), KEY, reason=reason)
    change.keeps_previous = True
    async with participating(change, [Recorder(catalogue).changing]):
        await TRASH.discard(change)
    await catalogue.settled()
    [key] = await collect(records(store, ""))
    version = await read_record(store, key)
    assert version
    return version


async def history(catalogue: Catalogue) -> list[str]:
    from sqlalchemy import select

    from was_daemon.catalogue.schema import history as rows

    step = lambda connection: list(connection.scalars(select(rows.c.kind).order_by(rows.c.id)))  # noqa: E731
    found: list[str] = await catalogue._database.read(step)
    return found


@async_test
async def test_what_is_known_of_a_version_comes_into_the_trash_with_it(catalogue: Catalogue) -> None:
    version = await delete(await stored(), catalogue)
    assert version.known == Known(DIGEST, ORIGIN)
    assert version.known.digest and version.known.digest.md5 == "1" * 32
    assert await catalogue.find("main", KEY) is None


@async_test
async def test_what_comes_back_has_in_the_catalogue_what_it_had(catalogue: Catalogue) -> None:
    store = await stored()
    version = await delete(store, catalogue, Reason.QUARANTINED)
    change = Change(Place("", store, store, "main"), KEY, restored=version)
    async with participating(change, [Recorder(catalogue).changing]):
        change.stored = await TRASH.restore(change, replace=False)
    await catalogue.settled()
    assert await catalogue.known("main", KEY) == Known(DIGEST, ORIGIN)
    assert await history(catalogue) == ["stored", "quarantined", "restored"]


@async_test
async def test_a_database_that_does_not_answer_holds_up_no_deletion(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(catalogue, "known", lambda *_: _never())
    assert (await delete(await stored(), catalogue)).known == NOTHING_KNOWN


async def _never() -> Known:
    await Deferred()
    return NOTHING_KNOWN
