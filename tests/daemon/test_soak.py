"""A daemon under a mixed load takes up no more in the end than it did when it was warm."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.support import images
from tests.support.blocking import BlockingClient, finished
from tests.support.client import Answer, Form
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.http_contract import get
from tests.support.usage import Meter, Usage
from tests.support.versions import colour_of, is_colour, picture

VISITORS, FEW_VISITORS = 6, 2
WORKERS = 2
SECONDS = float(os.environ.get("SOAK_SECONDS", "180"))
LARGE = 3_000_000
MAX_UPLOAD = 8 << 20

MEMORY_GROWTH = 8 << 20
"""Bytes that the daemon may gain: what it remembers of assets, 2 MB, and what the C library keeps of a busy moment."""


class Visitor:
    """Somebody who does all that clients do, and some of what they should not."""

    def __init__(self, client: BlockingClient, seed: str) -> None:
        self._client = client
        self._random = random.Random(seed)
        self._own = f"{seed}.jpg"
        self._large = picture(self._own, 1, LARGE)
        self._versions = 1
        self.done: Counter[str] = Counter()

    def arrive(self) -> None:
        """Upload what the visits need."""
        self._store(self._own, self._large.content)

    def visit(self) -> None:
        """Do everything once, in any order."""
        actions: list[Callable[[], None]] = [
            self._whole_life,
            self._replace,
            self._read_parts,
            self._be_refused,
            self._send_too_much,
            self._break_off_uploads,
            self._break_off_a_download,
            self._leave_before_the_thumbnail,
            self._send_broken_images,
            self._say_half_a_sentence,
            self._pipeline,
        ]
        for action in self._random.sample(actions, len(actions)):
            action()
            self.done[action.__name__.strip("_")] += 1

    def _store(self, name: str, content: bytes) -> None:
        form = self._random.choice((self._client.specify6_form, self._client.specify7_form))
        answer = finished(self._client.upload(form(name), content))
        assert (answer.status, answer.body) == (200, b"Ok."), answer

    def _remove(self, name: str) -> None:
        assert finished(self._client.delete(name)).status == 200

    def _whole_life(self) -> None:
        name = f"{uuid4()}{self._random.choice(('.jpg', '.png', '.tif'))}"
        version = picture(name, self._random.randrange(1000), self._random.choice((0, 1000, 200_000)))
        self._store(name, version.content)
        assert finished(self._client.original(name)).body == version.content
        for scale in (20, 50):
            answer = finished(self._client.thumbnail(name, scale))
            assert version.colour
            assert is_colour(colour_of(answer.body), version.colour)
        assert finished(self._client.metadata(name)).status == 200
        assert finished(self._client.reference(name, type="T", scale=20)).status == 200
        self._remove(name)
        assert finished(self._client.original(name)).status == 404

    def _replace(self) -> None:
        self._versions += 1
        self._large = picture(self._own, self._versions, LARGE)
        self._store(self._own, self._large.content)
        assert self._large.colour
        assert is_colour(colour_of(finished(self._client.thumbnail(self._own, 60)).body), self._large.colour)

    def _read_parts(self) -> None:
        content = self._large.content
        start = self._random.randrange(len(content))
        stop = self._random.randrange(start, len(content)) + 1
        answer = finished(self._client.original(self._own, headers={"Range": f"bytes={start}-{stop - 1}"}))
        assert (answer.status, answer.body) == (206, content[start:stop])
        assert finished(self._client.original(self._own, headers={"Range": f"bytes={10**9}-"})).status == 416
        etag = finished(self._client.head("/fileget", filename=self._own)).headers["ETag"]
        assert finished(self._client.original(self._own, headers={"If-None-Match": etag})).status == 304

    def _be_refused(self) -> None:
        for form in (self._client.specify6_form, self._client.specify7_form):
            token = self._client.token("another name")
            assert finished(self._client.upload(form(self._own, token=token), bytes(100_000))).status == 403
            assert finished(self._client.upload(form("../up.jpg"), b"")).status == 400
        assert finished(self._client.delete(self._own, token="no:1")).status == 403

    def _send_too_much(self) -> None:
        with self._client.connect() as connection:
            connection.send(self._client.specify7_form(self._own).head(100 * MAX_UPLOAD))
            assert connection.answer().status == 413

    def _forms(self) -> Iterator[Form]:
        yield self._client.specify6_form(self._own)
        yield self._client.specify7_form(self._own)

    def _break_off_uploads(self) -> None:
        for form in self._forms():
            with self._client.connect() as connection:
                connection.send(form.head(LARGE) + form.before + bytes(self._random.randrange(LARGE)))
                if self._random.random() < 0.5:
                    connection.reset_on_close()

    def _break_off_a_download(self) -> None:
        with self._client.connect(receive_buffer=4096) as connection:
            connection.send(get(f"/fileget?filename={quote(self._own)}"))
            assert connection.head()[0] == 200
            connection.read(self._random.randrange(100_000))
            if self._random.random() < 0.5:
                connection.reset_on_close()

    def _leave_before_the_thumbnail(self) -> None:
        name = f"{uuid4()}.png"
        self._store(name, images.encode(images.chart((1500, 1000)), "PNG", compress_level=1))
        with self._client.connect() as connection:
            connection.send(get(f"/fileget?filename={name}&type=T&scale=900"))
        self._remove(name)

    def _send_broken_images(self) -> None:
        photograph = bytearray(images.photograph((120, 80)))
        for _ in range(20):
            photograph[self._random.randrange(len(photograph))] = self._random.randrange(256)
        for extension, content, statuses in (
            (".jpg", bytes(photograph[: self._random.randrange(len(photograph))]), (200, 415, 422)),
            (".jpg", b"no picture at all", (422,)),
            (".txt", b"no picture at all", (415,)),
            (".png", images.png_bomb(), (422,)),
        ):
            name = f"{uuid4()}{extension}"
            self._store(name, content)
            for _ in range(2):
                answer = finished(self._client.thumbnail(name, 30))
                assert answer.status in statuses, answer
            assert finished(self._client.metadata(name)).status in (200, 422)
            self._remove(name)

    def _say_half_a_sentence(self) -> None:
        with self._client.connect() as connection:
            connection.send(b"GET /fileget?filename=")
        with self._client.connect():
            pass

    def _pipeline(self) -> None:
        with self._client.connect() as connection:
            connection.send(b"GET /web_asset_store.xml HTTP/1.1\r\nHost: was\r\n\r\n" * 2 + get("/nothing"))
            answers: list[Answer] = [connection.answer() for _ in range(3)]
            assert [answer.status for answer in answers] == [200, 200, 404]


class Soak:
    """A daemon, its visitors, and what it took up when it was warm."""

    def __init__(self, directory: Path, visitors: int) -> None:
        self.meter = Meter(directory)
        config = {
            "server": {"max_upload": MAX_UPLOAD},
            "thumbnails": {"workers": WORKERS},
            "plugins": self.meter.plugins,
        }
        self.daemon = Daemon(directory, config).start()
        self._seed = random.randrange(1 << 32)
        print(f"seed {self._seed}")
        client = BlockingClient(self.daemon.url, KEY)
        self._visitors = [Visitor(client, f"{self._seed}-{number}") for number in range(visitors)]

    def everybody(self, action: Callable[[Visitor], None]) -> None:
        """All visitors do this at the same time."""
        with ThreadPoolExecutor(len(self._visitors)) as threads:
            for done in [threads.submit(action, visitor) for visitor in self._visitors]:
                done.result()

    def warm(self, rounds: int) -> Usage:
        """Let everything be imported, every thread and worker be started; what the daemon takes up then."""
        self.everybody(Visitor.arrive)
        for _ in range(rounds):
            self.everybody(Visitor.visit)
        return self._at_rest(None)

    def settle(self, warm: Usage) -> Usage:
        """Wait until the daemon takes up no more than when it was warm, but for memory."""
        return self._at_rest(warm)

    def _at_rest(self, warm: Usage | None) -> Usage:
        least = warm
        latest: list[Usage] = []

        def is_at_rest() -> bool:
            now = self.meter.usage(self.daemon)
            limit = least or (latest[-1] if latest else None)
            latest.append(now)
            return limit is not None and not now.exceeds(limit) and not now.files

        try:
            eventually(is_at_rest, "for the daemon to come to rest")
        except AssertionError as error:
            raise AssertionError(f"never at rest: {latest[-1].exceeds(warm or latest[0])}, {latest[-1]}") from error
        return latest[-1]

    def counts(self) -> Counter[str]:
        """How often each thing was done."""
        return sum((visitor.done for visitor in self._visitors), Counter())


@pytest.fixture
def soak(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Soak]:
    """A daemon with that many visitors at its door."""
    soak = Soak(tmp_path, request.param)
    yield soak
    soak.daemon.stop()


@pytest.mark.slow
@pytest.mark.parametrize("soak", [FEW_VISITORS], indirect=True)
def test_a_mixed_load_leaves_nothing_open(soak: Soak) -> None:
    warm = soak.warm(rounds=1)
    soak.everybody(Visitor.visit)
    end = soak.settle(warm)
    print(warm, end, soak.counts(), sep="\n")


@pytest.mark.slow
@pytest.mark.parametrize("soak", [VISITORS], indirect=True)
def test_a_long_mixed_load_takes_up_no_more_than_a_short_one(soak: Soak) -> None:
    begin = time.monotonic()
    warm = soak.warm(rounds=5)
    while time.monotonic() - begin < SECONDS / 3:
        soak.everybody(Visitor.visit)
    warm = soak.settle(warm)
    print(warm)
    while time.monotonic() - begin < SECONDS:
        soak.everybody(Visitor.visit)
    end = soak.settle(warm)
    print(end, soak.counts(), sep="\n")
    assert end.memory <= warm.memory + MEMORY_GROWTH
