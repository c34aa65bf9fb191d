"""Several daemons on the same stores: any takes any request, and none remembers what another one has replaced."""

import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.web.server import Site

from tests.support.blocking import BlockingClient, NoAnswerError, finished
from tests.support.client import Answer, Client
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.remotes import KINDS, make_far_end
from tests.support.s3quirks import QuirkyS3, kept
from tests.support.scripted import Listen
from tests.support.versions import Version, colour_of, is_colour, no_picture, picture

DAEMONS = 3
EDITORS = 3
SCALES = (1, 40, 100)
NAMES = ("sp6123{}.att.jpg", "{}.jpg", "{}.png", "{}.tif", "Käfer {}.gif")
"""Each editor has these, with its number; `1.png` and `1.tif` share the names of their thumbnails."""

COLLECTIONS = ("fish", "herbarium")
SIZES = (0, 1000, 70_000)
Table = dict[str, Any]
Ask = Callable[[BlockingClient], Coroutine[Any, Any, Answer]]

LONGEST_HEAD_START = 0.03
"""Seconds that a thumbnail is asked for before its original is replaced, at most: it is made in as long."""

_REFUSED = (415, 422)

_SLOW_DISK = """
import random
import time

from storage_plugins.filesystem import FilesystemOptions, FilesystemStore
from was_daemon.plugins import StorePlugin


class SlowStore(FilesystemStore):
    def _publish(self, *args):
        time.sleep(random.choice((0, 0.01, 0.03)))
        return super()._publish(*args)


slow = StorePlugin("slow", FilesystemOptions, lambda options: SlowStore(options.path, options.layout))
"""
"""A disk that takes its time, as busy ones do, when most goes wrong: in the moment before a file is in place."""


@attrs.define(eq=False)
class Asset:
    """What is known of one asset: it is one of `possible`, where None is no asset."""

    collection: str
    name: str
    possible: set[Version | None] = attrs.field(factory=lambda: {None})
    versions: int = 0

    @property
    def version(self) -> Version | None:
        """What it is; only while that is certain."""
        (version,) = self.possible
        return version


class Cluster:
    """Daemons with the same settings, but for their ports, and who kills one of them now and then."""

    def __init__(self, directory: Path, config: dict[str, Table]) -> None:
        spool = {"path": directory / "spool"}
        self.daemons = [Daemon(directory / f"daemon{number}", {**config, "spool": spool}) for number in range(DAEMONS)]
        self.clients = [BlockingClient(daemon.url, KEY) for daemon in self.daemons]
        self._down: Daemon | None = None

    def any_client(self, rng: random.Random) -> BlockingClient:
        """One of those whose daemons are not known to be down."""
        return rng.choice(
            [each for each, daemon in zip(self.clients, self.daemons, strict=True) if daemon is not self._down]
        )

    def start(self) -> None:
        """Start all."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(Daemon.start, self.daemons))

    def stop(self) -> None:
        """Stop all."""
        for daemon in self.daemons:
            daemon.stop()

    def kill_some(self, rng: random.Random, done: Event) -> int:
        """Kill one daemon after another, and start it again, until `done`; returns how often."""
        kills = 0
        while not done.wait(rng.uniform(0, 1)):
            daemon = rng.choice(self.daemons)
            daemon.kill()
            kills += 1
            self._down = daemon
            daemon.start()
            self._down = None
        return kills


class Editor:
    """Changes assets of its own through any daemon, and sees at once through the others what became of it."""

    def __init__(self, cluster: Cluster, assets: list[Asset], seed: str) -> None:
        self._cluster = cluster
        self._assets = assets
        self._random = random.Random(seed)
        self._others = ThreadPoolExecutor(4)
        self.done: Counter[str] = Counter()

    def work(self, steps: int) -> None:
        """Do so many things."""
        actions: list[Callable[[Asset], None]] = [self._replace, self._replace, self._replace, self._delete, self._look]
        with self._others:
            for _ in range(steps):
                action = self._random.choice(actions)
                action(self._random.choice(self._assets))
                self.done[action.__name__.strip("_")] += 1

    def _replace(self, asset: Asset) -> None:
        asset.versions += 1
        # Servers that tell time in whole seconds cannot tell apart what two daemons write within one, if it is as long.
        size = self._random.choice(SIZES) + asset.versions
        is_picture = self._random.random() < 0.9
        new = (picture if is_picture else no_picture)(asset.name, asset.versions, size)
        form = self._random.choice((BlockingClient.specify6_form, BlockingClient.specify7_form))

        def upload(client: BlockingClient) -> None:
            asset.possible.add(new)
            answer = finished(client.upload(form(client, asset.name, coll=asset.collection), new.content))
            assert (answer.status, answer.body) == (200, b"Ok."), (asset, answer)
            asset.possible = {new}

        self._change(asset, upload)

    def _delete(self, asset: Asset) -> None:
        status = 200 if asset.version else 404

        def delete(client: BlockingClient) -> None:
            asset.possible.add(None)
            answer = finished(client.delete(asset.name, coll=asset.collection))
            assert answer.status == status, (asset, answer)
            asset.possible = {None}

        self._change(asset, delete)

    def _change(self, asset: Asset, change: Callable[[BlockingClient], None]) -> None:
        """Change an asset while pictures of the version before are being made everywhere."""
        before = asset.version
        pictures = [*(partial(_thumbnail, asset, scale) for scale in SCALES), partial(_tile, asset)]
        making = [self._others.submit(self._see_any, asset, picture) for picture in pictures]
        time.sleep(self._random.uniform(0, LONGEST_HEAD_START))
        try:
            change(self._cluster.any_client(self._random))
        except NoAnswerError:
            self.done["unanswered"] += 1
            self._settle(asset)
        self._check(asset, before, [self._random.choice(SCALES)])
        for each in making:
            each.result()
        self._check(asset, before, SCALES)

    def _settle(self, asset: Asset) -> None:
        """Find out what became of a change whose daemon was killed."""
        found = self._everywhere(lambda client: client.original(asset.name, coll=asset.collection))
        asset.possible = {each for each in asset.possible if _is(found[0], each)}
        assert len(asset.possible) == 1, (asset, found)

    def _look(self, asset: Asset) -> None:
        self._check(asset, None, [self._random.choice(SCALES)])

    def _check(self, asset: Asset, before: Version | None, scales: Sequence[int]) -> None:
        """See the same through every daemon that lives."""
        for answer in self._everywhere(lambda client: client.original(asset.name, coll=asset.collection)):
            assert _is(answer, asset.version), (asset, before, answer)
        for ask in [*(partial(_thumbnail, asset, scale) for scale in scales), partial(_tile, asset)]:
            for answer in self._everywhere(ask):
                self._check_picture(asset, before, answer)

    def _check_picture(self, asset: Asset, before: Version | None, answer: Answer) -> None:
        if asset.version and asset.version.colour:
            assert answer.status == 200, (asset, answer)
            assert is_colour(colour_of(answer.body), asset.version.colour), (asset, "was", before, answer)
        else:
            assert answer.status in (_REFUSED if asset.version else (404,)), (asset, before, answer)

    def _everywhere(self, ask: Ask) -> list[Answer]:
        """The answers of the daemons, at least one."""
        answers: list[Answer] = []

        def any_answer() -> bool:
            for client in self._random.sample(self._cluster.clients, DAEMONS):
                try:
                    answers.append(finished(ask(client)))
                except NoAnswerError:
                    continue
            return bool(answers)

        eventually(any_answer, "for one of the daemons")
        return answers

    def _see_any(self, asset: Asset, picture: Ask) -> None:
        """A thumbnail or tile of any version: whole, or none."""
        try:
            answer = finished(picture(self._cluster.any_client(self._random)))
        except NoAnswerError:
            return
        if answer.status == 200:
            colour_of(answer.body)
        else:
            assert answer.status in (404, 503, *_REFUSED), (asset, answer)


def _thumbnail(asset: Asset, scale: int, client: BlockingClient) -> Coroutine[Any, Any, Answer]:
    return client.thumbnail(asset.name, scale, coll=asset.collection)


def _tile(asset: Asset, client: BlockingClient) -> Coroutine[Any, Any, Answer]:
    """The only tile of a picture, as a viewer asks for it."""
    return client.get(f"/iiif/3/{asset.collection}:{quote(asset.name)}/full/max/0/default.jpg")


def _is(answer: Answer, version: Version | None) -> bool:
    if version is None:
        return answer.status == 404
    return answer.status == 200 and answer.body == version.content


def settings(directory: Path, main: Table, second: Table, thumbnails: str = "main") -> dict[str, Table]:
    """The settings of daemons that share two stores; the thumbnails of both are in one of them."""
    plugins = directory / "plugins" / "storage_plugins"
    plugins.mkdir(parents=True)
    (plugins / "slow_disk.py").write_text(_SLOW_DISK)
    collections = {"fish": {"directory": "Fish"}, "herbarium": {"directory": "Herbarium", "store": "second"}}
    return {
        "plugins": {"path": [plugins.parent]},
        "stores": {"main": main, "second": second},
        "collections": {"mode": "map", "store": "main", "map": collections},
        "thumbnails": {"store": thumbnails, "workers": 1},
    }


def on_disks(directory: Path) -> dict[str, Table]:
    """The settings for two directories."""
    return settings(
        directory,
        {"plugin": "slow", "path": directory / "main"},
        {"plugin": "slow", "path": directory / "second", "layout": "sharded"},
    )


@contextmanager
def running(directory: Path, config: dict[str, Table]) -> Iterator[Cluster]:
    """A cluster of daemons."""
    cluster = Cluster(directory, config)
    with ExitStack() as stack:
        stack.callback(cluster.stop)
        cluster.start()
        yield cluster


def run(directory: Path, config: dict[str, Table], steps: int, seed: int | None = None) -> None:
    """Have the editors do so many things each; the seed that is printed repeats what they ask for."""
    seed = random.randrange(1 << 32) if seed is None else seed
    print(f"seed {seed}")
    with running(directory, config) as cluster, ThreadPoolExecutor() as threads:
        editors = []
        for number in range(EDITORS):
            assets = [Asset(collection, name.format(number)) for collection in COLLECTIONS for name in NAMES]
            editors.append(Editor(cluster, assets, f"{seed} {number}"))
        done = Event()
        killing = threads.submit(cluster.kill_some, random.Random(seed), done)
        try:
            for work in [threads.submit(editor.work, steps) for editor in editors]:
                work.result()
        finally:
            done.set()
        print(f"{killing.result()} kills", dict(sum((editor.done for editor in editors), Counter())))


def test_three_daemons_on_two_stores_answer_as_one(tmp_path: Path) -> None:
    run(tmp_path, on_disks(tmp_path), steps=10, seed=1)


@pytest.mark.slow
def test_three_daemons_on_two_stores_answer_as_one_for_long(tmp_path: Path) -> None:
    run(tmp_path, on_disks(tmp_path), steps=300)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_three_daemons_on_a_remote_store_answer_as_one(tmp_path: Path, kind: str) -> None:
    far = make_far_end(kind, tmp_path / "far")
    try:
        far.start()
        table = far.table(direct=True)
        config = settings(tmp_path, {"plugin": "slow", "path": tmp_path / "main"}, table, thumbnails="second")
        run(tmp_path, config, steps=60)
    finally:
        far.remove()


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_of_uploads_of_a_new_name_to_two_daemons_on_a_bucket_one_is_taken(tmp_path: Path, listen: Listen) -> None:
    server = QuirkyS3()
    server.condition = kept
    keys = {"access_key_id": "key", "secret_access_key": "secret"}
    table = {"plugin": "s3", "bucket": "assets", "endpoint": listen(Site(server, timeout=None)), **keys}
    config = {"server": {"overwrite": False}, "stores": {"main": table}}
    daemons = [Daemon(tmp_path / f"daemon{number}", config) for number in range(2)]
    try:
        clients = [Client((await deferToThread(daemon.start)).url, KEY) for daemon in daemons]
        for number in range(20):
            name, size = f"{number}.bin", 6_000_000 if number % 5 == 0 else 1000
            contents = [bytes([each]) * size for each in range(len(clients))]
            uploads = [
                Deferred.fromCoroutine(client.upload_like_specify7(name, content))
                for client, content in zip(clients, contents, strict=True)
            ]
            statuses = [answer.status for answer in await gatherResults(uploads)]
            assert sorted(statuses) == [200, 409]
            for client in clients:
                assert (await client.original(name)).body == contents[statuses.index(200)]
    finally:
        for daemon in daemons:
            await deferToThread(daemon.stop)
