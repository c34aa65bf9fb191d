"""What the SFTP store sends: requests, and pieces on the line."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest_twisted

from storage_plugins.sftp import SFTPOptions, SFTPStore, sftp
from tests.support.scripted_sftp import USER, Files, ScriptedSSH
from was_daemon.stores.sftp.line import Line
from was_daemon.testing.contract import original
from was_daemon.testing.streams import chunked, payload, read_asset, read_reader

ensure = pytest_twisted.ensureDeferred
KEY = original("asset.jpg")


def counted(method: str) -> Callable[..., object]:
    def call(self: "Counting", *arguments: Any) -> object:
        self.requests[method] += 1
        return getattr(Files, method)(self, *arguments)

    return call


class Counting(Files):
    """Counts the requests that it gets."""

    requests: ClassVar[Counter[str]] = Counter()


for each in ("lstat", "stat", "open", "fstat", "read", "close"):
    setattr(Counting, each, counted(each))


@pytest_twisted.async_yield_fixture
async def store(tmp_path: Path) -> AsyncIterator[SFTPStore]:
    root = tmp_path / "root"
    root.mkdir()
    server = ScriptedSSH(tmp_path / "server", root, Counting)
    server.start()
    store = sftp.create(
        SFTPOptions(
            host="127.0.0.1",
            port=server.port,
            user=USER,
            identity_file=server.user_key,
            known_hosts=server.known_hosts,
        )
    )
    yield store
    await store.close()
    server.stop()


@ensure
async def test_a_small_file_costs_five_requests_and_is_closed_before_its_reader(store) -> None:
    await store.write(KEY, chunked(b"a thumbnail"))
    Counting.requests.clear()
    reader = await store.open(KEY)
    await store.stat(KEY)
    assert Counting.requests == {"lstat": 2, "open": 1, "fstat": 1, "read": 1, "close": 1}
    assert await read_reader(reader) == b"a thumbnail"
    assert await read_reader(reader, 2, 4) == b"th"
    assert await read_reader(reader, 11) == b""
    await reader.close()
    assert Counting.requests["close"] == 1


@ensure
async def test_an_open_small_file_stays_what_it_was_when_it_is_replaced(store) -> None:
    await store.write(KEY, chunked(b"the first version"))
    reader = await store.open(KEY)
    await store.write(KEY, chunked(b"the second"))
    assert await read_reader(reader) == b"the first version"
    await reader.close()


@ensure
async def test_files_of_any_size_are_read_whole(store) -> None:
    for size in (0, 1, 32767, 32768, 32769, 70_000):
        content = payload(size)
        await store.write(KEY, chunked(content))
        assert await read_asset(store, KEY) == content


class Peer(asyncio.Protocol):
    """Server that records what arrives at a time, and sends what it is told to."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received.append(data)


class Above(Peer):
    """What asyncssh is: it writes packets, and gets portions."""

    ended = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True


async def connected() -> tuple[Peer, Above, asyncio.AbstractServer]:
    peer = Peer()
    server = await asyncio.get_running_loop().create_server(lambda: peer, "127.0.0.1", 0)
    _, above = await Line().create_connection(Above, "127.0.0.1", server.sockets[0].getsockname()[1])
    assert isinstance(above, Above)
    return peer, above, server


async def settle(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # of two ends, neither of which knows of the other
            await asyncio.sleep(0.001)


def test_packets_of_one_pass_are_sent_together() -> None:
    async def run() -> None:
        peer, above, server = await connected()
        for number in range(10):
            above.transport.write(b"packet %d;" % number)
        await settle(lambda: peer.received)
        assert peer.received == [b"".join(b"packet %d;" % number for number in range(10))]
        above.transport.write(b"the last")
        above.transport.close()
        await settle(lambda: above.ended)
        await settle(lambda: len(peer.received) == 2)
        assert peer.received[1] == b"the last"
        server.close()

    asyncio.run(run())


def test_what_is_received_at_once_is_handed_over_in_portions() -> None:
    async def run() -> None:
        peer, above, server = await connected()
        content = payload(1_000_000)
        await settle(lambda: hasattr(peer, "transport"))
        peer.transport.write(content)
        await settle(lambda: sum(map(len, above.received)) == len(content))
        assert b"".join(above.received) == content
        assert max(map(len, above.received)) <= 32768
        above.transport.abort()
        await settle(lambda: above.ended)
        server.close()

    asyncio.run(run())
