"""Unfinished uploads of a remote store are removed when they fail, and found when they are abandoned."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted

from was_daemon.model.errors import StoreUnavailable
from was_daemon.stores.unfinished import UnfinishedUploads

HOUR = 3600.0
DIRECTORY = "originals/.staging"


class Remote:
    """Staging directories of a remote store; the files in `stuck` cannot be removed."""

    def __init__(self) -> None:
        self.files: dict[str, float | None] = {}
        self.stuck: set[str] = set()
        self.uploads = UnfinishedUploads("store", self.find, self.remove)

    async def find(self, directory: str) -> list[tuple[str, float | None]]:
        beginning = f"{directory}/"
        return [(path.removeprefix(beginning), age) for path, age in self.files.items() if path.startswith(beginning)]

    async def remove(self, path: str) -> bool:
        if path in self.stuck:
            raise StoreUnavailable("the store denied permission")
        del self.files[path]
        return True

    async def upload(self, age: float | None = None) -> str:
        path = await self.uploads.new_path(DIRECTORY)
        self.files[path] = age
        return path


@pytest_twisted.async_yield_fixture
async def remote() -> AsyncIterator[Remote]:
    remote = Remote()
    yield remote
    await remote.uploads.close()


@pytest_twisted.ensureDeferred
async def test_a_discarded_upload_is_removed(remote: Remote) -> None:
    remote.uploads.discard(await remote.upload())
    await remote.uploads.finish()
    assert not remote.files


@pytest_twisted.ensureDeferred
async def test_an_upload_that_cannot_be_removed_is_removed_after_a_later_write(remote: Remote) -> None:
    path = await remote.upload()
    remote.stuck.add(path)
    remote.uploads.discard(path)
    await remote.uploads.finish()
    assert path in remote.files
    remote.stuck.clear()
    remote.uploads.sweep_if_due(DIRECTORY)
    await remote.uploads.finish()
    assert not remote.files


@pytest_twisted.ensureDeferred
async def test_only_abandoned_uploads_are_swept_and_foreign_files_stay(remote: Remote) -> None:
    abandoned, recent, unknown = await remote.upload(25 * HOUR), await remote.upload(HOUR), await remote.upload()
    foreign = f"{DIRECTORY}/holiday.jpg"
    remote.files[foreign] = 1000 * HOUR
    remote.uploads.sweep_if_due(DIRECTORY)
    assert set(remote.files) == {recent, unknown, foreign}
    assert abandoned not in remote.files


@pytest_twisted.ensureDeferred
async def test_a_file_that_cannot_be_removed_keeps_no_others_and_is_tried_again_by_the_next_clean(
    remote: Remote, tmp_path: Path
) -> None:
    before = Remote()
    before.files = remote.files
    await before.uploads.register(tmp_path)
    first, second = await before.upload(), await before.upload()
    await before.uploads.close()
    await remote.uploads.register(tmp_path)
    remote.stuck.add(first)
    with pytest.raises(StoreUnavailable):
        await remote.uploads.clean()
    assert set(remote.files) == {first}
    assert second not in remote.files
    remote.stuck.clear()
    assert await remote.uploads.clean() == 1
    assert not remote.files
