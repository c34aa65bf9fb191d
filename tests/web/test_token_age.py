"""The age of a token is judged at the moment at which the head of its request is complete (contract, section 2)."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from threading import Event
from urllib.parse import urlencode

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.support.client import Answer, Client, Connection, Form, chunk
from tests.support.http_contract import get
from tests.support.memory_assets import MemoryAssets, serving
from was_daemon.library.redirects import OpenAsset, Recipient
from was_daemon.model.errors import AssetNotFound
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.streams import chunked, payload, read_asset

KEY = "test attachment key"
NAME = "sp6123.att.jpg"
WINDOW = 150
HALF_AN_HOUR = 1800
"""Seconds that Specify 7's browser client allows itself for an upload."""

PIECES = 30
CONTENT = payload(3_000_000)
EXPECTS = "Expect: 100-continue"

Pieces = Sequence[bytes]


class Clock:
    """The clock of this process, which goes on only when it is told to; limits on rates have another."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = time.time()
        monkeypatch.setattr(time, "time", lambda: self._now)

    def advance(self, seconds: float) -> None:
        self._now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def assets() -> MemoryAssets:
    return MemoryAssets()


@pytest_twisted.async_yield_fixture
async def client(assets: MemoryAssets) -> AsyncIterator[Client]:
    async with serving(assets, KEY, 2 * len(CONTENT), require_token_for_get=True) as port:
        yield Client(f"http://127.0.0.1:{port}", KEY)


def in_thread(conversation: Callable[[Connection], Answer], client: Client) -> Deferred[Answer]:
    """The answer at the end of a conversation, which may block."""

    def talk() -> Answer:
        with client.connect() as connection:
            return conversation(connection)

    return deferToThread(talk)


def pieces_of(body: bytes, number: int) -> Pieces:
    size = -(-len(body) // number)
    return [body[start : start + size] for start in range(0, len(body), size)]


def slowly(head: bytes, pieces: Pieces, clock: Clock, seconds: float) -> Callable[[Connection], Answer]:
    """A conversation: a head, and after it the body in pieces, which take so many seconds together."""

    def conversation(connection: Connection) -> Answer:
        connection.send(head)
        # The server has the head now, and waits for the body.
        assert connection.head()[0] == 100
        for piece in pieces:
            clock.advance(seconds / len(pieces))
            connection.send(piece)
        return connection.answer()

    return conversation


def upload(
    form: Form, clock: Clock, *, in_chunks: bool, seconds: float = HALF_AN_HOUR
) -> Callable[[Connection], Answer]:
    pieces = pieces_of(form.around(CONTENT), PIECES)
    if in_chunks:
        pieces = [*map(chunk, pieces), chunk(b"")]
    return slowly(form.head(None if in_chunks else len(CONTENT), EXPECTS), pieces, clock, seconds)


def original() -> AssetKey:
    return AssetKey("", Kind.ORIGINAL, NAME)


ORDERS = ("specify6_form", "specify7_form")


@pytest.mark.parametrize("in_chunks", [False, True], ids=["with a length", "in chunks"])
@pytest.mark.parametrize("order", ORDERS)
@pytest_twisted.ensureDeferred
async def test_an_upload_may_take_half_an_hour(
    client: Client, assets: MemoryAssets, clock: Clock, order: str, in_chunks: bool
) -> None:
    form = getattr(client, order)(NAME)
    clock.advance(WINDOW - 1)
    answer = await in_thread(upload(form, clock, in_chunks=in_chunks), client)
    assert (answer.status, answer.body) == (200, b"Ok.")
    assert await read_asset(assets.store, original()) == CONTENT


@pytest.mark.parametrize("order", ORDERS)
@pytest_twisted.ensureDeferred
async def test_a_token_that_is_too_old_when_the_upload_begins_is_refused(
    client: Client, assets: MemoryAssets, clock: Clock, order: str
) -> None:
    form = getattr(client, order)(NAME)
    clock.advance(WINDOW + 1)
    answer = await in_thread(upload(form, clock, in_chunks=False, seconds=0), client)
    assert answer.status == 403
    await check_nothing_is_kept(assets)


@pytest.mark.parametrize("order", ORDERS)
@pytest_twisted.ensureDeferred
async def test_a_token_made_while_the_upload_runs_is_not_fresh_when_it_began(
    client: Client, assets: MemoryAssets, clock: Clock, order: str
) -> None:
    later = client.token(NAME, int(time.time()) + HALF_AN_HOUR)
    answer = await in_thread(upload(getattr(client, order)(NAME, token=later), clock, in_chunks=False), client)
    assert answer.status == 403
    await check_nothing_is_kept(assets)


@pytest.mark.parametrize("order", ORDERS)
@pytest_twisted.ensureDeferred
async def test_the_signature_is_checked_before_anything_is_stored(
    client: Client, assets: MemoryAssets, clock: Clock, order: str
) -> None:
    form = getattr(client, order)(NAME, token=client.token("other.jpg"))
    answer = await in_thread(upload(form, clock, in_chunks=True), client)
    assert answer.status == 403
    await check_nothing_is_kept(assets)


async def check_nothing_is_kept(assets: MemoryAssets) -> None:
    with pytest.raises(AssetNotFound):
        await assets.store.stat(original())
    assert all(staged.discarded for staged in assets.staged)


@pytest_twisted.ensureDeferred
async def test_a_form_to_delete_may_take_its_time_too(client: Client, assets: MemoryAssets, clock: Clock) -> None:
    await assets.store.write(original(), chunked(b"content"))
    form = urlencode({"token": client.token(NAME), "filename": NAME}).encode()
    lines = ("POST /filedelete HTTP/1.1", "Host: was", f"Content-Length: {len(form)}", EXPECTS, "", "")
    clock.advance(WINDOW - 1)
    answer = await in_thread(slowly("\r\n".join(lines).encode(), pieces_of(form, 2), clock, 50), client)
    assert (answer.status, answer.body) == (200, b"Ok.")


@pytest_twisted.ensureDeferred
async def test_each_request_on_a_connection_has_a_moment_of_its_own(
    client: Client, assets: MemoryAssets, clock: Clock
) -> None:
    await assets.store.write(original(), chunked(b"content"))
    first = client.token(NAME)
    later = client.token(NAME, int(time.time()) + WINDOW + 1)

    def read_twice(token: str) -> Callable[[Connection], Answer]:
        def conversation(connection: Connection) -> Answer:
            connection.send(read(first))
            assert connection.answer().status == 200
            clock.advance(WINDOW + 1)
            connection.send(read(token))
            return connection.answer()

        return conversation

    assert (await in_thread(read_twice(first), client)).status == 403
    clock.advance(-WINDOW - 1)
    assert (await in_thread(read_twice(later), client)).status == 200


def read(token: str, **fields: str | int) -> bytes:
    return get(f"/fileget?{urlencode({'filename': NAME, 'token': token, **fields})}").replace(b"close", b"keep-alive")


@pytest_twisted.ensureDeferred
async def test_a_pipelined_request_does_not_age_while_the_answer_before_it_is_made(
    client: Client, assets: MemoryAssets, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await assets.store.write(original(), chunked(b"content"))
    asked, go_on = Event(), Event()

    async def deliver(key: AssetKey, recipient: Recipient, scale: int | None = None) -> OpenAsset:
        if scale:
            asked.set()
            await deferToThread(go_on.wait, 60)
        return await MemoryAssets.deliver(assets, key, recipient, scale)

    monkeypatch.setattr(assets, "deliver", deliver)
    token = client.token(NAME)

    def conversation(connection: Connection) -> Answer:
        # Both fit into one packet.
        connection.send(read(token, type="T", scale=50) + read(token))
        assert asked.wait(60)
        clock.advance(WINDOW + 1)
        go_on.set()
        assert connection.answer().status == 200
        return connection.answer()

    answer = await in_thread(conversation, client)
    assert (answer.status, answer.body) == (200, b"content")
