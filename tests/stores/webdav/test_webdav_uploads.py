"""How the WebDAV store sends large uploads, and what it does with those that nobody finished."""

import os
import re
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.web.server import Site

from tests.support import davservers
from tests.support.davquirks import QuirkyDav
from tests.support.davservers import KEY, LARGE, SMALL, DavServer, MakeStore, Serve, message
from tests.support.scripted import Listen
from tests.support.slow import slow_after
from was_daemon.model.errors import AssetNotFound, NoSpace, StoreFailed, StoreUnavailable
from was_daemon.model.keys import Kind, Layout
from was_daemon.stores import unfinished
from was_daemon.stores.http import client as http
from was_daemon.testing.contract import GONE, original
from was_daemon.testing.streams import chunked, collect, payload, read_asset

pytest_plugins = ["tests.support.davstores"]

HUGE = payload(20_000_000)
SERVERS = pytest.mark.parametrize(
    "make_server", slow_after(2, [davservers.apache, davservers.nginx, davservers.wsgidav, davservers.sabre])
)
STAGING = ".was-staging"
SWEEPING = (b"PROPFIND ", b"DELETE ")
"""Requests that look for unfinished uploads and remove them, after an upload, while others go on."""


# -- asking before sending ---------------------------------------------------------------------------------------------


class Listener(Protocol):
    """Passes everything on to a real server, and notes the heads of the requests, and when what is answered."""

    def __init__(self, port: int, heads: list[bytes], course: list[str]) -> None:
        self._heads = heads
        self._course = course
        self._far = connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Far(self))

    def dataReceived(self, data: bytes) -> None:
        if re.match(rb"[A-Z]+ /", data):
            self._heads.append(data.partition(b"\r\n\r\n")[0])
            self._course.append(data.split(b" ")[0].decode())
        self._far.addCallback(lambda far: far.transport.write(data) or far)

    def answer(self, data: bytes) -> None:
        if data.startswith(b"HTTP/"):
            self._course.append(data.split(b" ")[1].decode())
        self.transport.write(data)

    def connectionLost(self, reason: object) -> None:
        self._far.addCallback(lambda far: far.transport.abortConnection())


class Far(Protocol):
    """The other end of a `Listener`."""

    def __init__(self, near: Listener) -> None:
        self._near = near

    def dataReceived(self, data: bytes) -> None:
        self._near.answer(data)


class Listeners(Factory):
    def __init__(self, port: int) -> None:
        self._port = port
        self.heads: list[bytes] = []
        self.course: list[str] = []
        """The methods of the requests and the statuses of the answers, as they came."""

    def buildProtocol(self, addr: IAddress | None) -> Listener:
        return Listener(self._port, self.heads, self.course)


# PHP's server, below sabre, never asks for a body.
@pytest.mark.parametrize("make_server", [davservers.apache, davservers.nginx, davservers.wsgidav])
@pytest_twisted.ensureDeferred
async def test_an_upload_of_known_size_is_announced_put_once_looked_at_and_moved(
    serve: Serve,
    make_store: MakeStore,
    listen: Listen,
    make_server: Callable[[], DavServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # However long it takes the server to ask for the body.
    monkeypatch.setattr(http, "_INVITATION_SECONDS", 60)
    listeners = Listeners(serve(make_server()).port)
    store = make_store(listen(listeners), timeout=120)
    await store.write(KEY, chunked(LARGE), len(LARGE))
    await davservers.eventually(lambda: "PROPFIND" in listeners.course)
    listeners.heads.clear()
    await store.write(original("next.bin"), chunked(LARGE), len(LARGE))
    put, *others = [head for head in listeners.heads if not head.startswith(SWEEPING)]
    assert put.startswith(b"PUT ")
    assert b"\r\nexpect: 100-continue" in put.lower()
    assert b"\r\ncontent-length: %d" % len(LARGE) in put.lower()
    assert b"transfer-encoding" not in put.lower()
    assert [head.split(b" ")[0] for head in others] == [b"HEAD", b"MOVE", b"HEAD"]


@pytest_twisted.ensureDeferred
async def test_old_uploads_are_looked_for_once_the_new_one_is_in_its_place(
    serve: Serve, make_store: MakeStore, listen: Listen
) -> None:
    listeners = Listeners(serve(davservers.nginx()).port)
    store = make_store(listen(listeners))
    await store.write(KEY, chunked(SMALL))
    await davservers.eventually(lambda: "PROPFIND" in listeners.course)
    before = listeners.course[: listeners.course.index("PROPFIND")]
    *_, move = (at for at, each in enumerate(before) if each == "MOVE")
    assert {"201", "204"} & set(before[move:])


class Headstrong(Protocol):
    """A server that answers each PUT with the next of `answers` when it has the head, or else when it has the body.

    It never asks for a body. Of every file it says the size of the last one.
    """

    answers: list[bytes]
    heads: list[bytes]
    size = 0

    def __init__(self) -> None:
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = re.search(rb"content-length: (\d+)", head.lower())
        if head.startswith(b"PUT") and b"expect" in head.lower() and self.answers:
            self._answer(self.answers.pop(), head)
        elif not length or len(body) >= int(length[1]):
            if head.startswith(b"PUT"):
                Headstrong.size = len(body)
            self._answer(b"200 OK" if head.startswith(b"HEAD") else b"201 Created", head)

    def _answer(self, status: bytes, head: bytes) -> None:
        self.heads.append(head)
        self._received = b""
        size = Headstrong.size if head.startswith(b"HEAD") else 0
        self.transport.write(b'HTTP/1.1 %b\r\nETag: "1"\r\nContent-Length: %d\r\n\r\n' % (status, size))


@pytest.mark.parametrize("answers", [[], [b"417 Expectation Failed"]])
@pytest_twisted.ensureDeferred
async def test_a_server_that_cannot_be_asked_gets_the_upload_and_is_asked_no_more(
    make_store: MakeStore, listen: Listen, answers: list[bytes]
) -> None:
    Headstrong.answers, Headstrong.heads = answers, []
    store = make_store(listen(Factory.forProtocol(Headstrong)))
    await store.write(KEY, chunked(LARGE), len(LARGE))
    asked = [head for head in Headstrong.heads if b"expect" in head.lower()]
    assert len(asked) == 1
    await store.write(KEY, chunked(LARGE), len(LARGE))
    assert [head for head in Headstrong.heads if b"expect" in head.lower()] == asked
    assert answers == []


@pytest_twisted.ensureDeferred
async def test_an_upload_that_is_refused_when_it_is_announced_is_not_sent(serve: Serve, make_store: MakeStore) -> None:
    store = make_store(serve(davservers.nginx(extra="client_max_body_size 1m;")).url)
    taken = 0

    async def upload() -> AsyncIterator[bytes]:
        nonlocal taken
        async for chunk in chunked(HUGE):
            taken += len(chunk)
            yield chunk

    assert await message(store.write(KEY, upload(), len(HUGE)), NoSpace) == "the store takes no file of this size"
    assert taken < 2_000_000


@SERVERS
@pytest_twisted.ensureDeferred
async def test_directories_that_were_removed_meanwhile_are_made_again(
    serve: Serve, make_store: MakeStore, make_server: Callable[[], DavServer]
) -> None:
    server = serve(make_server())
    store = make_store(server.url)
    for size in (None, len(LARGE)):
        await store.write(KEY, chunked(LARGE), size)
        shutil.rmtree(server.root / "originals")
        try:
            await store.write(KEY, chunked(LARGE), size)
        except (StoreFailed, StoreUnavailable):
            # A server that notices when it has the whole body, or hangs up before; the next upload is a new start.
            with pytest.raises(AssetNotFound):
                await store.stat(KEY)
            await store.write(KEY, chunked(LARGE), size)
        assert await read_asset(store, KEY) == LARGE


@SERVERS
@pytest.mark.parametrize("difference", slow_after(1, [-1000, 1000]))
@pytest_twisted.ensureDeferred
async def test_an_upload_of_another_size_than_was_said_changes_nothing(
    serve: Serve, make_store: MakeStore, make_server: Callable[[], DavServer], difference: int
) -> None:
    store = make_store(serve(make_server()).url)
    await store.write(KEY, chunked(SMALL))
    with pytest.raises(GONE):
        await store.write(KEY, chunked(LARGE), len(LARGE) + difference)
    assert await read_asset(store, KEY) == SMALL
    await store.write(KEY, chunked(LARGE), len(LARGE))
    assert await read_asset(store, KEY) == LARGE


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_killed_after_it_asked_for_the_body(serve: Serve, make_store: MakeStore) -> None:
    server = serve(davservers.nginx())
    store = make_store(server.url)
    await store.write(KEY, chunked(SMALL))

    async def upload() -> AsyncIterator[bytes]:
        yield LARGE
        server.kill()
        async for chunk in chunked(HUGE):
            yield chunk

    await message(store.write(KEY, upload(), len(LARGE) + len(HUGE)), StoreUnavailable)
    server.start()
    assert await read_asset(store, KEY) == SMALL


@pytest_twisted.ensureDeferred
async def test_the_last_bytes_leave_when_it_is_known_that_they_are(
    make_store: MakeStore, listen: Callable[[Factory], str]
) -> None:
    # It answers as soon as it has as many bytes as were announced.
    Headstrong.answers, Headstrong.heads = [], []
    store = make_store(listen(Factory.forProtocol(Headstrong)))
    ended = False

    async def upload() -> AsyncGenerator[bytes, None]:
        nonlocal ended
        async for chunk in chunked(LARGE):
            yield chunk
        # As a thread that finds out that there is nothing more to read.
        await deferLater(reactor, 0.2)
        ended = True

    async with aclosing(upload()) as chunks:
        await store.write(KEY, chunks, len(LARGE))
        assert ended


# -- what is left ------------------------------------------------------------------------------------------------------


def marked(digit: str) -> str:
    """The name of an upload that some daemon began."""
    return f"was-{digit * 32}-{digit * 32}"


def left_behind(directory: Path, *names: str, age: float = 0) -> list[Path]:
    """Files in a staging directory that were last written `age` seconds ago."""
    staging = directory / STAGING
    staging.mkdir(parents=True, exist_ok=True)
    paths = [staging / name for name in names]
    for path in paths:
        path.write_bytes(b"half of an upl")
        modified = path.stat().st_mtime - age
        os.utime(path, (modified, modified))
    for each in (directory, staging):
        each.chmod(0o777)
    return paths


@SERVERS
@pytest_twisted.ensureDeferred
async def test_what_a_killed_daemon_left_goes_after_a_day_and_nothing_else(
    serve: Serve, make_store: MakeStore, make_server: Callable[[], DavServer]
) -> None:
    server = serve(make_server())
    day, originals = 24 * 3600, server.root / "originals"
    old = left_behind(originals, marked("a"), marked("b"), marked("c") + "-", age=day + 60)
    young = left_behind(originals, marked("d"), age=day - 60)
    foreign = left_behind(originals, "somebody's notes.txt", "f" * 32, f"x{marked('f')}", marked("f")[1:], age=10 * day)
    (originals / STAGING / marked("f")).mkdir()
    foreign += left_behind(originals / STAGING / marked("f"), marked("f"), age=10 * day)
    (originals / STAGING / "link.txt").symlink_to(foreign[0])
    asset = originals / ("e" * 32)
    asset.write_bytes(b"an asset of long ago")
    os.utime(asset, (1_000_000_000, 1_000_000_000))
    store = make_store(server.url)
    await store.write(KEY, chunked(SMALL))
    await davservers.eventually(lambda: not any(path.exists() for path in old))
    assert all(path.exists() for path in [*young, *foreign, asset])
    assert (originals / STAGING / "link.txt").is_symlink()
    assert {key.name for key in await collect(store.list("", Kind.ORIGINAL))} == {KEY.name, asset.name}


def listed(path: str, is_directory: bool = False) -> str:
    """A line of a listing, of something that was written long ago."""
    kind = "<collection/>" if is_directory else ""
    return (
        f"<response><href>{path}</href><propstat><prop><resourcetype>{kind}</resourcetype>"
        "<getlastmodified>Mon, 01 Jan 2024 00:00:00 GMT</getlastmodified></prop></propstat></response>"
    )


@pytest_twisted.ensureDeferred
async def test_what_a_listing_tells_of_other_places_is_not_removed_here(make_store: MakeStore, listen: Listen) -> None:
    own, names = f"/elsewhere/originals/{STAGING}", [marked(digit) for digit in "abcd"]
    # As one that lists whole trees, whatever it is asked for, and one that knows its own addresses only.
    entries = [
        listed(f"{own}/", is_directory=True),
        listed(f"{own}/below/", is_directory=True),
        listed(f"http://inside.example{own}/{names[0]}"),
        listed(f"{own}/below/{names[1]}"),
        listed(f"/other/originals/{STAGING}/{names[2]}"),
        listed(f"{own}/{names[3]}/", is_directory=True),
    ]
    server = QuirkyDav()
    server.listing = f'<multistatus xmlns="DAV:">{"".join(entries)}</multistatus>'.encode()
    store = make_store(listen(Site(server)).rstrip("/") + server.base)
    for _ in range(2):
        await store.write(KEY, chunked(SMALL))

    def deleted() -> set[str]:
        return {path for method, path in server.steps if method == "DELETE"}

    await davservers.eventually(lambda: f"originals/{STAGING}/{names[0]}" in deleted())
    await store.close()
    assert not [path for path in deleted() for name in names[1:] if name in path]


@pytest_twisted.ensureDeferred
async def test_what_is_left_of_the_check_goes_too_and_shards_have_one_staging_directory(
    serve: Serve, make_store: MakeStore
) -> None:
    server = serve(davservers.apache())
    root = left_behind(server.root, marked("a"), age=90_000)
    below = left_behind(server.root / "originals", marked("a"), age=90_000)
    store = make_store(server.url, layout=Layout.SHARDED)
    await store.check()
    await store.write(original("abcd.jpg"), chunked(SMALL))
    await davservers.eventually(lambda: not any(path.exists() for path in root + below))
    assert {path.parent for path in server.root.rglob(STAGING)} == {server.root, server.root / "originals"}
    assert [key.name for key in await collect(store.list("", Kind.ORIGINAL))] == ["abcd.jpg"]


@pytest_twisted.ensureDeferred
async def test_what_is_old_only_later_goes_with_a_later_upload(
    serve: Serve, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "_SWEEP_SECONDS", 0)
    server = serve(davservers.nginx())
    store = make_store(server.url)
    for _ in range(2):
        [old] = left_behind(server.root / "originals", marked("a"), age=90_000)
        await store.write(KEY, chunked(SMALL))
        await davservers.eventually(lambda old=old: not old.exists())


@pytest_twisted.ensureDeferred
async def test_what_the_server_will_not_delete_is_not_said_to_be_removed(
    serve: Serve, make_store: MakeStore, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "_SWEEP_SECONDS", 0)
    server = serve(davservers.nginx(methods="PUT MKCOL COPY MOVE"))
    [old] = left_behind(server.root / "originals", marked("a"), age=90_000)
    listeners = Listeners(server.port)
    store = make_store(listen(listeners))
    with capturedLogs() as events:
        for times in (1, 2):
            await store.write(KEY, chunked(SMALL))
            await davservers.eventually(
                lambda times=times: sum(old.name.encode() in head for head in listeners.heads) >= times
            )
    assert old.exists()
    assert not [event for event in events if "removed" in (formatEvent(event) or "")]


@pytest_twisted.ensureDeferred
async def test_a_server_that_does_not_list_keeps_what_is_left(serve: Serve, make_store: MakeStore) -> None:
    server = serve(davservers.nginx(propfind="off"))
    [old] = left_behind(server.root / "originals", marked("a"), age=90_000)
    store = make_store(server.url)
    await store.write(KEY, chunked(LARGE), len(LARGE))
    await store.close()
    assert old.exists()
    assert await read_asset(store, KEY) == LARGE
