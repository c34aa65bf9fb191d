"""After 100,000 operations of all kinds a daemon and its workers have the memory that they had after 10,000."""

import itertools
import os
import random
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from tests.support import images
from tests.support.blocking import BlockingClient, finished
from tests.support.client import Answer
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.http_contract import get
from was_daemon.derivatives.eviction import Evictor
from was_daemon.derivatives.larger_thumbnails import LargerThumbnails
from was_daemon.derivatives.refusals import Refusals
from was_daemon.derivatives.thumbnails import EvictableThumbnails
from was_daemon.httpd.traffic import Traffic
from was_daemon.library.collections import Collections, Original, Place
from was_daemon.model.errors import BrokenImage
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.telemetry.metrics import Metrics
from was_daemon.telemetry.recent_errors import RecentErrors
from was_daemon.testing.memory import MemoryStore

pytestmark = pytest.mark.slow

FEW, MANY = 10_000, 100_000
"""Operations after which the memory is measured."""

GROWTH = 8 << 20
"""Bytes that it may differ by, of an operation less than a hundred.

What the daemon remembers of assets is less, and settles within the first operations; but the C library keeps what all
requests at a time once took, and chance makes that more from time to time.
"""

REMEMBERED = 3 << 19
"""Bytes that one of the daemon's memories may take: all together they stay well below `GROWTH`."""

VISITORS = 6
LARGE = 8 << 20
"""Bytes of the asset whose downloads are broken off: more than the sockets hold."""

SCALE = 60
REQUESTS = {"_whole_life": 3}
"""What counts as more than one operation."""


@attrs.frozen
class Memory:
    """Resident bytes of a daemon's own process, and of the largest of its workers."""

    daemon: int
    worker: int

    def __str__(self) -> str:
        return f"daemon {self.daemon / 1e6:.1f} MB, largest worker {self.worker / 1e6:.1f} MB"


class Crowd:
    """Visitors of one daemon, each of whom does one thing after the other."""

    def __init__(self, directory: Path) -> None:
        config = {"thumbnails": {"workers": 2, "max_size": "1 GiB"}, "log": {"format": "json"}}
        # A process of its own from the start, which shares no memory with that of the tests.
        self.daemon = Daemon(directory, config, environ={"PYTHONUNBUFFERED": "1"}).start()
        self.done: Counter[str] = Counter()
        self._client = BlockingClient(self.daemon.url, KEY)
        self._originals = self.daemon.store / "originals"
        self._originals.mkdir(parents=True, exist_ok=True)
        self._picture = images.encode(images.chart((160, 120)), "JPEG")
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        (self._originals / "large.bin").write_bytes(os.urandom(LARGE))
        (self._originals / "known.jpg").write_bytes(self._picture)

    def operations(self) -> list[Callable[[], object]]:
        """One round, in any order."""
        round_ = [
            *[self._whole_life] * 1,
            *[self._upload] * 2,
            *[self._new_thumbnail] * 6,
            *[self._bad_file] * 6,
            *[self._bad_metadata] * 2,
            *[self._known_thumbnail] * 6,
            *[self._part] * 3,
            *[self._missing] * 2,
            *[self._broken_download] * 12,
            *[self._cold_broken_download] * 3,
            *[self._broken_upload] * 4,
            *[self._abandoned_thumbnail] * 2,
        ]
        return random.sample(round_, len(round_))

    def work(self, until: int) -> None:
        """Go on until so many operations are done in all."""

        def visit() -> None:
            while self.done.total() < until:
                for operation in self.operations():
                    operation()
                    with self._lock:
                        self.done[operation.__name__.strip("_")] += REQUESTS.get(operation.__name__, 1)

        with ThreadPoolExecutor(VISITORS) as threads:
            for visitor in [threads.submit(visit) for _ in range(VISITORS)]:
                visitor.result()

    def memory(self) -> Memory:
        """What is taken up at rest."""
        eventually(lambda: not list(self.daemon.store.rglob(".staging/*")), "for everything to be finished")
        eventually(lambda: not self.daemon.open_files(), "for all files to be closed")
        return Memory(self.daemon.memory(), max(map(resident, self.daemon.workers())))

    def _put(self, content: bytes) -> str:
        """A new file, copied into the store."""
        name = f"{next(self._numbers):08}-4f0c-4b44-9d53-8c9c3f4d9f1e.jpg"
        (self._originals / name).write_bytes(content)
        return name

    def _upload(self) -> str:
        name = f"{next(self._numbers):08}-4f0c-4b44-9d53-8c9c3f4d9f1e.jpg"
        form = random.choice((self._client.specify6_form, self._client.specify7_form))
        check(finished(self._client.upload(form(name), self._picture)), 200)
        return name

    def _whole_life(self) -> None:
        name = self._upload()
        check(finished(self._client.thumbnail(name, SCALE)), 200)
        check(finished(self._client.delete(name)), 200)

    def _new_thumbnail(self) -> None:
        check(finished(self._client.thumbnail(self._put(self._picture), SCALE)), 200)

    def _bad_file(self) -> None:
        name = self._put(b"\xff\xd8 this is no picture")
        check(finished(self._client.thumbnail(name, SCALE)), 422)

    def _bad_metadata(self) -> None:
        check(finished(self._client.metadata(self._put(b"II*\0" + os.urandom(100)))), 200, 422)

    def _known_thumbnail(self) -> None:
        check(finished(self._client.thumbnail("known.jpg", SCALE)), 200)

    def _part(self) -> None:
        start = random.randrange(LARGE - 300_000)
        headers = {"Range": f"bytes={start}-{start + random.randrange(300_000)}"}
        check(finished(self._client.original("large.bin", headers=headers)), 206)

    def _missing(self) -> None:
        check(finished(self._client.original(f"{next(self._numbers)}.jpg")), 404)

    def _broken_download(self) -> None:
        with self._client.connect(receive_buffer=4096) as connection:
            connection.send(get("/fileget?filename=large.bin"))
            assert connection.head()[0] == 200
            connection.read(random.choice((0, 1000, 300_000)))
            if random.random() < 0.5:
                connection.reset_on_close()

    def _cold_broken_download(self) -> None:
        with (self._originals / "large.bin").open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self._broken_download()

    def _broken_upload(self) -> None:
        form = random.choice((self._client.specify6_form, self._client.specify7_form))("broken.jpg")
        with self._client.connect() as connection:
            connection.send(form.head(LARGE) + form.before + bytes(random.randrange(300_000)))
            if random.random() < 0.5:
                connection.reset_on_close()

    def _abandoned_thumbnail(self) -> None:
        with self._client.connect() as connection:
            connection.send(get(f"/fileget?filename={self._put(self._picture)}&type=T&scale={SCALE}"))


def check(answer: Answer, *statuses: int) -> None:
    assert answer.status in statuses, answer


def resident(pid: int) -> int:
    """The resident bytes of a process, 0 when it has just ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):
        return 0


def remember_versions() -> Callable[[AssetKey, str], None]:
    larger = LargerThumbnails()
    return lambda key, etag: larger.add(key, etag, {"width": 3000 + len(etag), "height": 2000}, [60, 120])


def remember_refusals() -> Callable[[AssetKey, str], None]:
    refusals = Refusals()
    return lambda key, etag: refusals.add(version(key, etag), BrokenImage(f"{len(etag)} is no image"))


def version(key: AssetKey, etag: str) -> Original:
    return Original(Place("", MemoryStore(), MemoryStore()), key, AssetStat(1, 1.0, etag))


def remember_uses() -> Callable[[AssetKey, str], None]:
    evictor = Evictor(Collections(Place("", MemoryStore(), MemoryStore())), 1, EvictableThumbnails())
    return lambda key, _: evictor.used(key.thumbnail(60))


def remember_failures() -> Callable[[AssetKey, str], None]:
    trouble = RecentErrors(Metrics())
    return lambda key, _: trouble.note_failed_request("fileget", 500, f"{key} has failed")


def remember_requests() -> Callable[[AssetKey, str], None]:
    traffic = Traffic(Metrics())
    return lambda key, etag: traffic.end(Asked(f"/{key.name}".encode()), traffic.begin(), 404, True)


@attrs.define
class Asked:
    """A request for a page."""

    path: bytes
    method: bytes = b"GET"
    code: int = 404
    sentLength: int = 0
    problem: str = "no such asset"


@pytest.mark.parametrize(
    "remember", [remember_versions, remember_refusals, remember_uses, remember_failures, remember_requests]
)
def test_what_is_remembered_of_assets_and_requests_is_bounded(
    remember: Callable[[], Callable[[AssetKey, str], None]],
) -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        note = remember()
        for number in range(25_000):
            note(
                AssetKey("", Kind.ORIGINAL, f"{number:08}-4f0c-4b44-9d53-8c9c3f4d9f1e.jpg"), f"{number:x}-{number:040x}"
            )
        assert tracemalloc.get_traced_memory()[0] - before <= REMEMBERED
    finally:
        tracemalloc.stop()


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    crowd = Crowd(tmp_path)
    yield crowd
    crowd.daemon.stop()


def test_memory_after_many_operations_is_what_it_was_after_few(crowd: Crowd) -> None:
    begin = time.monotonic()
    measured: dict[int, Memory] = {}
    for number in (FEW, *range(2 * FEW, MANY + 1, FEW)):
        crowd.work(until=number)
        measured[number] = crowd.memory()
        print(f"{crowd.done.total()} operations, {time.monotonic() - begin:.0f} s: {measured[number]}", flush=True)
    print(dict(crowd.done))
    assert '"level": "error"' not in crowd.daemon.log()
    assert '"level": "critical"' not in crowd.daemon.log()
    assert measured[MANY].daemon <= measured[FEW].daemon + GROWTH
    assert measured[MANY].worker <= measured[FEW].worker + GROWTH
