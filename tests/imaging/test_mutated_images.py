"""Damaged files, many and at random: each gives a picture or a refusal, in time, and the daemon stays as it was."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import RunDaemon
from tests.support.client import Answer, Client
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.mutations import SEEDS, is_thumbnail, mutations

_BOX = 90
_TIMEOUT = 10
_SLACK = 20.0
"""Seconds that an answer may take beyond the time-out of its job, on a machine that others use too."""

_GROWTH = 24 << 20
_AT_A_TIME = 4
_SEED = 20260101


class Inspector:
    """Asks a daemon for thumbnails and metadata of files, and judges the answers."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.statuses: Counter[int] = Counter()
        self._client = Client(daemon.url, KEY)
        self._originals = daemon.store / "originals"
        self._originals.mkdir(parents=True, exist_ok=True)

    def inspect(self, file: tuple[str, bytes]) -> str | None:
        """What is wrong with the answers for a file, if anything."""
        name, content = file
        path = self._originals / name
        path.write_bytes(content)
        begin = time.monotonic()
        thumbnail = self._get(f"/fileget?type=T&scale={_BOX}&filename={name}")
        metadata = self._get(f"/getmetadata?filename={name}")
        seconds = time.monotonic() - begin
        self.statuses[thumbnail.status] += 1
        path.unlink()
        if thumbnail.status not in (200, 415, 422) or metadata.status not in (200, 422):
            return f"{name}: {thumbnail}, {metadata}"
        if thumbnail.status == 200 and not is_thumbnail(thumbnail.body, _BOX):
            return f"{name}: not a thumbnail"
        if metadata.status == 200 and not isinstance(metadata.json, list):
            return f"{name}: {metadata}"
        return f"{name}: {seconds:.1f} s" if seconds > 2 * _TIMEOUT + _SLACK else None

    def _get(self, path: str) -> Answer:
        return self._client.raw(f"GET {path} HTTP/1.1\r\nHost: was\r\nConnection: close\r\n\r\n".encode())

    def inspect_all(self, files: Iterator[tuple[str, bytes]]) -> list[str]:
        """What is wrong with the answers for any of these files."""
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            return [wrong for wrong in pool.map(self.inspect, files) if wrong]


@pytest.fixture
def inspector(run_daemon: RunDaemon) -> Inspector:
    inspector = Inspector(run_daemon({"thumbnails": {"timeout": _TIMEOUT, "memory": "512 MiB", "workers": 2}}))
    # What the first of its kind has its worker import may take longer than a picture may.
    inspector.inspect_all((name, make()) for name, make in SEEDS.items())
    inspector.statuses.clear()
    whole = inspector.inspect_all((name, make()) for name, make in SEEDS.items())
    assert (whole, inspector.statuses) == ([], Counter({200: len(SEEDS)}))
    return inspector


def survives(inspector: Inspector, seed: int, count: int) -> None:
    before = inspector.daemon.memory()
    assert inspector.inspect_all(mutations(seed, count)) == []
    print(f"seed {seed}: {inspector.statuses}; {(inspector.daemon.memory() - before) >> 10} KiB more")
    assert inspector.daemon.memory() - before < _GROWTH
    assert {200, 422} <= inspector.statuses.keys()
    assert len(inspector.daemon.workers()) <= 2
    assert "Traceback" not in inspector.daemon.log()
    staging = inspector.daemon.directory / "spool" / ".staging"
    eventually(lambda: not list(staging.glob("*")), "for the last staging file to go")


@pytest.mark.slow
def test_damaged_files_of_every_kind_are_shown_or_refused(inspector: Inspector) -> None:
    survives(inspector, _SEED, 62)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [_SEED + 1, _SEED + 2])
def test_thousands_of_damaged_files_are_shown_or_refused(inspector: Inspector, seed: int) -> None:
    survives(inspector, seed, 1240)
