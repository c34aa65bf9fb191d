"""What the WebDAV store makes of servers that fail, stall, lie or attack."""

import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest
import pytest_twisted
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.web.server import NOT_DONE_YET, Request

from tests.support import davservers
from tests.support.davservers import KEY, LARGE, SMALL, MakeStore, Serve, message
from tests.support.scripted import Listen, Script, site
from was_daemon.model.errors import AssetError, NoSpace, StoreFailed, StoreTimeout, StoreUnavailable
from was_daemon.model.keys import Kind
from was_daemon.stores.webdav.multistatus import Listing
from was_daemon.testing.contract import GONE, original
from was_daemon.testing.streams import chunked, collect, payload, read_asset

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.support.davstores"]

HUGE = payload(20_000_000)
"""More than the buffers of both ends and of the system between them."""


# -- standing still ----------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_server_that_hangs_is_given_up_on_and_used_again(serve: Serve, make_store: MakeStore) -> None:
    server = serve(davservers.nginx())
    store = make_store(server.url, timeout=1.5)
    await store.write(KEY, chunked(HUGE))
    reader = await store.open(KEY)
    async with aclosing(reader.read()) as chunks:
        await anext(chunks)
        server.signal(signal.SIGSTOP)
        assert "progress" in await message(collect(chunks), StoreTimeout)
    await message(store.stat(KEY), StoreTimeout)
    await message(store.write(KEY, chunked(SMALL)), StoreTimeout)
    await message(collect(store.list("", Kind.ORIGINAL)), StoreTimeout)
    server.signal(signal.SIGCONT)
    assert await read_asset(store, KEY) == HUGE
    await store.write(KEY, chunked(SMALL))


@pytest_twisted.ensureDeferred
async def test_a_server_that_hangs_during_an_upload(serve: Serve, make_store: MakeStore) -> None:
    server = serve(davservers.nginx())
    store = make_store(server.url, timeout=1.5)
    await store.write(KEY, chunked(SMALL))

    async def upload() -> AsyncIterator[bytes]:
        yield LARGE
        server.signal(signal.SIGSTOP)
        async for chunk in chunked(HUGE):
            yield chunk

    await message(store.write(KEY, upload()), StoreTimeout)
    server.signal(signal.SIGCONT)
    assert await read_asset(make_store(server.url), KEY) == SMALL


@pytest_twisted.ensureDeferred
async def test_a_client_or_a_reader_that_dawdles_is_not_the_servers_fault(serve: Serve, make_store: MakeStore) -> None:
    store = make_store(serve(davservers.nginx()).url, timeout=1)

    async def dawdling() -> AsyncIterator[bytes]:
        yield LARGE
        await deferLater(reactor, 1.5)
        yield SMALL

    await store.write(KEY, dawdling())
    reader = await store.open(KEY)
    got = []
    async with aclosing(reader.read()) as chunks:
        got.append(await anext(chunks))
        await deferLater(reactor, 1.5)
        got += [chunk async for chunk in chunks]
    assert b"".join(got) == LARGE + SMALL


# -- breaking off ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make_server", [davservers.nginx, davservers.apache, davservers.wsgidav])
@pytest_twisted.ensureDeferred
async def test_a_server_that_is_killed_in_the_middle(
    serve: Serve, make_store: MakeStore, make_server: Callable[[], davservers.DavServer]
) -> None:
    server = serve(make_server())
    store = make_store(server.url)
    await store.write(KEY, chunked(HUGE))
    reader = await store.open(KEY)
    async with aclosing(reader.read()) as chunks:
        await anext(chunks)
        server.kill()
        await message(collect(chunks), GONE)
    await message(store.stat(KEY), StoreUnavailable)
    server.start()

    async def upload() -> AsyncIterator[bytes]:
        yield LARGE
        server.kill()
        async for chunk in chunked(HUGE):
            yield chunk

    await message(store.write(KEY, upload()), StoreUnavailable)
    server.start()
    assert await read_asset(store, KEY) == HUGE
    await store.write(KEY, chunked(SMALL))
    assert await read_asset(store, KEY) == SMALL


class Relay(Protocol):
    """Passes bytes on to a real server, until a second request comes on the same connection: that is dropped."""

    def __init__(self, port: int) -> None:
        self._far = connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Far(self))
        self.answered = False

    def dataReceived(self, data: bytes) -> None:
        if self.answered:
            self.factory.dropped.append(data.split(b" ")[0])
            self.transport.abortConnection()
        else:
            self._far.addCallback(lambda far: far.transport.write(data) or far)

    def connectionLost(self, reason: object) -> None:
        self._far.addCallback(lambda far: far.transport.abortConnection())


class Far(Protocol):
    """The other end of a `Relay`."""

    def __init__(self, near: Relay) -> None:
        self._near = near

    def dataReceived(self, data: bytes) -> None:
        self._near.answered = not data.startswith(b"HTTP/1.1 100 ")
        self._near.transport.write(data)


class Relays(Factory):
    def __init__(self, port: int) -> None:
        self._port = port
        self.dropped: list[bytes] = []

    def buildProtocol(self, addr: IAddress | None) -> Relay:
        relay = Relay(self._port)
        relay.factory = self
        return relay


@pytest_twisted.ensureDeferred
async def test_a_kept_connection_that_the_server_just_closed_is_no_error(
    serve: Serve, make_store: MakeStore, listen: Listen
) -> None:
    relays = Relays(serve(davservers.nginx()).port)
    store = make_store(listen(relays))
    for content, size in ((SMALL, None), (LARGE, None), (LARGE, len(LARGE)), (SMALL, len(SMALL))):
        await store.write(KEY, chunked(content), size)
        assert await read_asset(store, KEY) == content
    assert await collect(store.list("", Kind.ORIGINAL)) == [KEY]
    await store.delete(KEY)
    assert {b"HEAD", b"PUT", b"MOVE", b"DELETE"} <= set(relays.dropped)


# -- saying no ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, StoreUnavailable),
        (403, StoreUnavailable),
        (413, NoSpace),
        (423, StoreUnavailable),
        (500, StoreFailed),
        (503, StoreUnavailable),
        (507, NoSpace),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_server_that_says_no(
    make_store: MakeStore, listen: Listen, status: int, error: type[AssetError]
) -> None:
    store = make_store(listen(site(Script(PUT=status, MKCOL=status, GET=status, HEAD=status, PROPFIND=status))))
    for content in (SMALL, LARGE):
        await message(store.write(KEY, chunked(content)), error)
    await message(store.stat(KEY), error)
    await message(store.open(KEY), error)
    await message(collect(store.list("", Kind.ORIGINAL)), error)
    await message(store.check(), StoreUnavailable)


@pytest_twisted.ensureDeferred
async def test_a_server_that_says_no_before_it_has_everything(serve: Serve, make_store: MakeStore) -> None:
    store = make_store(serve(davservers.nginx(extra="client_max_body_size 1m;")).url)
    taken = 0

    async def upload() -> AsyncIterator[bytes]:
        nonlocal taken
        async for chunk in chunked(HUGE * 5):
            taken += len(chunk)
            yield chunk

    assert await message(store.write(KEY, upload()), NoSpace) == "the store takes no file of this size"
    assert taken < len(HUGE * 5)


class FullDisk(Protocol):
    """A server that answers 507 to a large upload's first bytes, and then reads no more. It moves nothing."""

    body = b""
    size = 0

    def dataReceived(self, data: bytes) -> None:
        if b"chunked" in data:
            self.transport.pauseProducing()
            self.answer(b"507 Insufficient Storage", self.body)
        elif data.startswith(b"PUT"):
            FullDisk.size = len(data.partition(b"\r\n\r\n")[2])
            self.answer(b"201 Created")
        elif data.startswith(b"HEAD"):
            self.transport.write(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: %d\r\n\r\n' % self.size)
        elif data.startswith(b"MOVE"):
            self.answer(b"405 Method Not Allowed")
        elif data.startswith(b"DELETE"):
            self.answer(b"204 No Content")

    def answer(self, status: bytes, body: bytes = b"") -> None:
        self.transport.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))


@pytest.mark.parametrize("body", [b"", b"<html>the disk is full</html>"])
@pytest_twisted.ensureDeferred
async def test_a_full_disk_in_the_middle_of_an_upload(make_store: MakeStore, listen: Listen, body: bytes) -> None:
    factory = Factory.forProtocol(FullDisk)
    FullDisk.body = body
    store = make_store(listen(factory))
    assert await message(store.write(KEY, chunked(HUGE)), NoSpace) == "no space left in the store"


class Curt(Protocol):
    """A server that ends its answers by hanging up, and says no in the middle of a sentence."""

    def dataReceived(self, data: bytes) -> None:
        if data.startswith(b"PROPFIND"):
            listing = b'<D:multistatus xmlns:D="DAV:">' + ENTRY % b"a.jpg" + b"</D:multistatus>"
            self.transport.write(b"HTTP/1.1 207 Multi-Status\r\n\r\n" + listing)
        else:
            self.transport.write(b"HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 1000\r\n\r\nthe disk")
        self.transport.loseConnection()


@pytest_twisted.ensureDeferred
async def test_a_server_of_few_words_is_understood(make_store: MakeStore, listen: Listen) -> None:
    store = make_store(listen(Factory.forProtocol(Curt)))
    assert [key.name for key in await collect(store.list("", Kind.ORIGINAL))] == ["a.jpg"]
    assert await message(store.write(KEY, chunked(SMALL)), NoSpace) == "no space left in the store"


@pytest_twisted.ensureDeferred
async def test_a_redirect_is_not_followed(make_store: MakeStore, listen: Listen) -> None:
    elsewhere = Script(GET=200, HEAD=200, PUT=200)
    other = listen(site(elsewhere))

    def redirect(request: Request) -> bytes:
        request.redirect(other.encode())
        return b""

    store = make_store(listen(site(Script(HEAD=redirect, PUT=redirect, MKCOL=redirect))))
    assert "redirect" in await message(store.stat(KEY), StoreFailed)
    await message(store.write(KEY, chunked(SMALL)), StoreFailed)
    assert elsewhere.requests == []


# -- lying -------------------------------------------------------------------------------------------------------------


def versioned(body: bytes, etag: bytes, length: int | None = None) -> Callable[[Request], bytes | int]:
    """An answer with a version's headers."""

    def answer(request: Request) -> bytes | int:
        request.setHeader("ETag", etag)
        request.setHeader("Content-Length", str(len(body) if length is None else length))
        request.write(body if request.method == b"GET" else b"")
        request.loseConnection() if length else request.finish()
        return NOT_DONE_YET

    return answer


@pytest_twisted.ensureDeferred
async def test_bytes_of_another_version_are_never_given_out(make_store: MakeStore, listen: Listen) -> None:
    old, new = versioned(b"bytes", b'"1"'), versioned(b"other", b'"2"')
    for get in (new, versioned(b"longer than before", b'"1"'), 404, 416):
        heads = iter([old, new])
        store = make_store(listen(site(Script(HEAD=lambda request, heads=heads: next(heads)(request), GET=get))))
        await message(read_asset(store, KEY), StoreFailed)


@pytest_twisted.ensureDeferred
async def test_an_answer_that_ends_early_is_an_error(make_store: MakeStore, listen: Listen) -> None:
    script = Script(HEAD=versioned(b"bytes", b'"1"'), GET=versioned(b"byt", b'"1"', 5))
    await message(read_asset(make_store(listen(site(script))), KEY), GONE)


@pytest_twisted.ensureDeferred
async def test_a_range_that_is_not_the_one_asked_for_is_an_error(make_store: MakeStore, listen: Listen) -> None:
    def other_range(request: Request) -> bytes:
        request.setResponseCode(206)
        request.setHeader("ETag", '"1"')
        request.setHeader("Content-Range", "bytes 3-4/5")
        return b"es"

    store = make_store(listen(site(Script(HEAD=versioned(b"bytes", b'"1"'), GET=other_range))))
    await message(read_asset(store, KEY, 1, 3), StoreFailed)
    assert await read_asset(store, KEY, 4, 5) == b"s"


@pytest_twisted.ensureDeferred
async def test_a_server_that_does_not_speak_http(make_store: MakeStore, listen: Listen) -> None:
    class Mail(Protocol):
        def dataReceived(self, data: bytes) -> None:
            self.transport.write(b"220 mail.example.org ESMTP\r\n\r\n")

    await message(make_store(listen(Factory.forProtocol(Mail))).stat(KEY), StoreFailed)


LAUGHS = b"".join(b'<!ENTITY l%d "%b">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
ENTRY = b"<D:response><D:href>/originals/%b</D:href><D:propstat><D:prop/></D:propstat></D:response>"


@pytest_twisted.ensureDeferred
async def test_a_login_page_is_no_file(make_store: MakeStore, listen: Listen) -> None:
    def page(request: Request) -> bytes:
        request.setHeader("Content-Type", "text/html; charset=utf-8")
        request.setHeader("Last-Modified", "Tue, 01 Dec 2026 10:00:00 GMT")
        return b"<html>Log in</html>"

    store = make_store(listen(site(Script(GET=page, HEAD=page, PROPFIND=page))))
    picture = original("fish.jpg")
    for call in (store.stat, store.open):
        assert "a page instead" in await message(call(picture), StoreFailed)


@pytest.mark.parametrize(
    "listing",
    [
        b'<!DOCTYPE x [<!ENTITY l0 "ha">' + LAUGHS + b']><D:multistatus xmlns:D="DAV:">&l9;</D:multistatus>',
        b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><D:multistatus xmlns:D="DAV:">'
        + ENTRY % b"&f;"
        + b"</D:multistatus>",
        b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><D:multistatus xmlns:D="DAV:"/>',
        b'<D:multistatus xmlns:D="DAV:">' + ENTRY % b"cut.jpg",
        b"<html><body>Welcome!<br></body></html>",
        b"",
        b"\xff\xfe\x00",
        b'<D:multistatus xmlns:D="DAV:">' + ENTRY.replace(b"/originals/", b"http://[::1/") % b"" + b"</D:multistatus>",
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_hostile_listing_is_refused(make_store: MakeStore, listen: Listen, listing: bytes) -> None:
    def propfind(request: Request) -> bytes:
        request.setResponseCode(207)
        return listing

    store = make_store(listen(site(Script(PROPFIND=propfind))))
    assert "listing" in await message(collect(store.list("", Kind.ORIGINAL)), StoreFailed)


@pytest_twisted.ensureDeferred
async def test_names_are_taken_from_every_kind_of_href(make_store: MakeStore, listen: Listen) -> None:
    hrefs = {
        b"/originals/": None,
        b"/originals/plain.jpg": "plain.jpg",
        b"https://proxy.example.org/dav/originals/absolute.jpg": "absolute.jpg",
        b"/originals/caf%C3%A9.jpg": "caf\u00e9.jpg",
        b"/originals/cafe%cc%81.jpg": "cafe\u0301.jpg",
        "/originals/rå & ü.jpg".encode().replace(b"&", b"&amp;"): "rå & ü.jpg",
        b"\n  /originals/%20spaces%20.jpg  \n": " spaces .jpg",
        b"/originals/100%25%3F.jpg": "100%?.jpg",
        b"/originals/below/deeper.jpg": None,
        b"/elsewhere/outside.jpg": None,
        b"/originals/%2e%2e%2fsecret": None,
        b"/originals/.hidden": None,
        b"/originals/%ff.jpg": None,
        b"/originals/%00.jpg": None,
    }

    def propfind(request: Request) -> bytes:
        request.setResponseCode(207)
        return b'<D:multistatus xmlns:D="DAV:">' + b"".join(map(_entry, hrefs)) + b"</D:multistatus>"

    store = make_store(listen(site(Script(PROPFIND=propfind))))
    found = {key.name for key in await collect(store.list("", Kind.ORIGINAL))}
    assert found == {name for name in hrefs.values() if name}


def _entry(href: bytes) -> bytes:
    return ENTRY.replace(b"/originals/%b", b"%b") % href


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"<D:response>", b"</D:response>", b"<D:href>", b"</D:href>", b"a%", b"&", b"\xff"])))
def test_no_bytes_break_the_parser_otherwise(parts: list[bytes]) -> None:
    listing = Listing()
    with contextlib.suppress(StoreFailed):
        for part in [b'<D:multistatus xmlns:D="DAV:">', *parts, b"</D:multistatus>", b""]:
            listing.feed(part)
            listing.take()
