"""Whatever was acknowledged survives a daemon that is killed at any moment."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from posixpath import splitext
from typing import Any

import attrs
import pytest

from tests.conftest import RunDaemon
from tests.support.blocking import BlockingClient, NoAnswerError, finished
from tests.support.client import Answer
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.remotes import KINDS, make_far_end
from tests.support.staging import leave_stale
from tests.support.versions import Version, colour_of, is_colour, no_picture, picture

pytestmark = pytest.mark.slow

EDITORS = 4
SCALES = (1, 40, 100)
NAMES = ("sp6123{}.att.jpg", "{}.jpg", "{}.png", "{}.tif", "Käfer {}.jpg", "{}")
"""Each editor has these, with its number; `1.png`, `1.tif` and `1` share the names of their thumbnails."""

SIZES = (0, 1, 1000, 70_000, 600_000, 4_000_000)
LONGEST_ROUND = 0.4
"""Seconds of work between two kills, at most: most uploads take some hundredths."""

_REFUSED = (415, 422)
"""The answers to whoever wants a thumbnail of what is no picture."""


@attrs.define(eq=False)
class Asset:
    """What is known of one asset. `possible` holds what it may be: None is no asset.

    After an operation without an answer these are two. `is_tidy`: the last operation was acknowledged, so no thumbnail
    of an older version is left.
    """

    name: str
    possible: set[Version | None] = attrs.field(factory=lambda: {None})
    ever: dict[bytes, Version] = attrs.field(factory=dict, repr=False)
    is_tidy: bool = True
    versions: int = 0
    stored: set[bytes] = attrs.field(factory=set, repr=False)
    """The SHA-256 of each version that was the stored one."""

    def attempt(self, new: Version | None) -> None:
        """Note that this is asked for."""
        self.possible.add(new)
        self.is_tidy = False
        if new:
            self.ever[new.content] = new

    def acknowledge(self, new: Version | None) -> None:
        """Note that this is promised."""
        self.possible = {new}
        self.is_tidy = True
        self.note_stored()

    def note_stored(self) -> None:
        """Note the version that is known to be stored."""
        (version,) = self.possible
        if version:
            self.stored.add(sha256(version.content).digest())


class Editor:
    """Changes assets of its own, and looks at everybody's, until the daemon is gone."""

    def __init__(self, client: BlockingClient, own: list[Asset], everybodys: list[Asset], seed: str) -> None:
        self._client = client
        self._own = own
        self._everybodys = everybodys
        self._random = random.Random(seed)
        self.answers: Counter[str] = Counter()

    def work(self) -> None:
        """Do one thing after another; ends when an answer does not come."""
        actions: list[Callable[[], None]] = [
            self._upload_any,
            self._replace_seen,
            self._delete_seen,
            self._look,
            self._look_at_thumbnail,
            self._look_at_metadata,
        ]
        with suppress(NoAnswerError):
            while True:
                action = self._random.choice(actions)
                action()
                self.answers[action.__name__.strip("_")] += 1

    def _new_version(self, asset: Asset) -> Version:
        asset.versions += 1
        size = self._random.choice(SIZES)
        if self._random.random() < 0.2:
            return no_picture(asset.name, asset.versions, size)
        return picture(asset.name, asset.versions, size)

    def _replace_seen(self) -> None:
        """Upload, and leave thumbnails of the version before to be forgotten."""
        asset = self._random.choice(self._own)
        self._see_thumbnail(asset)
        self._upload(asset)

    def _upload_any(self) -> None:
        self._upload(self._random.choice(self._own))

    def _upload(self, asset: Asset) -> None:
        new = self._new_version(asset)
        asset.attempt(new)
        form = self._random.choice((self._client.specify6_form, self._client.specify7_form))
        answer = finished(self._client.upload(form(asset.name), new.content))
        assert (answer.status, answer.body) == (200, b"Ok."), (asset, answer)
        asset.acknowledge(new)

    def _delete_seen(self) -> None:
        asset = self._random.choice(self._own)
        self._see_thumbnail(asset)
        before = set(asset.possible)
        asset.attempt(None)
        answer = finished(self._client.delete(asset.name))
        assert answer.status == (404 if before == {None} else 200), (asset, answer)
        asset.acknowledge(None)

    def _look(self) -> None:
        asset = self._random.choice(self._everybodys)
        answer = finished(self._client.original(asset.name))
        assert answer.status == 404 or (answer.status == 200 and answer.body in asset.ever), (asset, answer)

    def _look_at_thumbnail(self) -> None:
        self._see_thumbnail(self._random.choice(self._everybodys))

    def _look_at_metadata(self) -> None:
        asset = self._random.choice(self._everybodys)
        answer = finished(self._client.metadata(asset.name))
        assert answer.status in (200, 404, 503), (asset, answer)

    def _see_thumbnail(self, asset: Asset) -> None:
        answer = finished(self._client.thumbnail(asset.name, self._random.choice(SCALES)))
        if answer.status == 200:
            colour_of(answer.body)
        else:
            assert answer.status in (404, 503, *_REFUSED), (asset, answer)


class Museum:
    """A daemon, its assets, and those who work with them. `files` is where the store keeps what it stores."""

    def __init__(self, daemon: Daemon, files: Path, seed: int, has_trash: bool = False) -> None:
        self._daemon = daemon
        self._has_trash = has_trash
        self._files = files
        self._random = random.Random(seed)
        self._client = BlockingClient(daemon.url, KEY)
        own = [[Asset(name.format(number)) for name in NAMES] for number in range(EDITORS)]
        self._assets = [asset for assets in own for asset in assets]
        self._editors = [
            Editor(self._client, assets, self._assets, f"{seed} {number}") for number, assets in enumerate(own)
        ]

    def kill_again_and_again(self, kills: int) -> None:
        """Work and be killed, so often; look each time what is left."""
        # What a kill may leave, in case that none of these does.
        for place in self._places:
            (place / ".staging").mkdir(parents=True)
            leave_stale(place)
        for _ in range(kills):
            if self._random.random() < 0.15:
                self._kill_while_starting()
            else:
                self._kill_at_work()
        self._daemon.start()
        self.check()
        self._daemon.stop()
        assert self._staged() == []
        print(dict(sum((editor.answers for editor in self._editors), Counter())))

    def _kill_while_starting(self) -> None:
        self._daemon.launch()
        time.sleep(self._random.uniform(0, 1))
        self._daemon.kill()

    def _kill_at_work(self) -> None:
        self._daemon.start()
        self.check()
        with ThreadPoolExecutor(EDITORS) as threads:
            working = [threads.submit(editor.work) for editor in self._editors]
            # The moment is what is random here; nothing waits for it.
            time.sleep(self._random.uniform(0, LONGEST_ROUND))
            self._daemon.kill()
        for work in working:
            work.result()

    def check(self) -> None:
        """Compare everything with what was acknowledged; nobody else works meanwhile."""
        eventually(lambda: not self._staged(), "for the remains of the killed daemon to be removed")
        for asset in self._assets:
            self._check_original(asset)
        self._check_files()
        if self._has_trash:
            self._check_trash()
        for asset in self._assets:
            for scale in self._check_thumbnails_on_disk(asset):
                self._check_thumbnail(asset, scale)
        for asset in self._random.sample(self._assets, 4):
            self._check_thumbnail(asset, self._random.choice(SCALES))

    def _staged(self) -> list[Path]:
        """The files that are being written on this machine."""
        return [path for place in self._places for path in place.rglob(".staging/*")]

    @property
    def _places(self) -> list[Path]:
        """Where this machine keeps what is being written."""
        spool = self._daemon.directory / "spool"
        return [spool, self._files / "originals"] if self._files == self._daemon.store else [spool]

    def _check_original(self, asset: Asset) -> None:
        answer = finished(self._client.original(asset.name))
        found = {version for version in asset.possible if _is(answer, version)}
        assert found, (asset, answer)
        asset.possible = found
        asset.note_stored()

    def _check_files(self) -> None:
        """There are the files of the assets, and no others."""
        found = {path.name: path.read_bytes() for path in _files(self._files, "originals")}
        expected = {asset.name: version.content for asset in self._assets for version in asset.possible if version}
        assert found.keys() == expected.keys()
        assert all(found[name] == content for name, content in expected.items())

    def _check_trash(self) -> None:
        """Every version that was stored and is no more can be restored."""
        kept = {
            sha256(path.read_bytes()).digest()
            for path in self._files.rglob("*.file")
            if path.with_suffix(".json").is_file()
        }
        for asset in self._assets:
            (version,) = asset.possible
            current = {sha256(version.content).digest()} if version else set()
            assert asset.stored - current <= kept, asset

    def _check_thumbnails_on_disk(self, asset: Asset) -> list[int]:
        """They are whole; returns the scales of those that the kill may have left of an older version."""
        (version,) = asset.possible
        doubtful = []
        for scale, path in self._thumbnails_of(asset):
            try:
                colour = colour_of(path.read_bytes())
            except (OSError, SyntaxError) as error:
                raise AssertionError(f"{path} is half a thumbnail") from error
            if asset.is_tidy:
                assert version and version.colour and is_colour(colour, version.colour), (asset, path)
            else:
                doubtful.append(scale)
        return doubtful

    def _thumbnails_of(self, asset: Asset) -> Iterator[tuple[int, Path]]:
        """The scales and files of all that there are."""
        root, extension = splitext(asset.name)
        owner = asset.name.encode()
        mark = len(owner).to_bytes(4, "big") + b"waSr" + owner
        scales = {f"{root}_{scale}{extension if extension == '.jpg' else '.png'}": scale for scale in SCALES}
        for path in _files(self._files, "thumbnails"):
            if path.name in scales and (extension == ".jpg" or mark in path.read_bytes()):
                yield scales[path.name], path

    def _check_thumbnail(self, asset: Asset, scale: int) -> None:
        (version,) = asset.possible
        answer = finished(self._client.thumbnail(asset.name, scale))
        if version and version.colour:
            assert answer.status == 200, (asset, answer)
            assert is_colour(colour_of(answer.body), version.colour), (asset, scale, answer)
        else:
            assert answer.status in (_REFUSED if version else (404,)), (asset, scale, answer)


def _is(answer: Answer, version: Version | None) -> bool:
    if version is None:
        return answer.status == 404
    return answer.status == 200 and answer.body == version.content


def _files(root: Path, kind: str) -> Iterator[Path]:
    """The files under final names."""
    for path in root.rglob("*"):
        names = path.relative_to(root).parts
        if path.is_file() and kind in names and not any(name.startswith(".") for name in names):
            yield path


@contextmanager
def on_disk(directory: Path, layout: str, **sections: dict[str, Any]) -> Iterator[tuple[Daemon, Path]]:
    """A daemon with a filesystem store of that layout, and where its files are."""
    table = {"plugin": "filesystem", "path": directory / "store", "layout": layout}
    daemon = Daemon(directory, {"stores": {"main": table}, "thumbnails": {"workers": 2}, **sections})
    try:
        yield daemon, daemon.store
    finally:
        daemon.stop()


@contextmanager
def on_remote(directory: Path, kind: str, **sections: dict[str, Any]) -> Iterator[tuple[Daemon, Path]]:
    """A daemon in front of a server, and where that one's files are."""
    far = make_far_end(kind, directory / "far")
    try:
        far.start()
        stores = {"main": far.table(direct=True)}
        config: dict[str, dict[str, Any]] = {"stores": stores, "thumbnails": {"workers": 2}, **sections}
        daemon = Daemon(directory, config)
        try:
            yield daemon, far.root
        finally:
            daemon.stop()
    finally:
        far.remove()


def run(daemon: Daemon, files: Path, kills: int, has_trash: bool = False) -> None:
    """Kill the daemon so often; the seed that is printed repeats what is asked of it."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}, {kills} kills")
    Museum(daemon, files, seed, has_trash).kill_again_and_again(kills)


def test_a_killed_daemon_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    with on_disk(tmp_path, "flat") as (daemon, files):
        run(daemon, files, kills=10)


@pytest.mark.parametrize(("layout", "kills"), [("flat", 200), ("sharded", 60)])
def test_a_daemon_killed_hundreds_of_times_loses_nothing_it_acknowledged(
    tmp_path: Path, layout: str, kills: int
) -> None:
    with on_disk(tmp_path, layout) as (daemon, files):
        run(daemon, files, kills)


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_daemon_loses_nothing_it_acknowledged_on_a_remote_store(tmp_path: Path, kind: str) -> None:
    with on_remote(tmp_path, kind) as (daemon, files):
        run(daemon, files, kills=40)


@pytest.mark.parametrize("place", ["flat", "sharded", *KINDS])
def test_every_version_of_a_killed_daemon_is_stored_or_in_the_trash(tmp_path: Path, place: str) -> None:
    trash = {"keep": "30 days", "replaced": True}
    with (on_remote if place in KINDS else on_disk)(tmp_path, place, trash=trash) as (daemon, files):
        run(daemon, files, kills=40, has_trash=True)


def test_a_worker_ends_with_its_daemon_whatever_it_does(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    client = BlockingClient(daemon.url, KEY)
    version = picture("a.jpg", 1)
    assert finished(client.upload_like_specify7("a.jpg", version.content)).status == 200
    assert finished(client.thumbnail("a.jpg", 40)).status == 200
    (worker,) = daemon.workers()
    # It reads nothing any more, like one that a crafted file keeps busy for ever.
    os.kill(worker, signal.SIGSTOP)
    daemon.kill()
