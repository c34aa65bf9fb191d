"""A killed daemon with a mirror: what was acknowledged is in the primary, reaches the copy, and survives losses."""

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.daemon.test_kills import Museum
from tests.support.blocking import BlockingClient, NoAnswerError, finished
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
def mirroring(directory: Path, name: str = "", **server: Any) -> Iterator[Daemon]:
    """A daemon with a mirror; others with another `name` have the same one."""
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
    daemon = Daemon(directory / name, config)
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


class SoleEditor:
    """Somebody who alone uploads and deletes some names, by way of one daemon or another, and reads them."""

    def __init__(self, number: int, daemons: Sequence[Daemon], seed: int) -> None:
        self._random = random.Random(seed + number)
        self._clients = [BlockingClient(daemon.url, KEY) for daemon in daemons]
        # What a name may have: several versions where an answer has not come.
        self._possible: dict[str, set[bytes | None]] = {f"{number}-{each}.bin": {None} for each in range(3)}

    def work(self, is_over: Event) -> None:
        while not is_over.is_set():
            # A daemon that was killed does not answer; another one, or the next one, does.
            with suppress(NoAnswerError):
                self._act(self._random.choice(list(self._possible)), self._random.choice(self._clients))

    def _act(self, name: str, client: BlockingClient) -> None:
        step = self._random.choice(["upload", "delete", "read"])
        if step == "read":
            answer = finished(client.original(name))
            found = answer.body if answer.status == 200 else None
            assert answer.status in (200, 404), f"{name}: {answer.status} {answer.body!r}, not {self._possible[name]}"
            assert found in self._possible[name]
            return
        content = self._random.randbytes(8) if step == "upload" else None
        self._possible[name] = self._possible[name] | {content}
        acting = client.upload_like_specify7(name, content) if content else client.delete(name)
        status = finished(acting).status
        assert status in ((200,) if content else (200, 404)), f"{step} of {name}: {status}"
        self._possible[name] = {content}


@pytest.mark.slow
def test_two_daemons_with_one_journal_that_are_killed_call_nothing_lost(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance, is_over = random.Random(seed), Event()
    with ExitStack() as stack:
        daemons = [stack.enter_context(mirroring(tmp_path, each)).start() for each in ("one", "two")]
        threads = stack.enter_context(ThreadPoolExecutor(3))
        stack.callback(is_over.set)
        editors = [threads.submit(SoleEditor(number, daemons, seed).work, is_over) for number in range(3)]
        for _ in range(25):
            # The moment is what is random here; nothing waits for it.
            time.sleep(chance.uniform(0, 1.5))
            daemon = chance.choice(daemons)
            daemon.kill()
            daemon.start()
        is_over.set()
        for editor in editors:
            editor.result()
        logs = "".join(daemon.log() for daemon in daemons)
    assert "lost" not in logs
