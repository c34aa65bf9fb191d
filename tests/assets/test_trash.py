"""The use cases with a trash: what is set aside and restored, and its thumbnails."""

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import pytest_twisted

from tests.support.cli import write_config
from tests.support.images import jpeg
from was_daemon.config.load import load
from was_daemon.daemon.assembly import build
from was_daemon.daemon.components import Components
from was_daemon.daemon.process_state import ProcessState
from was_daemon.library.trash.contents import read_record, records
from was_daemon.model.errors import AssetExists, AssetNotFound
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.trash import Reason, TrashedVersion
from was_daemon.testing.streams import chunked, collect, read_asset

async_test = pytest_twisted.ensureDeferred
KEY = AssetKey("", Kind.ORIGINAL, "a.jpg")


@attrs.frozen
class Museum:
    """The components of a daemon."""

    components: Components

    @property
    def store(self) -> IAssetStore:
        return self.components.stores["main"]

    async def trashed(self) -> list[TrashedVersion]:
        found = [await read_record(self.store, key) async for key in records(self.store, "")]
        return [each for each in found if each]

    async def store_with_thumbnail(self, content: bytes) -> AssetStat:
        stat = await self.store.write(KEY, chunked(content))
        reader, _ = await self.components.assets.thumbnail(KEY, 50, "")
        await reader.close()
        return stat


@pytest_twisted.async_yield_fixture
async def museum(tmp_path: Path) -> AsyncIterator[Museum]:
    config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path / "store"}})
    components = build(load(config, {}), ProcessState.new())
    yield Museum(components)
    await components.assets.settled()
    for part in components.closable:
        await part.close()


@async_test
async def test_an_original_is_set_aside_without_a_trash_in_the_settings_too(museum: Museum) -> None:
    stat = await museum.store_with_thumbnail(jpeg())
    assert await museum.components.assets.quarantine(KEY, "no record in Specify", stat)
    with pytest.raises(AssetNotFound):
        await museum.store.stat(KEY)
    assert await collect(museum.store.list("", Kind.THUMBNAIL)) == []
    [version] = await museum.trashed()
    assert (version.reason, version.note) == (Reason.QUARANTINED, "no record in Specify")
    await museum.components.assets.restore(version)
    assert await museum.store.stat(KEY) == stat


@async_test
async def test_another_version_than_the_one_that_was_looked_at_stays(museum: Museum) -> None:
    stat = await museum.store.write(KEY, chunked(b"old"))
    current = await museum.store_with_thumbnail(jpeg())
    assert not await museum.components.assets.quarantine(KEY, "", stat)
    await museum.store.delete(KEY)
    assert not await museum.components.assets.quarantine(KEY, "", current)
    assert await museum.trashed() == []


@async_test
async def test_thumbnails_show_what_was_restored(museum: Museum) -> None:
    assets = museum.components.assets
    stat = await museum.store_with_thumbnail(jpeg())
    await assets.quarantine(KEY, "", stat)
    [version] = await museum.trashed()
    await museum.store_with_thumbnail(jpeg((40, 30)))
    with pytest.raises(AssetExists):
        await assets.restore(version)
    assert len(await collect(museum.store.list("", Kind.THUMBNAIL))) == 1
    await assets.restore(version, replace=True)
    assert await collect(museum.store.list("", Kind.THUMBNAIL)) == []
    assert await read_asset(museum.store, KEY) == jpeg()
    [replaced] = await museum.trashed()
    assert (replaced.reason, replaced.id.size) == (Reason.REPLACED, len(jpeg((40, 30))))


@async_test
async def test_what_is_no_longer_in_the_trash_cannot_be_restored(museum: Museum) -> None:
    stat = await museum.store.write(KEY, chunked(b"old"))
    await museum.components.assets.quarantine(KEY, "", stat)
    [version] = await museum.trashed()
    await museum.store.delete(version.file)
    with pytest.raises(AssetNotFound):
        await museum.components.assets.restore(version)
