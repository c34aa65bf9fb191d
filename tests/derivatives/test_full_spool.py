"""With a full spool, what is small is answered all the same: metadata, descriptions, and views of stored pyramids."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted

from storage_plugins.filesystem import FilesystemStore
from tests.assets.test_assets import RED, new_pool, original, plain
from tests.derivatives.test_pyramids import Lookout, view_of
from tests.stores.local.test_filesystem_store import tiny_disk
from tests.support.images import noisy_photograph
from was_daemon.derivatives.views import SMALL
from was_daemon.model.errors import NoSpace
from was_daemon.model.keys import Layout
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import read_reader

pytestmark = pytest.mark.slow

SIZE = (900, 600)


@pytest_twisted.async_yield_fixture(params=["local", "remote"])
async def lookout(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Lookout]:
    """Two pictures with their pyramids, in a store that has room, and a spool that has none."""
    spool, pool = tmp_path / "tiny", new_pool()
    with tiny_disk(spool):
        pyramids = MemoryStore() if request.param == "remote" else None
        store = FilesystemStore(tmp_path / "files", Layout.FLAT)
        lookout = Lookout(spool, pool, store, pyramids=pyramids)
        for name, content in (("noise.jpg", noisy_photograph(SIZE)), ("plain.jpg", plain(RED, size=SIZE))):
            await lookout.museum.put(name, content)
            await lookout.look(name)
        with (spool / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
            while True:
                filler.write(bytes(4096))
        yield lookout
        await lookout.views.close()
        await lookout.museum.close()
        await pool.close()


async def view(lookout: Lookout, name: str, width: int, form: str) -> bytes:
    pyramid = await lookout.zoom.open(original(name), 1, "a client")
    try:
        reader = await lookout.zoom.view(pyramid, view_of(pyramid, width, form), "a client")
        content = await read_reader(reader)
        await reader.close()
        return content
    finally:
        await pyramid.reader.close()


@pytest_twisted.ensureDeferred
async def test_what_is_small_is_answered(lookout: Lookout) -> None:
    assert await lookout.museum.assets.metadata(original("noise.jpg"), "a client") == []
    assert (await lookout.museum.assets.description(original("noise.jpg"), "a client")).metadata == []
    # The last one has more pixels than are sure to fit into memory, but does.
    for name, width, form in (("noise.jpg", 300, "jpg"), ("plain.jpg", 900, "png"), ("plain.jpg", 1800, "jpg")):
        assert 0 < len(await view(lookout, name, width, form)) <= SMALL


@pytest_twisted.ensureDeferred
async def test_what_is_large_is_refused_and_made_when_there_is_room(lookout: Lookout, tmp_path: Path) -> None:
    for width in (900, 1800):
        with pytest.raises(NoSpace):
            await view(lookout, "noise.jpg", width, "tif")
    (tmp_path / "tiny" / "filler").unlink()
    assert len(await view(lookout, "noise.jpg", 600, "png")) > SMALL
