"""Creation of assets in S3: one of several daemons makes a new one, on servers that have conditional writes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, DeferredList
from twisted.web.server import Request, Site

from storage_plugins.s3 import S3Store
from tests.support import s3servers
from tests.support.davservers import KEY, DavServer
from tests.support.s3quirks import QuirkyS3, error, kept
from tests.support.s3servers import Ceph, MakeS3Store, make_bucket
from tests.support.scripted import Listen
from tests.support.slow import slow_but
from was_daemon.model.errors import AssetExists, CannotCreate, StoreUnavailable
from was_daemon.model.interfaces import AssetStat
from was_daemon.stores.s3 import bucket as s3_bucket
from was_daemon.stores.s3 import writing as s3_writing
from was_daemon.testing.contract import original
from was_daemon.testing.staging import staged
from was_daemon.testing.streams import chunked, payload, read_asset

pytest_plugins = ["tests.support.s3stores"]

PART = 5 << 20
SMALL, LARGE = payload(100_000), payload(PART + (1 << 20))
BOTH = pytest.mark.parametrize("content", [SMALL, LARGE], ids=["whole", "in parts"])

Condition = Callable[[QuirkyS3, Request, str], bytes | None]
Create = Callable[[S3Store, bytes], Awaitable[AssetStat]]


@pytest.fixture
def server() -> QuirkyS3:
    """A server that keeps conditions, as Amazon's."""
    server = QuirkyS3()
    server.condition = kept
    return server


@pytest.fixture
def make_store(server: QuirkyS3, listen: Listen, make_s3_store: MakeS3Store) -> Callable[[], S3Store]:
    """Makes stores of that server, one for each daemon."""
    url = listen(Site(server, timeout=None))
    return lambda: make_s3_store(url, prefix="")


@pytest.fixture
def store(make_store: Callable[[], S3Store]) -> S3Store:
    return make_store()


@pytest.fixture
def create(tmp_path: Path) -> Create:
    """Has a store create `KEY`."""

    async def create(store: S3Store, content: bytes) -> AssetStat:
        async with staged(store, KEY, content, tmp_path / "spool") as file:
            return await store.create(file, KEY)

    return create


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No attempt waits for the one before."""

    async def pause(*_: object) -> None:
        """Wait for nothing."""

    monkeypatch.setattr(s3_bucket, "pause", pause)
    monkeypatch.setattr(s3_writing, "pause", pause)


def has_condition(request: Request) -> bool:
    return request.getHeader("If-None-Match") == "*"


def is_in_parts(request: Request) -> bool:
    return request.method == b"POST"


def kept_with_a_status_alone(server: QuirkyS3, request: Request, name: str) -> bytes | None:
    return error(request, 412, "") if kept(server, request, name) else None


def kept_and_told_late(server: QuirkyS3, request: Request, name: str) -> bytes | None:
    return error(request, 200, "PreconditionFailed") if kept(server, request, name) else None


def ignored(_server: QuirkyS3, _request: Request, _name: str) -> bytes | None:
    return None


def not_implemented(_server: QuirkyS3, request: Request, _name: str) -> bytes | None:
    return error(request, 501, "NotImplemented") if has_condition(request) else None


def invalid(_server: QuirkyS3, request: Request, _name: str) -> bytes | None:
    return error(request, 400, "InvalidArgument") if has_condition(request) else None


def forbidden(_server: QuirkyS3, request: Request, _name: str) -> bytes | None:
    return error(request, 403, "AccessDenied") if has_condition(request) else None


def dropped_by_a_proxy(_server: QuirkyS3, request: Request, _name: str) -> bytes | None:
    return error(request, 403, "SignatureDoesNotMatch") if has_condition(request) else None


def never_holds(_server: QuirkyS3, request: Request, _name: str) -> bytes | None:
    return error(request, 412, "PreconditionFailed") if has_condition(request) else None


def kept_for_whole_objects(server: QuirkyS3, request: Request, name: str) -> bytes | None:
    return None if is_in_parts(request) else kept(server, request, name)


# -- with conditions ---------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("condition", slow_but([kept], [kept, kept_with_a_status_alone, kept_and_told_late]))
@pytest_twisted.ensureDeferred
async def test_a_new_object_is_made_and_never_replaced(
    server: QuirkyS3, make_store: Callable[[], S3Store], create: Create, condition: Condition, content: bytes
) -> None:
    server.condition = condition
    here, there = make_store(), make_store()
    stat = await create(here, content)
    for store in (here, there):
        with pytest.raises(AssetExists):
            await create(store, content[::-1])
    assert await there.stat(KEY) == stat
    assert await read_asset(there, KEY) == content
    await there.delete(KEY)
    await create(here, content[::-1])
    assert await read_asset(there, KEY) == content[::-1]
    await here.close()
    await there.close()
    assert len(server.objects) == 1
    assert server.uploads == {}


@BOTH
@pytest_twisted.ensureDeferred
async def test_of_several_daemons_one_creates_an_object(
    make_store: Callable[[], S3Store], create: Create, content: bytes
) -> None:
    contents = [bytes([number]) + content for number in range(3)]
    creations = [Deferred.fromCoroutine(create(make_store(), each)) for each in contents]
    outcomes = await DeferredList(creations, consumeErrors=True)
    [winner] = [number for number, (is_done, _) in enumerate(outcomes) if is_done]
    assert all(is_done or outcome.check(AssetExists) for is_done, outcome in outcomes)
    assert await read_asset(make_store(), KEY) == contents[winner]


@BOTH
@pytest_twisted.ensureDeferred
async def test_a_conflict_with_another_write_is_tried_again(
    server: QuirkyS3, store: S3Store, create: Create, content: bytes
) -> None:
    conflicts = 2

    def refuse(request: Request) -> bytes | None:
        nonlocal conflicts
        if not has_condition(request) or not conflicts:
            return None
        conflicts -= 1
        # As Amazon has it, what was sent is of no use any more.
        server.uploads.clear()
        return error(request, 409, "ConditionalRequestConflict")

    server.refuse = refuse
    await create(store, content)
    assert await read_asset(store, KEY) == content
    assert conflicts == 0


@BOTH
@pytest_twisted.ensureDeferred
async def test_a_conflict_that_does_not_end_is_an_error_and_nothing_is_stored(
    server: QuirkyS3, store: S3Store, create: Create, content: bytes
) -> None:
    def refuse(request: Request) -> bytes | None:
        return error(request, 409, "ConditionalRequestConflict") if has_condition(request) else None

    server.refuse = refuse
    with pytest.raises(StoreUnavailable, match="at the same time"):
        await create(store, content)
    await store.close()
    assert server.objects == {}
    assert server.uploads == {}


@BOTH
@pytest_twisted.ensureDeferred
async def test_an_upload_whose_answer_was_lost_is_not_taken_for_somebody_elses(
    server: QuirkyS3, store: S3Store, create: Create, content: bytes
) -> None:
    lost: list[bytes] = []

    def loses(request: Request) -> bool:
        if not has_condition(request) or lost:
            return False
        lost.append(request.method)
        return True

    server.loses = loses
    stat = await create(store, content)
    assert len(lost) == 1
    assert await store.stat(KEY) == stat
    assert await read_asset(store, KEY) == content
    with pytest.raises(AssetExists):
        await create(store, content)


@BOTH
@pytest_twisted.ensureDeferred
async def test_the_same_bytes_of_somebody_else_are_an_asset_that_exists(
    make_store: Callable[[], S3Store], create: Create, content: bytes
) -> None:
    await create(make_store(), content)
    with pytest.raises(AssetExists):
        await create(make_store(), content)


# -- without -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "condition",
    slow_but(
        [ignored, not_implemented], [ignored, not_implemented, invalid, forbidden, dropped_by_a_proxy, never_holds]
    ),
)
@BOTH
@pytest_twisted.ensureDeferred
async def test_a_server_without_conditional_writes_is_recognised_once(
    server: QuirkyS3, store: S3Store, create: Create, condition: Condition, content: bytes, logged: Callable[[], str]
) -> None:
    server.condition = condition
    for _ in range(2):
        with pytest.raises(CannotCreate):
            await create(store, content)
    assert server.steps == []
    assert logged().count("has no conditional writes") == 1
    await store.write(KEY, chunked(content), len(content))
    assert await read_asset(store, KEY) == content
    await store.close()
    assert len(server.objects) == 1
    assert server.uploads == {}


@pytest_twisted.ensureDeferred
async def test_a_server_may_have_them_for_whole_objects_only(server: QuirkyS3, store: S3Store, create: Create) -> None:
    server.condition = kept_for_whole_objects
    await create(store, SMALL)
    with pytest.raises(CannotCreate):
        await create(store, LARGE)
    assert await read_asset(store, KEY) == SMALL


def down(request: Request) -> bytes | None:
    return error(request, 503, "SlowDown")


def busy(request: Request) -> bytes | None:
    return error(request, 409, "ConditionalRequestConflict") if has_condition(request) else None


@pytest.mark.parametrize("answer", [down, busy])
@pytest_twisted.ensureDeferred
async def test_a_server_that_cannot_be_tried_now_is_tried_again(
    server: QuirkyS3, store: S3Store, create: Create, answer: Callable[[Request], bytes | None]
) -> None:
    is_down = True

    def condition(server: QuirkyS3, request: Request, name: str) -> bytes | None:
        return answer(request) if is_down else kept(server, request, name)

    server.condition = condition
    with pytest.raises(StoreUnavailable):
        await create(store, SMALL)
    is_down = False
    await create(store, SMALL)
    with pytest.raises(AssetExists):
        await create(store, SMALL)


@pytest_twisted.ensureDeferred
async def test_an_upload_that_arrives_damaged_is_sent_again_under_the_name_that_it_has_taken(
    server: QuirkyS3, store: S3Store, create: Create
) -> None:
    await store.write(original("first.jpg"), chunked(SMALL), len(SMALL))
    damaged: list[bytes] = []

    def damage(content: bytes) -> bytes:
        if content != SMALL or damaged:
            return content
        damaged.append(content)
        return content[:-1] + bytes([content[-1] ^ 1])

    server.damage = damage
    await create(store, SMALL)
    assert damaged
    assert await read_asset(store, KEY) == SMALL


# -- real servers ------------------------------------------------------------------------------------------------------


@pytest_twisted.async_yield_fixture
async def real(request: pytest.FixtureRequest, make_s3_store: MakeS3Store) -> AsyncIterator[Callable[[], S3Store]]:
    """Makes stores of a real server, of the kind that the test asks for, that share a bucket."""
    server: DavServer | Ceph = request.param().start()
    try:
        await make_bucket(server.url)
        yield lambda: make_s3_store(server.url, prefix="shared")
    finally:
        server.remove()


@pytest.mark.slow
@pytest.mark.parametrize("real", [s3servers.moto], indirect=True)
@BOTH
@pytest_twisted.ensureDeferred
async def test_real_servers_with_conditional_writes(
    real: Callable[[], S3Store], create: Create, content: bytes
) -> None:
    await create(real(), content)
    with pytest.raises(AssetExists):
        await create(real(), content[::-1])
    assert await read_asset(real(), KEY) == content


@pytest.mark.slow
@pytest.mark.parametrize("real", [s3servers.Ceph], indirect=True)
@pytest_twisted.ensureDeferred
async def test_several_daemons_on_a_real_server_never_replace_an_object(
    real: Callable[[], S3Store], create: Create
) -> None:
    stores = [real() for _ in range(4)]
    for _ in range(10):
        creations = [Deferred.fromCoroutine(create(store, bytes([n]))) for n, store in enumerate(stores)]
        outcomes = await DeferredList(creations, consumeErrors=True)
        [winner] = [number for number, (is_done, _) in enumerate(outcomes) if is_done]
        assert all(is_done or outcome.check(AssetExists) for is_done, outcome in outcomes)
        assert await read_asset(stores[0], KEY) == bytes([winner])
        await stores[0].delete(KEY)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("real", "content"),
    # Ceph 16 has them for whole objects only.
    [(s3servers.s3rver, SMALL), (s3servers.s3rver, LARGE), (s3servers.Ceph, LARGE)],
    indirect=["real"],
    ids=["s3rver-whole", "s3rver-in parts", "Ceph-in parts"],
)
@pytest_twisted.ensureDeferred
async def test_real_servers_without(real: Callable[[], S3Store], create: Create, content: bytes) -> None:
    store = real()
    with pytest.raises(CannotCreate):
        await create(store, content)
    await store.write(KEY, chunked(content), len(content))
    assert await read_asset(store, KEY) == content
