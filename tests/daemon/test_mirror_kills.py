"""A killed daemon with a mirror: what was acknowledged is in the primary, reaches the copy, and survives losses."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.test_kills import Museum
from tests.support.blocking import BlockingClient, finished
from tests.support.daemon import KEY, Daemon, eventually


class MirroredMuseum(Museum):
    """A museum whose originals are also in the directory `copy`."""

    copy: Path

    def check(self) -> None:
        super().check()
        eventually(lambda: self._copied() == self._expected(), "for the copy to follow")

    def _copied(self) -> dict[str, bytes]:
        # A file may be replaced at this moment: then it is looked at again.
        try:
            paths = [path for path in (self.copy / "originals").iterdir() if path.is_file()]
            return {path.name: path.read_bytes() for path in paths}
        except FileNotFoundError:
            return {}

    def _expected(self) -> dict[str, bytes]:
        return {asset.name: version.content for asset in self._assets for version in asset.possible if version}


@contextmanager
def mirroring(directory: Path, **server: Any) -> Iterator[Daemon]:
    stores = {
        "main": {"plugin": "mirror", "primary": "disk", "copies": ["nas"], "journal": directory / "journal"},
        "disk": {"plugin": "filesystem", "path": directory / "store"},
        "nas": {"plugin": "filesystem", "path": directory / "nas"},
    }
    config: dict[str, Any] = {
        "stores": stores,
        "collections": {"store": "main"},
        "thumbnails": {"workers": 2},
        **({"server": server} if server else {}),
    }
    daemon = Daemon(directory, config)
    try:
        yield daemon
    finally:
        daemon.stop()


def run(directory: Path, kills: int, **server: Any) -> None:
    """Kill the daemon so often; the seed that is printed repeats what is asked of it."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}, {kills} kills")
    with mirroring(directory, **server) as daemon:
        museum = MirroredMuseum(daemon, daemon.store, seed)
        museum.copy = directory / "nas"
        museum.kill_again_and_again(kills)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_daemon_s_copy_has_all_that_was_acknowledged_and_nothing_else(tmp_path: Path, workers: int) -> None:
    run(tmp_path, 40 if workers == 1 else 10, **({} if workers == 1 else {"workers": workers}))


def test_a_lost_file_is_served_after_a_kill_and_a_deleted_one_is_not(tmp_path: Path) -> None:
    with mirroring(tmp_path) as daemon:
        daemon.start()
        client = BlockingClient(daemon.url, KEY)
        for name in ("lost.bin", "deleted.bin"):
            assert finished(client.upload_like_specify7(name, name.encode())).status == 200
        copied = tmp_path / "nas" / "originals"
        eventually(lambda: (copied / "lost.bin").exists() and (copied / "deleted.bin").exists(), "for the copies")
        assert finished(client.delete("deleted.bin")).status == 200
        daemon.kill()
        (tmp_path / "store" / "originals" / "lost.bin").unlink()
        daemon.start()
        assert finished(client.original("lost.bin")).body == b"lost.bin"
        assert finished(client.original("deleted.bin")).status == 404
        eventually(lambda: not (copied / "deleted.bin").exists(), "for the deletion to follow")
