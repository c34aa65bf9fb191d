"""A second kind of derivative takes a recipe, a `DerivativeKind` and a worker command, and nothing else."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults
from twisted.protocols import amp

from storage_plugins.filesystem import FilesystemStore
from tests.assets.test_assets import BLUE, RED, Museum, new_pool, original, plain, shows, whole
from tests.support.images import TAKEN, photograph
from was_daemon.derivatives.kinds import CommandInput, DerivativeKind
from was_daemon.library.collections import Original, Place
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.marks import MARK_SIZE
from was_daemon.testing.memory import MemoryStore
from was_daemon.workers.commands import ReadMetadata
from was_daemon.workers.pool import WorkerPool

async_test = pytest_twisted.ensureDeferred


@attrs.frozen
class Fields:
    """The recipe of a file with the metadata of an original."""

    def key(self, original: AssetKey) -> AssetKey:
        return AssetKey(original.collection, Kind.THUMBNAIL, f"{original.name}.fields")


class FieldsKind(DerivativeKind[Fields]):
    recipe = Fields
    command: ClassVar[type[amp.Command]] = ReadMetadata

    def inputs(self, original: Original, recipes: Sequence[Fields]) -> Iterator[CommandInput[Fields]]:
        yield CommandInput({})

    async def forget(self, store: IAssetStore, original: AssetKey, exists: bool) -> None:
        await self.remove(store, Fields().key(original), original)


@pytest_twisted.async_yield_fixture(scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    pool = new_pool()
    yield pool
    await pool.close()


@pytest_twisted.async_yield_fixture(params=["files", "memory"])
async def museum(request: pytest.FixtureRequest, tmp_path: Path, pool: WorkerPool) -> AsyncIterator[Museum]:
    store = FilesystemStore(tmp_path / "files", Layout.FLAT) if request.param == "files" else MemoryStore()
    museum = Museum(tmp_path / "spool", pool, store, store, kinds=[FieldsKind()])
    yield museum
    await museum.close()


async def current(museum: Museum, name: str) -> Original:
    store = museum.originals
    return Original(Place("", store, store), original(name), await store.stat(original(name)))


async def fields(museum: Museum, name: str) -> str:
    """The derivative of an original without its mark."""
    asset = await current(museum, name)
    reader = await museum.cache.find(asset, Fields()) or await museum.cache.make(asset, Fields(), "a")
    reader = reader or await museum.cache.find(asset, Fields())
    assert reader is not None
    return (await whole(reader))[:-MARK_SIZE].decode()


@async_test
async def test_it_is_made_once_for_all_who_ask_and_found_from_then_on(museum: Museum) -> None:
    await museum.put("a.jpg", photograph((60, 40)))
    everyone = [Deferred.fromCoroutine(fields(museum, "a.jpg")) for _ in range(10)]
    (content,) = set(await gatherResults(everyone))
    groups = {group["Name"]: group["Fields"] for group in json.loads(content)}
    assert groups["EXIF"]["DateTimeOriginal"] == TAKEN
    assert await fields(museum, "a.jpg") == content
    assert [job.command for job in museum.pool.jobs] == [ReadMetadata]


@async_test
async def test_it_is_made_anew_for_a_new_version_of_its_original(museum: Museum) -> None:
    await museum.put("a.jpg", photograph((60, 40)))
    assert json.loads(await fields(museum, "a.jpg"))
    await museum.put("a.jpg", b"no photograph")
    assert json.loads(await fields(museum, "a.jpg")) == []


@async_test
async def test_it_goes_with_its_original_and_leaves_what_belongs_to_others(museum: Museum) -> None:
    for name, colour in {"a.jpg": RED, "b.jpg": BLUE}.items():
        await museum.put(name, plain(colour))
        await fields(museum, name)
        assert shows(await museum.thumbnail(name), colour)
    assert await museum.stored() == ["a.jpg.fields", "a_50.jpg", "b.jpg.fields", "b_50.jpg"]
    await museum.assets.delete(original("a.jpg"))
    assert await museum.stored() == ["b.jpg.fields", "b_50.jpg"]
