"""A client may leave at any moment: that is no error, however a store takes it, and leaves next to nothing behind."""

import gc
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from threading import Event
from typing import Any

import attrs
import pytest
import pytest_twisted
from prometheus_client import CollectorRegistry
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from storage_plugins.filesystem import FilesystemStore
from tests.support.client import Connection, Form, file_part, text_part
from tests.support.http_contract import get
from tests.support.images import photograph
from tests.support.processes import eventually
from was_daemon.assets import Assets
from was_daemon.concurrency.locks import KeyLocks
from was_daemon.derivatives.cache import Derivatives
from was_daemon.derivatives.thumbnails import ThumbnailKind
from was_daemon.httpd.limits import ConnectionLimits
from was_daemon.httpd.site import AssetSite
from was_daemon.httpd.traffic import Traffic
from was_daemon.library.collections import Collections, Place
from was_daemon.library.spool import Spool
from was_daemon.model import tokens
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.stores.layers.observed import observed
from was_daemon.stores.local import file_reader
from was_daemon.stores.local.file_reader import FileReader
from was_daemon.telemetry.metrics import Metrics
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked, payload
from was_daemon.web.access import AccessRules
from was_daemon.web.addresses import Addresses
from was_daemon.web.caching import CacheRules
from was_daemon.web.contract.pending_uploads import UploadLimits
from was_daemon.web.contract.routes import AssetServer
from was_daemon.web.keyring import Keyring
from was_daemon.workers.pool import WorkerPool

KEY = "test attachment key"
NAME = "4ee6b5a6-6f0c-4b44-9d53-8c9c3f4d9f1e.jpg"
CONTENT = photograph((3000, 2000))
ORIGINAL = AssetKey("", Kind.ORIGINAL, NAME)
TROUBLE = (LogLevel.warn, LogLevel.error, LogLevel.critical)


class Hold:
    """Keeps a store waiting at one step from the moment on that it is `closed`; `reached` fires when it waits there.

    `cancelled` is what becomes of the wait when it is cancelled.
    """

    def __init__(self, cancelled: Callable[[Deferred[None]], None] | None = None) -> None:
        self.reached: Deferred[None] = Deferred()
        self._step = ""
        self._cancelled = cancelled
        self._waiting: list[Deferred[None]] = []

    def close(self, step: str) -> None:
        self._step = step

    async def wait(self, step: str) -> None:
        if step == self._step:
            self._waiting.append(Deferred(self._cancelled))
            if not self.reached.called:
                reactor.callLater(0, self.reached.callback, None)
            await self._waiting[-1]

    def open(self) -> None:
        self._step = ""
        for waiting in self._waiting:
            if not waiting.called:
                waiting.callback(None)


@implementer(IAssetReader)
class HeldBackReader:
    """A reader that waits before it reads, and after every piece."""

    def __init__(self, reader: IAssetReader, hold: Hold) -> None:
        self.stat = reader.stat
        self.close = reader.close
        self._reader = reader
        self._hold = hold

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        await self._hold.wait("read")
        async with aclosing(self._reader.read(start, stop)) as chunks:
            async for chunk in chunks:
                yield chunk
                await self._hold.wait("read on")


class HeldBackStore(MemoryStore):
    """A store that waits in every one of its methods."""

    def __init__(self, hold: Hold) -> None:
        super().__init__()
        self._hold = hold

    async def stat(self, key: AssetKey) -> AssetStat:
        await self._hold.wait("stat")
        return await super().stat(key)

    async def open(self, key: AssetKey) -> IAssetReader:  # type: ignore[override]
        await self._hold.wait("open")
        return HeldBackReader(await super().open(key), self._hold)

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        await self._hold.wait("write")
        return await super().write(key, chunks, size)

    async def delete(self, key: AssetKey) -> None:
        await self._hold.wait("delete")
        await super().delete(key)


class Visitor(Protocol):
    """A client that sends a request and leaves."""

    def __init__(self) -> None:
        self.received = 0
        self.gone: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


@attrs.frozen
class Server:
    """A server in this process, with what it counts."""

    port: int
    site: AssetSite
    metrics: Metrics
    settled: Callable[[], Deferred[None]]

    async def visitor(self) -> Visitor:
        return await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port), Visitor())

    async def is_left(self, visitor: Visitor, abruptly: bool) -> None:
        """Have the visitor leave, and wait until the server knows."""
        if abruptly:
            visitor.transport.abortConnection()
        else:
            visitor.transport.loseConnection()
        await visitor.gone
        await self.gone()

    async def gone(self) -> None:
        """Wait until the server has noticed that nobody is there any more."""
        await self.site.open_connections.drained()
        # Its requests are told next.
        await deferLater(reactor, 0)


def samples(registry: CollectorRegistry, name: str) -> Counter[tuple[str, ...]]:
    """The values of a counter, by its labels."""
    found = [sample for family in registry.collect() for sample in family.samples if sample.name == f"{name}_total"]
    return Counter({tuple(sample.labels.values()): int(sample.value) for sample in found})


@pytest.fixture
def trouble() -> Iterator[Callable[[], list[str]]]:
    """What was logged as a warning or worse, also by what only the collector finds."""
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    # The collector has little to go through then.
    gc.freeze()

    def found() -> list[str]:
        gc.collect()
        return [str(formatEvent(event)) for event in events if event.get("log_level") in TROUBLE]

    yield found
    gc.unfreeze()
    globalLogPublisher.removeObserver(events.append)


@pytest_twisted.async_yield_fixture(scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(workers=1, timeout=60.0, memory=1 << 30, queue=100)
    yield pool
    await pool.close()


@asynccontextmanager
async def serving(directory: Path, pool: WorkerPool, store: IAssetStore) -> AsyncIterator[Server]:
    """A server whose originals and thumbnails are in one store."""
    metrics = Metrics()
    store = observed(store, metrics, "main")
    collections = Collections(Place("", store, store))
    locks: KeyLocks[AssetKey] = KeyLocks()
    spool = Spool(directory / "spool", 1 << 30)
    derivatives = Derivatives(collections, locks, spool, pool, [ThumbnailKind(500_000_000)])
    assets = Assets(collections, derivatives, locks, spool, pool, metrics=metrics)
    access = AccessRules(
        collections=collections,
        keyring=Keyring(KEY),
        token_window=0,
        require_token_for_get=False,
    )
    uploads = UploadLimits(1 << 30, pending=128, pending_size=1 << 30, min_free=0)
    caching = CacheRules(300, 604800, access.token_window, is_private=False)
    resource = AssetServer(assets, access, Addresses(None, []), uploads, caching=caching, max_scale=4096).resource()
    limits = ConnectionLimits(per_address=0, header_timeout=20.0, idle_timeout=60.0, min_rate=1024)
    site = AssetSite(resource, limits, traffic=Traffic(metrics))
    port = reactor.listenTCP(0, site, interface="127.0.0.1")

    async def settle() -> None:
        await resource.active_requests.finished()
        await derivatives.settled()
        await locks.settled()

    yield Server(port.getHost().port, site, metrics, lambda: Deferred.fromCoroutine(settle()))
    await port.stopListening()
    await spool.close()
    await store.close()


def fileget(query: str = "", method: str = "GET", *headers: str) -> bytes:
    return get(f"/fileget?filename={NAME}{query}", *headers, method=method)


def token() -> str:
    return tokens.sign(KEY, NAME, 0)


def upload() -> bytes:
    form = Form.of(text_part("store", NAME), text_part("token", token()), file_part())
    return form.head(len(CONTENT)) + form.around(CONTENT)


def delete() -> bytes:
    return (
        f"POST /filedelete?x HTTP/1.1\r\nHost: was\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {len(_FORM)}\r\n\r\n{_FORM}"
    ).encode()


_FORM = "".join(
    f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    for name, value in {"filename": NAME, "token": token()}.items()
)
_FORM += "--b--\r\n"

REQUESTS = {
    "original": (fileget(), "open", "read", "read on"),
    "a range of it": (fileget("", "GET", "Range: bytes=5-200000"), "open", "read", "read on"),
    "a little of it": (fileget("", "GET", "Range: bytes=5-6"), "open", "read", "read on"),
    "head": (fileget("", "HEAD"), "open"),
    "static": (get(f"/static/originals/{NAME}"), "open", "read", "read on"),
    "static thumbnail": (get(f"/static/thumbnails/{NAME.removesuffix('.jpg')}_50.jpg"), "stat"),
    "thumbnail": (fileget("&type=T&scale=50"), "stat", "open", "read", "write"),
    "metadata": (get(f"/getmetadata?filename={NAME}"), "stat", "open", "read", "read on"),
    "reference": (get(f"/getfileref?filename={NAME}"), "open"),
    "reference of a thumbnail": (get(f"/getfileref?filename={NAME}&type=T&scale=50"), "stat", "open"),
    "upload": (upload(), "stat", "write"),
    "deletion": (delete(), "delete"),
}

CANCELLED: dict[str, Callable[[Deferred[None]], None] | None] = {
    "drops it": None,
    "fails": lambda waiting: waiting.errback(StoreUnavailable("the store cannot be used")),
}
"""What stores make of a wait that is cancelled."""


@pytest.mark.parametrize("store_then", CANCELLED)
@pytest.mark.parametrize(
    ("request_", "step"),
    [
        pytest.param(request, step, id=f"{name}, {step}")
        for name, (request, *steps) in REQUESTS.items()
        for step in steps
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_client_that_leaves_while_a_store_is_busy_is_no_error(
    tmp_path: Path,
    pool: WorkerPool,
    trouble: Callable[[], list[str]],
    request_: bytes,
    step: str,
    store_then: str,
) -> None:
    hold = Hold(CANCELLED[store_then])
    store = HeldBackStore(hold)
    await store.write(ORIGINAL, chunked(CONTENT))
    async with serving(tmp_path, pool, store) as server:
        hold.close(step)
        visitor = await server.visitor()
        visitor.transport.write(request_)
        await hold.reached
        await server.is_left(visitor, abruptly=True)
        hold.open()
        await server.settled()
        assert trouble() == []
        requests = samples(server.metrics.registry, "was_requests")
        assert {labels[1]: count for labels, count in requests.items()} == {"aborted": 1}
        if store_then == "drops it":
            assert not +samples(server.metrics.registry, "was_store_errors")


@pytest_twisted.ensureDeferred
async def test_a_bug_is_reported_although_the_client_is_gone(
    tmp_path: Path, pool: WorkerPool, trouble: Callable[[], list[str]]
) -> None:
    hold = Hold(lambda waiting: waiting.errback(RuntimeError("a bug; token=0123456789abcdef0123456789abcdef:1")))
    store = HeldBackStore(hold)
    await store.write(ORIGINAL, chunked(CONTENT))
    async with serving(tmp_path, pool, store) as server:
        hold.close("open")
        visitor = await server.visitor()
        visitor.transport.write(fileget())
        await hold.reached
        await server.is_left(visitor, abruptly=True)
        await server.settled()
    (report,) = trouble()
    assert "a bug" in report
    assert "0123456789abcdef" not in report


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator["SlowDisk"]:
    disk = SlowDisk()
    monkeypatch.setattr(file_reader, "read_cached", lambda *_: None)
    monkeypatch.setattr(FileReader, "_read_at", disk.read_at(FileReader._read_at))
    yield disk
    disk.go_on.set()


class SlowDisk:
    """Reads of files that are not in memory: the second piece waits in its thread until it may `go_on`."""

    def __init__(self) -> None:
        self.reached = Event()
        self.go_on = Event()

    def read_at(self, read: Callable[[Any, int, int], bytes]) -> Callable[[Any, int, int], bytes]:
        def slowly(reader: FileReader, offset: int, size: int) -> bytes:
            if offset:
                self.reached.set()
                self.go_on.wait()
            return read(reader, offset, size)

        return slowly


@pytest.mark.parametrize("abruptly", [False, True], ids=["politely", "abruptly"])
@pytest_twisted.ensureDeferred
async def test_a_client_that_leaves_while_a_disk_is_read_is_no_error(
    tmp_path: Path, pool: WorkerPool, trouble: Callable[[], list[str]], slow_disk: SlowDisk, abruptly: bool
) -> None:
    store = FilesystemStore(tmp_path / "store", Layout.FLAT)
    await store.write(ORIGINAL, chunked(CONTENT))
    async with serving(tmp_path, pool, store) as server:
        visitor = await server.visitor()
        visitor.transport.write(fileget())
        await eventually(slow_disk.reached.is_set)
        await server.is_left(visitor, abruptly)
        slow_disk.go_on.set()
        await server.settled()
        assert trouble() == []
        assert samples(server.metrics.registry, "was_requests") == {("fileget", "aborted"): 1}


def pieces(kept: list[object]) -> list[int]:
    """The sizes of pieces of files that objects the collector has found refer to."""
    found = {id(each): each for owner in kept for each in gc.get_referents(owner)}
    sizes = [len(each) for each in found.values() if isinstance(each, bytes | bytearray | memoryview)]
    return [size for size in sizes if size > 4096]


def break_off(port: int, request: bytes) -> None:
    """Send a request, and hang up when the server has sent something, or cannot know any more of the request."""
    with Connection(("127.0.0.1", port), receive_buffer=4096) as connection:
        connection.send(request)
        if request.endswith(b"\r\n\r\n"):
            connection.read(1000)
        else:
            connection.end()
            connection.rest()
        connection.reset_on_close()


@pytest.mark.parametrize(
    "request_", [pytest.param(fileget(), id="download"), pytest.param(upload()[: len(CONTENT) // 2], id="upload")]
)
@pytest_twisted.ensureDeferred
async def test_what_is_broken_off_leaves_no_piece_of_a_file_to_the_collector(
    tmp_path: Path, pool: WorkerPool, request_: bytes
) -> None:
    store = FilesystemStore(tmp_path / "store", Layout.FLAT)
    await store.write(ORIGINAL, chunked(payload(16 << 20), 1 << 20))
    async with serving(tmp_path, pool, store) as server:
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(5):
                await deferToThread(break_off, server.port, request_)
                await server.gone()
                await server.settled()
            gc.collect()
            assert pieces(gc.garbage) == []
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
