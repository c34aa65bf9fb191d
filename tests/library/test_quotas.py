"""Quotas of collections: what does not fit is refused, whatever else happens at the same time."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from math import isnan
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import pytest_twisted
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.daemon.test_reload import reload
from tests.support.cli import run
from tests.support.client import Answer, Client
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.http_contract import check_allowed_everywhere, check_refused, gather, new_name
from tests.support.ports import free_port
from was_daemon.library.changes import Change
from was_daemon.library.collections import Place
from was_daemon.library.quotas.quota import Quota, Usage
from was_daemon.library.quotas.quotas import Quotas
from was_daemon.library.spool import Spool
from was_daemon.model.errors import QuotaExceeded, StoreUnavailable
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.telemetry.metrics import Metrics
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked

QUOTA = 1 << 20
FISH_KEY = "the key of the fishes"
EVERYTHING = {"Everything": {"directory": "All"}}
QUOTED = {name: {"directory": name, "quota": "1 MiB"} for name in ("Fish", "Shells", "Plants")}


class Hosting:
    """A daemon with collections whose quotas are `QUOTA`, and one without a quota."""

    def __init__(self, directory: Path, recount: float = 3600) -> None:
        self._admin_port = free_port()
        self.directory = directory
        self._recount = recount
        self.daemon = Daemon(directory, self.config({**QUOTED, **EVERYTHING}))
        self.client = Client(self.daemon.url, KEY)

    def config(self, collections: dict[str, dict[str, str]]) -> dict[str, dict[str, object]]:
        """The configuration with these collections."""
        return {
            "server": {"admin_listen": [f"tcp:{self._admin_port}:interface=127.0.0.1"]},
            "collections": {"mode": "map", "map": collections, "recount": self._recount},
        }

    def start(self) -> "Hosting":
        """Start, and wait until there is a count."""
        self.daemon.start()
        self.await_count()
        return self

    def await_count(self) -> None:
        """Wait until there is a count."""
        eventually(lambda: None not in map(self.used, QUOTED), "for the first count")

    def reading(self, path: str) -> Any:
        """The answer to monitoring."""
        return urlopen(f"http://127.0.0.1:{self._admin_port}{path}", timeout=30)

    def health(self) -> dict[str, dict[str, int | None]]:
        """What `/healthz` tells of the collections with a quota."""
        with self.reading("/healthz") as answer:
            collections: dict[str, dict[str, int | None]] = json.loads(answer.read())["collections"]
            return collections

    def used(self, collection: str = "Fish") -> int | None:
        """The bytes that a collection has."""
        return self.health()[collection]["used_bytes"]

    def metrics(self) -> dict[tuple[str, str], float]:
        """The metrics of collections, by name and collection."""
        with self.reading("/metrics") as answer:
            families = text_string_to_metric_families(answer.read().decode())
            samples = [sample for family in families for sample in family.samples]
        return {
            (sample.name, sample.labels["collection"]): sample.value
            for sample in samples
            if "collection" in sample.labels
        }

    def originals(self, collection: str = "Fish") -> Path:
        """The directory of a collection's originals."""
        return self.daemon.store / collection / "originals"

    def copied(self, name: str, size: int) -> None:
        """A file that somebody copied into the directory of Fish."""
        self.originals().mkdir(parents=True, exist_ok=True)
        (self.originals() / name).write_bytes(bytes(size))

    def stored(self, collection: str) -> int:
        """The bytes that are in the directory of a collection."""
        return sum(path.stat().st_size for path in self.originals(collection).glob("*") if path.is_file())


@pytest.fixture(scope="module")
def hosting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosting]:
    """One for the tests that each use a collection of their own."""
    hosting = Hosting(tmp_path_factory.mktemp("hosting")).start()
    yield hosting
    hosting.daemon.stop()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Hosting]:
    """One that nobody has used."""
    hosting = Hosting(tmp_path).start()
    yield hosting
    hosting.daemon.stop()


def check_full(answer: Answer) -> None:
    check_refused(answer, 507, KEY)
    check_allowed_everywhere(answer)
    assert answer.text == "the upload does not fit into the collection's quota of 1 MiB"


@pytest_twisted.ensureDeferred
async def test_an_upload_that_fits_no_more_is_refused_and_changes_nothing(hosting: Hosting) -> None:
    client = hosting.client
    await client.store("a.bin", bytes(QUOTA - 1000), coll="Fish")
    for _ in range(2):
        check_full(await client.upload_like_specify7("b.bin", bytes(1001), coll="Fish"))
        check_full(await client.upload_like_specify6("b.bin", bytes(1001), coll="Fish"))
        check_full(await client.upload_like_specify7("a.bin", bytes(QUOTA + 1), coll="Fish"))
        check_full(await client.upload_like_specify6("a.bin", bytes(QUOTA + 1), coll="Fish"))
    assert (await client.original("b.bin", coll="Fish")).status == 404
    assert len((await client.original("a.bin", coll="Fish")).body) == QUOTA - 1000
    eventually(lambda: not list(hosting.daemon.store.rglob(".staging/*")), "for the staging files to go")
    await client.store("b.bin", bytes(1000), coll="Fish")
    assert (hosting.used(), hosting.stored("Fish")) == (QUOTA, QUOTA)
    # A replacement needs only what it adds, and others are not affected.
    await client.store("a.bin", bytes(QUOTA - 1000), coll="Fish")
    await client.store("a.bin", bytes(2 * QUOTA), coll="Everything")
    assert (await client.delete("a.bin", coll="Fish")).body == b"Ok."
    assert hosting.used() == 1000
    await client.store("c.bin", bytes(QUOTA - 1000), coll="Fish")
    check_full(await client.upload_like_specify6("d.bin", b"a", coll="Fish"))


def test_what_is_known_to_be_too_much_is_refused_before_it_is_sent(hosting: Hosting) -> None:
    form = hosting.client.specify6_form(new_name(), coll="Fish")
    with hosting.client.connect() as connection:
        connection.send(form.head(2 * QUOTA) + form.before)
        check_full(connection.answer())
    # Nobody knows the size of a chunked one, so it is refused as soon as there is too much of it.
    with hosting.client.connect() as connection:
        connection.send(form.head(None))
        content = form.before + bytes(QUOTA + (1 << 19))
        connection.send(b"%x\r\n%s\r\n" % (len(content), content))
        check_full(connection.answer())


@pytest_twisted.ensureDeferred
async def test_uploads_at_the_same_time_do_not_exceed_it_together(hosting: Hosting) -> None:
    client, size = hosting.client, 300_000
    uploads = [client.upload_like_specify7(new_name(), bytes(size), coll="Shells") for _ in range(4)]
    uploads += [client.upload_like_specify6(new_name(), bytes(size), coll="Shells") for _ in range(4)]
    answers = await gather(*uploads)
    assert sorted(answer.status for answer in answers) == [200] * 3 + [507] * 5
    assert (hosting.used("Shells"), hosting.stored("Shells")) == (3 * size, 3 * size)


@pytest_twisted.ensureDeferred
async def test_what_is_there_before_or_copied_in_counts(tmp_path: Path) -> None:
    hosting = Hosting(tmp_path, recount=1)
    hosting.copied("a.bin", QUOTA // 2)
    hosting.start()
    try:
        assert hosting.used() == QUOTA // 2
        hosting.copied("b.bin", QUOTA // 2)
        eventually(lambda: hosting.used() == QUOTA, "for the next count")
        check_full(await hosting.client.upload_like_specify7("c.bin", b"c", coll="Fish"))
        (hosting.originals() / "a.bin").unlink()
        eventually(lambda: hosting.used() == QUOTA // 2, "for the next count")
        await hosting.client.store("c.bin", b"c", coll="Fish")
    finally:
        hosting.daemon.stop()


@pytest_twisted.ensureDeferred
async def test_usage_and_quota_are_to_be_seen(hosting: Hosting) -> None:
    await hosting.client.store("a.bin", bytes(1536), coll="Plants")
    assert hosting.health()["Plants"] == {"used_bytes": 1536, "quota_bytes": QUOTA}
    assert "Everything" not in hosting.health()
    metrics = hosting.metrics()
    assert metrics["was_collection_used_bytes", "Plants"] == 1536
    assert metrics["was_collection_quota_bytes", "Plants"] == QUOTA
    assert "Plants: 1.5 KiB of 1 MiB" in run("status", "--config", hosting.daemon.config_file).out


@pytest_twisted.ensureDeferred
async def test_a_collection_is_added_while_others_are_in_use(fresh: Hosting) -> None:
    """A download and an upload go on, the new one works at once with its own key, and what is known stays known."""
    client, daemon = fresh.client, fresh.daemon
    content = bytes(range(256)) * (1 << 15)
    await client.store("a.bin", content, coll="Everything")
    await client.store("b.bin", bytes(1000), coll="Fish")
    # Whoever counts again finds it.
    fresh.copied("copied.bin", 5000)
    form = client.specify6_form("c.bin", coll="Fish")
    birds = {"Birds": {"directory": "Ornithology", "key": FISH_KEY, "quota": "2 KiB"}}
    with client.connect(receive_buffer=4096) as downloading, client.connect() as uploading:
        downloading.send(b"GET /fileget?filename=a.bin&type=O&coll=Everything HTTP/1.1\r\nHost: was\r\n\r\n")
        assert downloading.head()[0] == 200
        uploading.send(form.head(100_000) + form.before + bytes(50_000))
        eventually(lambda: list(fresh.originals().glob(".staging/*")), "for the upload to begin")
        reload(daemon, fresh.config({**QUOTED, **EVERYTHING, **birds}))
        new = Client(daemon.url, FISH_KEY)
        await new.store("a.bin", bytes(2000), coll="Birds")
        check_refused(await client.upload_like_specify7("b.bin", b"b", coll="Birds"), 403, KEY)
        assert fresh.used() == 1000
        uploading.send(bytes(50_000) + form.after)
        assert uploading.answer().body == b"Ok."
        assert downloading.read(len(content)) == content
    assert fresh.used() == 101_000
    eventually(lambda: fresh.used("Birds") == 2000, "for the new collection to be counted")
    assert (await new.upload_like_specify7("b.bin", bytes(100), coll="Birds")).status == 507
    # The quota of a collection changes, and another is gone.
    fish = {"Fish": {**QUOTED["Fish"], "quota": "10 KiB"}}
    reload(daemon, fresh.config({**fish, **EVERYTHING}))
    assert fresh.health() == {"Fish": {"used_bytes": 101_000, "quota_bytes": 10 << 10}}
    assert {collection for _, collection in fresh.metrics()} == {"Fish"}
    assert (await client.upload_like_specify7("d.bin", b"d", coll="Fish")).status == 507


class WaitingStore(MemoryStore):
    """Lists nothing before it is let, and then fails if it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.let: Deferred[None] = Deferred()

    async def list(self, collection: str, kind: Kind, prefix: str = ""):  # type: ignore[no-untyped-def]
        self.begun += 1
        await self.let
        async for key in super().list(collection, kind, prefix):
            yield key


def home(store: MemoryStore, quota: int = 100) -> Quota:
    return Quota(store, "Fish", quota)


Keep = Callable[..., Quotas]


@pytest_twisted.async_yield_fixture
async def keep(tmp_path: Path) -> AsyncIterator[Keep]:
    """Keeps quotas, by the names of collections, until the end of the test."""
    kept: list[Quotas] = []
    spool = Spool(tmp_path, 0)

    def keep(quotas: dict[str, Quota], metrics: Metrics | None = None) -> Quotas:
        kept.append(Quotas(metrics or Metrics()))
        kept[-1].configure(quotas, 3600, spool)
        return kept[-1]

    yield keep
    for quotas in kept:
        await quotas.close()


async def used(quotas: Quotas) -> list[int | None]:
    return [usage.used for usage in (await quotas.usages()).values()]


async def until(quotas: Quotas, expected: list[int | None]) -> None:
    """Wait until that is known."""
    while await used(quotas) != expected:
        await deferLater(reactor, 0.01)


@pytest_twisted.ensureDeferred
async def test_nobody_waits_for_the_first_count_and_nobody_is_refused_before_it_is_done(keep: Keep) -> None:
    metrics, store, key = Metrics(), WaitingStore(), AssetKey("Fish", Kind.ORIGINAL, "a.jpg")
    await store.write(key, chunked(bytes(60)))
    quotas = keep({"Fish": home(store)}, metrics)
    assert isnan(_shown(metrics))
    reservation = await quotas.reserve(store, AssetKey("Fish", Kind.ORIGINAL, "b.jpg"), 1000)
    assert reservation
    reservation.release()
    store.let.callback(None)
    await until(quotas, [60])
    assert _shown(metrics) == 60
    with pytest.raises(QuotaExceeded):
        await quotas.reserve(store, AssetKey("Fish", Kind.ORIGINAL, "b.jpg"), 41)


def _shown(metrics: Metrics) -> float:
    value = metrics.registry.get_sample_value("was_collection_used_bytes", {"collection": "Fish"})
    assert value is not None
    return value


@pytest_twisted.ensureDeferred
async def test_what_is_known_is_kept_and_another_interval_begins_at_once(keep: Keep, tmp_path: Path) -> None:
    store, spool = MemoryStore(), Spool(tmp_path, 0)
    quotas = keep({"Fish": home(store)})
    await until(quotas, [0])
    await store.write(AssetKey("Fish", Kind.ORIGINAL, "a.jpg"), chunked(bytes(60)))
    quotas.configure({"Fish": home(store, 200), "Birds": Quota(store, "Birds", 1)}, 3600, spool)
    await until(quotas, [0, 0])
    assert list((await quotas.usages()).values()) == [Usage(0, 200), Usage(0, 1)]
    quotas.configure({"Fish": home(store, 200)}, 1800, spool)
    await until(quotas, [60])


@pytest_twisted.ensureDeferred
async def test_few_collections_are_counted_at_a_time(keep: Keep) -> None:
    stores = [WaitingStore() for _ in range(20)]
    quotas = keep({str(number): Quota(store, str(number), 1) for number, store in enumerate(stores)})
    while sum(store.begun for store in stores) < 4:
        await deferLater(reactor, 0.01)
    await used(quotas)
    assert sum(store.begun for store in stores) == 4
    for store in stores:
        store.let.callback(None)
    await until(quotas, [0] * 20)


@pytest_twisted.ensureDeferred
async def test_a_store_that_cannot_be_counted_takes_uploads(keep: Keep) -> None:
    store = WaitingStore()
    quotas = keep({"Fish": home(store)})
    store.let.errback(StoreUnavailable("down"))
    while not store.begun:
        await deferLater(reactor, 0.01)
    assert await used(quotas) == [None]
    assert await quotas.reserve(store, AssetKey("Fish", Kind.ORIGINAL, "b.jpg"), 1000)


@pytest_twisted.ensureDeferred
async def test_without_a_record_nothing_is_stored_but_things_can_be_deleted(tmp_path: Path) -> None:
    store, key = MemoryStore(), AssetKey("Fish", Kind.ORIGINAL, "a.jpg")
    quotas = Quotas(Metrics())
    (tmp_path / "spool").write_text("in the way")
    quotas.configure({"Fish": home(store)}, 3600, Spool(tmp_path / "spool", 0))
    with pytest.raises(StoreUnavailable):
        await quotas.reserve(store, key, 1)
    await store.write(key, chunked(bytes(60)))
    async with quotas.changing(Change(Place("Fish", store, store), key)):
        await store.delete(key)
    assert await used(quotas) == [None]
    await quotas.close()


@pytest_twisted.ensureDeferred
async def test_nobody_else_gets_at_the_record(tmp_path: Path) -> None:
    spool, store = tmp_path / "spool", MemoryStore()
    quotas = Quotas(Metrics())
    quotas.configure({"Fish": home(store)}, 3600, Spool(spool, 0))
    await until(quotas, [0])
    assert [directory.stat().st_mode & 0o777 for directory in (spool, spool / "quotas")] == [0o700, 0o700]
    await quotas.close()
    assert [path.name for path in (spool / "quotas").iterdir()] == ["quotas.sqlite"]


@pytest_twisted.ensureDeferred
async def test_another_process_waits_until_an_original_is_changed(keep: Keep) -> None:
    store, key = MemoryStore(), AssetKey("Fish", Kind.ORIGINAL, "a.jpg")
    await store.write(key, chunked(bytes(60)))
    one, two = keep({"Fish": home(store)}), keep({"Fish": home(store)})
    await until(two, [60])
    claimed, let = Deferred[None](), Deferred[None]()

    async def delete() -> None:
        async with one.changing(Change(Place("Fish", store, store), key)):
            claimed.callback(None)
            await let
            await store.delete(key)

    async def delete_too() -> int:
        change = Change(Place("Fish", store, store), key)
        async with two.changing(change):
            return 0 if await change.previous() is None else 1

    first = Deferred.fromCoroutine(delete())
    await claimed
    second = Deferred.fromCoroutine(delete_too())
    await deferLater(reactor, 0.1)
    assert not second.called
    let.callback(None)
    await first
    assert await second == 0
    assert await used(two) == [0]
