"""Files made to hurt: each gives a picture or a refusal in time, and costs nobody else anything."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.support.bombs import BOMBS
from tests.support.client import Answer, Client
from tests.support.daemon import KEY, Daemon
from tests.support.images import jpeg
from tests.support.mutations import is_thumbnail
from tests.support.processes import paused
from tests.support.slow import slow_but

_BOX = 90
_TIMEOUT = 4
_MEMORY = 512 << 20
_PATIENCE = 20
"""Seconds that anything may take beyond its time-out: others use the machine, too."""

_GROWTH = 16 << 20


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a photograph that everybody wants to see."""
    limits = {"timeout": _TIMEOUT, "memory": _MEMORY, "workers": 2}
    daemon = Daemon(tmp_path_factory.mktemp("hostile"), {"thumbnails": limits})
    (daemon.store / "originals").mkdir(parents=True)
    (daemon.store / "originals" / "innocent.jpg").write_bytes(jpeg())
    daemon.start()
    yield daemon
    daemon.stop()


def ask(daemon: Daemon, path: str) -> Answer:
    request = f"GET {path} HTTP/1.1\r\nHost: was\r\nConnection: close\r\n\r\n"
    return Client(daemon.url, KEY).raw(request.encode())


@contextmanager
def others(daemon: Daemon) -> Iterator[list[float]]:
    """Others who look at other things meanwhile: how many seconds each of their answers took."""
    over = Event()
    seconds: list[float] = []

    def look() -> None:
        while not over.is_set():
            begin = time.monotonic()
            for path in ("/", "/fileget?filename=innocent.jpg", f"/fileget?filename=innocent.jpg&type=T&scale={_BOX}"):
                assert ask(daemon, path).status == 200
            seconds.append(time.monotonic() - begin)
            over.wait(0.05)

    visitor = Thread(target=look)
    visitor.start()
    try:
        yield seconds
    finally:
        over.set()
        visitor.join()


def peaks(daemon: Daemon) -> list[int]:
    """The most address space that each worker has had, in bytes."""
    found = []
    for pid in daemon.workers():
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmPeak:")]
    return found


QUICK = (
    *("looping-pages.pdf", "tiny-tiles.j2k", "packed.psd", "deflated.tif", "loop.tif"),
    *("texts.png", "claims-all.png", "exif-greed.jpg", "claims-much.heic"),
)
"""Those of different kinds."""


@pytest.mark.parametrize("name", slow_but(QUICK, BOMBS))
def test_a_bomb_hurts_nobody(name: str, daemon: Daemon) -> None:
    (daemon.store / "originals" / name).write_bytes(BOMBS[name]())
    before = daemon.memory()
    daemon.forget_peak()
    with others(daemon) as seconds:
        begin = time.monotonic()
        thumbnail = ask(daemon, f"/fileget?type=T&scale={_BOX}&filename={name}")
        metadata = ask(daemon, f"/getmetadata?filename={name}")
        took = time.monotonic() - begin
    print(f"{thumbnail.status} {thumbnail.body[:80] if thumbnail.status != 200 else ''} {metadata.status} {took:.1f} s")
    assert thumbnail.status in (200, 415, 422)
    assert thumbnail.status != 200 or is_thumbnail(thumbnail.body, _BOX)
    assert metadata.status in (200, 422)
    assert took < 2 * _TIMEOUT + _PATIENCE
    assert max(seconds, default=0) < _PATIENCE
    assert daemon.peak_memory() - before < _GROWTH
    assert all(peak <= _MEMORY for peak in peaks(daemon))
    with paused(set(daemon.workers())):
        again = ask(daemon, f"/fileget?type=T&scale={_BOX}&filename={name}")
        assert (again.status, again.body) == (thumbnail.status, thumbnail.body)
        if metadata.status == 422:
            assert ask(daemon, f"/getmetadata?filename={name}").status == 422
