"""The WebDAV store on servers that differ from the RFC: nothing is lost, and no wrong answer is given."""

import hashlib
import itertools
import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.server import Request, Site

from tests.support.davquirks import QuirkyDav
from tests.support.davservers import KEY, LARGE, SMALL, MakeStore, message
from tests.support.scripted import Listen
from tests.support.slow import slow_after, slow_but
from tests.support.tls import self_signed
from was_daemon.library.trash.relocation import copy, move
from was_daemon.model.errors import AssetNotFound, CannotMove, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import IAssetStore, IMoves, IQuirks
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.stores.webdav.redirects import redirected
from was_daemon.stores.webdav.staging import HIDDEN
from was_daemon.testing.contract import original
from was_daemon.testing.live import check_live
from was_daemon.testing.streams import chunked, collect, read_asset, read_reader

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.support.davstores"]

FISH = AssetKey("Käfer & Fish", Kind.ORIGINAL, "é + 1%#?.jpg")


@pytest.fixture
def server() -> QuirkyDav:
    return QuirkyDav()


@pytest.fixture
def url(server: QuirkyDav, listen: Listen) -> str:
    return listen(Site(server, timeout=None)).rstrip("/") + server.base


@pytest.fixture
def store(url: str, make_store: MakeStore) -> IAssetStore:
    return make_store(url)


async def exercise(store: IAssetStore) -> None:
    """Everything a store does, on a small and on a large asset."""
    await store.check()
    for key in (KEY, FISH):
        for content in (SMALL, b"", LARGE, SMALL):
            stat = await store.write(key, chunked(content), len(content))
            assert stat.size == len(content)
            assert await store.stat(key) == stat
            assert await read_asset(store, key) == content
            assert await read_asset(store, key, 1, 4) == content[1:4]
        assert await collect(store.list(key.collection, Kind.ORIGINAL)) == [key]
        await store.delete(key)
        with pytest.raises(AssetNotFound):
            await store.stat(key)
    assert [result for result in await collect(check_live(store, "")) if result.problem] == []


# -- listings ----------------------------------------------------------------------------------------------------------


def spelt(form: str) -> Callable[[str, bool], str]:
    """Addresses of the given form; {base} is what the server was asked by, {path} what lies below it."""

    def href(path: str, is_directory: bool) -> str:
        name = path.rpartition("/")[2]
        end = "/" if is_directory else ""
        return form.format(base="/dav", path=quote(path) + end, name="" if is_directory else quote(name))

    return href


HREFS = [
    "{base}//{path}",
    "{base}/./{path}",
    "//dav/{path}",
    "/{path}",
    "//{path}",
    "{path}",
    "./{path}",
    "{name}",
    "./{name}",
    "http://inside.example:8080{base}/{path}",
    "HTTPS://inside.example//{path}",
    "/another/prefix/{path}",
    "http://inside.example/another//prefix/{path}",
]


@pytest.mark.parametrize("form", HREFS)
@pytest_twisted.ensureDeferred
async def test_a_listing_is_understood_whatever_its_addresses_look_like(
    server: QuirkyDav, store: IAssetStore, form: str
) -> None:
    server.href = spelt(form)
    keys = [*(original(name, "Käfer") for name in ("a.jpg", "b: c.jpg", "originals", "é+%#?.jpg")), KEY]
    for key in keys:
        await store.write(key, chunked(SMALL))
    server.directories.add("Käfer/originals/below")
    assert set(await collect(store.list("Käfer", Kind.ORIGINAL))) == set(keys[:4])
    assert await collect(store.list("", Kind.ORIGINAL)) == [KEY]
    server.shows_itself = False
    if "{name}" not in form:
        assert set(await collect(store.list("Käfer", Kind.ORIGINAL))) == set(keys[:4])


@pytest.mark.parametrize("form", HREFS)
@pytest_twisted.ensureDeferred
async def test_a_directory_without_files_is_an_empty_list(server: QuirkyDav, store: IAssetStore, form: str) -> None:
    server.href = spelt(form)
    server.directories |= {"originals", "originals/below"}
    assert await collect(store.list("", Kind.ORIGINAL)) == []
    assert await collect(store.list("missing", Kind.ORIGINAL)) == []


@pytest.mark.parametrize("change", [str.upper, lambda path: path.replace("ä", "a\u0308"), str.lower])
@pytest_twisted.ensureDeferred
async def test_a_directory_that_the_server_writes_otherwise_is_the_same(
    server: QuirkyDav, store: IAssetStore, change: Callable[[str], str]
) -> None:
    def href(path: str, is_directory: bool) -> str:
        above, slash, name = path.rpartition("/")
        return quote(f"/dav/{change(path)}/" if is_directory else f"/dav/{change(above)}{slash}{name}")

    server.href = href
    await store.write(FISH, chunked(SMALL))
    assert await collect(store.list(FISH.collection, Kind.ORIGINAL)) == [FISH]


@pytest.mark.parametrize(
    "href",
    [
        lambda _path, _is_directory: "/",
        lambda path, is_directory: "/elsewhere/" if is_directory else f"/somewhere/{path.rpartition('/')[2]}",
        lambda path, _is_directory: f"/{path.rpartition('/')[2]}",
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_listing_of_something_else_is_an_error_and_not_an_empty_list(
    server: QuirkyDav, store: IAssetStore, href: Callable[[str, bool], str]
) -> None:
    await store.write(KEY, chunked(SMALL))
    server.href = href
    server.shows_itself = False
    assert "listing" in await message(collect(store.list("", Kind.ORIGINAL)), StoreFailed)
    server.lists = lambda path: False
    assert "listing" in await message(collect(store.list("", Kind.ORIGINAL)), StoreFailed)


@pytest.mark.parametrize(
    ("status", "error"), [("403 Forbidden", StoreUnavailable), ("507 Insufficient Storage", StoreFailed)]
)
@pytest_twisted.ensureDeferred
async def test_a_listing_that_says_that_it_is_not_whole_is_an_error(
    server: QuirkyDav, store: IAssetStore, status: str, error: type[StoreFailed | StoreUnavailable]
) -> None:
    await store.write(KEY, chunked(SMALL))
    server.self_status = f"<d:status>HTTP/1.1 {status}</d:status>"
    await message(collect(store.list("", Kind.ORIGINAL)), error)
    server.self_status = "<d:status>HTTP/1.1 200 OK</d:status>"
    assert await collect(store.list("", Kind.ORIGINAL)) == [KEY]


# -- sizes and versions ------------------------------------------------------------------------------------------------


def lengths(length: str | None, status: int = 200) -> Callable[[Request], int]:
    def head(request: Request) -> int:
        request.responseHeaders.removeHeader("Content-Length")
        if length is not None:
            request.setHeader("Content-Length", length)
        return status

    return head


@pytest.mark.parametrize("head", [lengths("0"), lengths(None), lengths("unknown")])
@pytest.mark.parametrize("chunked_get", slow_after(1, [False, True]))
@pytest.mark.parametrize("tells_sizes", [False, True])
@pytest_twisted.ensureDeferred
async def test_the_size_is_told_by_propfind_or_by_get_where_head_does_not(
    server: QuirkyDav,
    store: IAssetStore,
    head: Callable[[Request], int],
    chunked_get: bool,
    tells_sizes: bool,
) -> None:
    server.head, server.chunked_get, server.tells_sizes = head, chunked_get, tells_sizes
    if tells_sizes:
        await exercise(store)
    elif chunked_get:
        # Nothing tells it.
        assert "how long" in await message(store.write(KEY, chunked(SMALL)), StoreFailed)
    else:
        await store.write(KEY, chunked(SMALL))
        assert await read_asset(store, KEY) == SMALL


@pytest.mark.parametrize("status", slow_after(3, [302, 405, 501, 301, 307, 400, 403]))
@pytest_twisted.ensureDeferred
async def test_a_server_without_head_is_asked_by_propfind(server: QuirkyDav, store: IAssetStore, status: int) -> None:
    server.head = lengths("0", status)
    await exercise(store)


def without(*methods: str) -> Callable[[str, str], str | None]:
    return lambda method, etag: None if method in methods else f'"{etag}"'


@pytest.mark.parametrize(
    "etag",
    slow_after(
        2,
        [
            without("HEAD"),
            lambda method, etag: f'"{etag}-{method}"',
            without("GET"),
            without("PROPFIND"),
            without("HEAD", "GET", "PROPFIND"),
            lambda method, etag: f'"{etag}-gzip"' if method == "GET" else f'"{etag}"',
            lambda method, etag: etag if method == "PROPFIND" else f'W/"{etag}"',
        ],
    ),
)
@pytest.mark.parametrize("head", slow_but([None], [None, lengths("0")]))
@pytest_twisted.ensureDeferred
async def test_one_version_may_have_several_etags(
    server: QuirkyDav,
    store: IAssetStore,
    etag: Callable[[str, str], str | None],
    head: Callable[[Request], int] | None,
) -> None:
    server.etag, server.head = etag, head or server.head
    await exercise(store)


@pytest.mark.parametrize("modified", [None, "2026-11-25T12:00:00Z", "Mittwoch, 25. November 2026"])
@pytest_twisted.ensureDeferred
async def test_times_may_be_missing_or_written_otherwise(
    server: QuirkyDav, store: IAssetStore, modified: str | None
) -> None:
    server.modified = lambda _time: modified
    stat = await store.write(KEY, chunked(SMALL))
    assert stat.modified == (1_795_608_000 if modified and modified.startswith("2026") else 0)
    assert await read_asset(store, KEY) == SMALL


@pytest_twisted.ensureDeferred
async def test_a_replaced_version_is_noticed_also_where_get_tells_another_etag(
    server: QuirkyDav, store: IAssetStore
) -> None:
    server.etag = lambda method, etag: f'"{etag}-{method}"'
    await store.write(KEY, chunked(SMALL))
    reader = await store.open(KEY)
    await store.write(KEY, chunked(SMALL[::-1]))
    await message(read_reader(reader), StoreFailed)
    await reader.close()
    reader = await store.open(KEY)
    assert await read_reader(reader) == SMALL[::-1]
    await store.write(KEY, chunked(SMALL))
    await message(read_reader(reader, 1), StoreFailed)
    await reader.close()


@pytest.mark.parametrize("head", [None, lengths("0")])
@pytest.mark.parametrize("size", [None, len(LARGE)])
@pytest_twisted.ensureDeferred
async def test_an_upload_that_is_cut_short_leaves_the_old_version(
    server: QuirkyDav, store: IAssetStore, head: Callable[[Request], int] | None, size: int | None
) -> None:
    server.head = head or server.head
    await store.write(KEY, chunked(SMALL))
    for kept in (0, 1, 100_000):
        server.keep = lambda content, kept=kept: content[:kept]
        assert "whole" in await message(store.write(KEY, chunked(LARGE), size), StoreFailed)
    server.keep = lambda content: content
    assert await read_asset(store, KEY) == SMALL


# -- uploads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", slow_after(2, [404, 403, 409, 500]))
@pytest.mark.parametrize("exists", slow_after(2, [405, 301, 403, 409, 500]))
@pytest_twisted.ensureDeferred
async def test_missing_directories_are_made_whatever_the_server_calls_them(
    server: QuirkyDav, url: str, make_store: MakeStore, missing: int, exists: int
) -> None:
    server.missing_parent, server.exists_already = missing, exists
    store = make_store(url + "/new/base")
    for content in (LARGE, SMALL):
        await store.write(FISH, chunked(content), len(content))
        assert await read_asset(store, FISH) == content


@pytest.mark.parametrize("status", slow_after(2, [403, 409, 400, 404, 405, 500]))
@pytest_twisted.ensureDeferred
async def test_a_server_that_refuses_names_with_a_leading_dot_stages_elsewhere(
    server: QuirkyDav, store: IAssetStore, status: int
) -> None:
    server.refuse = lambda request, path: status if "/." in f"/{path}" else None
    await exercise(store)
    staged = [step for step in server.steps if "/.was-staging" in f"/{step[1]}"]
    await exercise(store)
    assert [step for step in server.steps if "/.was-staging" in f"/{step[1]}"] == staged != []
    await store.close()
    assert server.files == {}
    assert {path for path in server.directories if "staging" in path} == {
        "was-staging",
        f"{FISH.collection}/was-staging",
    }


@pytest_twisted.ensureDeferred
async def test_a_server_that_takes_names_with_a_leading_dot_and_hides_them_stages_elsewhere(
    server: QuirkyDav, store: IAssetStore
) -> None:
    server.refuse = lambda request, path: (
        404 if "/." in f"/{path}" and request.method in (b"HEAD", b"GET", b"PROPFIND", b"MOVE") else None
    )
    await exercise(store)


@pytest_twisted.ensureDeferred
async def test_an_asset_may_have_the_name_of_the_staging_directory(server: QuirkyDav, store: IAssetStore) -> None:
    server.refuse = lambda request, path: 403 if "/." in f"/{path}" else None
    await store.write(original("was-staging"), chunked(SMALL))
    await store.write(original("other.jpg"), chunked(LARGE))
    assert await read_asset(store, original("was-staging")) == SMALL


def refuses_to_replace(server: QuirkyDav, status: int) -> None:
    server.move = lambda _request, _source, target: status if target in server.files else None


@pytest.mark.parametrize("status", slow_after(3, [201, 403, 500, 204, 409, 412]))
@pytest_twisted.ensureDeferred
async def test_where_a_move_does_not_replace_new_assets_are_moved_and_old_ones_written_over(
    server: QuirkyDav, store: IAssetStore, status: int
) -> None:
    refuses_to_replace(server, status)
    [quirk] = await IQuirks(store).quirks()
    assert "MOVE does not replace" in quirk
    for content in (LARGE, SMALL, LARGE):
        server.steps.clear()
        is_new = f"originals/{KEY.name}" not in server.files
        stat = await store.write(KEY, chunked(content), len(content))
        assert (("PUT", f"originals/{KEY.name}") in server.steps) != is_new
        assert await store.stat(KEY) == stat
        assert await read_asset(store, KEY) == content


@pytest_twisted.ensureDeferred
async def test_a_server_behind_a_proxy_that_does_not_know_its_address_is_told_the_path(
    server: QuirkyDav, store: IAssetStore
) -> None:
    def move(request: Request, _source: str, _target: str) -> int | None:
        return None if (request.getHeader("Destination") or "").startswith("/") else 502

    server.move = move
    await exercise(store)
    assert not [step for step in server.steps if step[0] == "PUT" and step[1].startswith("originals/was-check")]


# -- logging in --------------------------------------------------------------------------------------------------------


def digest(algorithm: str, qop: str) -> Callable[[Request, str], int | None]:
    """A server that wants Digest with `algorithm`, and checks it."""
    name, _dash, session = algorithm.lower().replace("sha-256", "sha256").partition("-")

    def hashed(*parts: str) -> str:
        return hashlib.new(name, ":".join(parts).encode()).hexdigest()

    def refuse(request: Request, _path: str) -> int | None:
        sent = dict(re.findall(r'(\w+)="?([^",]*)"?', request.getHeader("Authorization") or ""))
        secret = hashed("specify", "assets", "sesame")
        if session:
            secret = hashed(secret, "once", sent.get("cnonce", ""))
        asked = hashed(request.method.decode(), request.uri.decode())
        between = [sent.get("nc", ""), sent.get("cnonce", ""), "auth"] if qop else []
        if sent.get("response") == hashed(secret, "once", *between, asked) and sent.get("algorithm") == algorithm:
            return None
        offered = f', qop="{qop}"' if qop else ""
        request.setHeader("WWW-Authenticate", f'Digest realm="assets", nonce="once", algorithm={algorithm}{offered}')
        return 401

    return refuse


@pytest.mark.parametrize("algorithm", slow_after(2, ["MD5-sess", "SHA-256", "MD5", "SHA-256-sess"]))
@pytest.mark.parametrize("qop", ["", "auth"])
@pytest_twisted.ensureDeferred
async def test_digests_of_a_session_are_known(
    server: QuirkyDav, url: str, make_store: MakeStore, algorithm: str, qop: str
) -> None:
    server.refuse = digest(algorithm, qop)
    await exercise(make_store(url, user="specify", password="sesame", allow_http=True))
    wrong = make_store(url, user="specify", password="simsim", allow_http=True)
    assert await message(wrong.stat(KEY), StoreUnavailable) == "the store refused the login"


def unexplained(status: int) -> Callable[[Request, str], int | None]:
    """A server that lets only the right password in, and does not say what it wants."""
    right = "Basic " + b64encode(b"specify:sesame").decode()
    return lambda request, _path: None if request.getHeader("Authorization") == right else status


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL")  # Twisted's endpoints do that
@pytest.mark.parametrize("status", [401, 403])
@pytest_twisted.ensureDeferred
async def test_over_https_the_password_is_sent_to_a_server_that_does_not_say_what_it_wants(
    server: QuirkyDav, make_store: MakeStore, tmp_path: Path, status: int
) -> None:
    certificate = self_signed(tmp_path)
    server.refuse = unexplained(status)
    endpoint = serverFromString(reactor, f"ssl:0:interface=127.0.0.1:privateKey={certificate}:certKey={certificate}")
    port = await endpoint.listen(Site(server, timeout=None))
    try:
        url = f"https://localhost:{port.getHost().port}{server.base}"
        store = make_store(url, user="specify", password="sesame", ca_file=certificate)
        await exercise(store)
        wrong = make_store(url, user="specify", password="simsim", ca_file=certificate)
        await message(wrong.stat(KEY), StoreUnavailable)
        await store.close()
        await wrong.close()
    finally:
        await port.stopListening()


@pytest.mark.parametrize("status", [401, 403])
@pytest_twisted.ensureDeferred
async def test_over_http_the_password_is_sent_to_nobody_who_does_not_ask(
    server: QuirkyDav, url: str, make_store: MakeStore, status: int
) -> None:
    sent = []

    def refuse(request: Request, _path: str) -> int:
        sent.append(request.getHeader("Authorization"))
        return status

    server.refuse = refuse
    store = make_store(url, user="specify", password="sesame", allow_http=True)
    await message(store.write(KEY, chunked(SMALL)), StoreUnavailable)
    assert set(sent) == {None}


# -- what is said to be done, and is not -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", slow_after(2, [200, 302, 301, 303, 307, 308]))
@pytest.mark.parametrize(
    ("method", "old"),
    [*itertools.product(("PUT", "MOVE"), (SMALL, LARGE[::-1], None)), ("DELETE", SMALL)],
    ids=lambda value: value if isinstance(value, str) else str(value and len(value)),
)
@pytest_twisted.ensureDeferred
async def test_nothing_is_done_where_a_page_or_a_redirect_is_the_answer(
    server: QuirkyDav, store: IAssetStore, status: int, method: str, old: bytes | None
) -> None:
    path = f"originals/{KEY.name}"
    # The server can do all of it, until the proxy before it wants a login.
    await store.write(KEY, chunked(SMALL))
    if old is None:
        await store.delete(KEY)
    else:
        await store.write(KEY, chunked(old))

    def refuse(request: Request, _path: str) -> int | None:
        request.setHeader("Location", "https://login.example/?then=back")
        return status if request.method.decode() == method else None

    server.refuse = refuse
    if method == "DELETE":
        await message(store.delete(KEY), StoreFailed)
    else:
        await message(store.write(KEY, chunked(LARGE)), StoreFailed)
    kept = server.files.get(path)
    assert (kept and kept.content) == old


@pytest_twisted.ensureDeferred
async def test_the_log_tells_where_a_redirect_leads_that_is_not_followed(
    server: QuirkyDav, store: IAssetStore, logged: Callable[[], str]
) -> None:
    def refuse(request: Request, path: str) -> int:
        request.setHeader("Location", f"https://moved.example/dav/{path}?secret=1")
        return 301

    server.refuse = refuse
    await message(store.write(KEY, chunked(SMALL)), StoreFailed)
    assert "was answered with 301, a redirect to https://moved.example/dav/" in logged()
    assert "secret" not in logged()


# -- redirects of downloads --------------------------------------------------------------------------------------------


def sends_to(address: str, status: int = 302) -> Callable[[Request, str], int]:
    def get(request: Request, path: str) -> int:
        request.setHeader("Location", address.format(path=quote(path)))
        return status

    return get


@pytest.mark.parametrize("status", slow_after(2, [302, 307, 301, 303, 308]))
@pytest.mark.parametrize("head", [None, lengths("0", 302)])
@pytest_twisted.ensureDeferred
async def test_a_download_is_read_from_where_the_server_sends_and_without_its_password(
    server: QuirkyDav,
    listen: Listen,
    url: str,
    make_store: MakeStore,
    status: int,
    head: Callable[[Request], int] | None,
) -> None:
    elsewhere = QuirkyDav("/signed")
    elsewhere.files, elsewhere.etag = server.files, lambda _method, etag: f'"elsewhere-{etag}"'
    asked: list[tuple[str | None, bytes]] = []

    def refuse(request: Request, path: str) -> int | None:
        asked.append((request.getHeader("Authorization"), request.method))
        return None if b"Signature=1%2B2" in request.uri else 403

    elsewhere.refuse = refuse
    other = listen(Site(elsewhere, timeout=None)).rstrip("/")
    server.refuse = unexplained_basic
    server.head = head or server.head
    server.get = sends_to(other + "/signed/{path}?Signature=1%2B2#fragment", status)
    await exercise(make_store(url, user="specify", password="sesame", allow_http=True))
    assert set(asked) == {(None, b"GET")}


def unexplained_basic(request: Request, _path: str) -> int | None:
    request.setHeader("WWW-Authenticate", 'Basic realm="assets"')
    return unexplained(401)(request, _path)


@pytest.mark.parametrize("address", slow_after(1, ["/dav/{path}?again", "//{host}/dav/{path}?again", "?again"]))
@pytest.mark.parametrize("scheme", ["Basic", "Digest"])
@pytest_twisted.ensureDeferred
async def test_a_download_is_read_from_another_address_of_the_server_with_its_password(
    server: QuirkyDav, url: str, make_store: MakeStore, address: str, scheme: str
) -> None:
    def get(request: Request, path: str) -> int | None:
        if request.uri.endswith(b"?again"):
            return None
        request.setHeader("Location", address.format(path=quote(path), host=request.getHeader("Host")))
        return 302

    server.refuse, server.get = unexplained_basic if scheme == "Basic" else digest("MD5", "auth"), get
    await exercise(make_store(url, user="specify", password="sesame", allow_http=True))


@pytest.mark.parametrize(
    "address",
    [
        *("/dav/{path}", "ftp://127.0.0.1/{path}", "http://u:p@127.0.0.1/{path}", "http://[", ""),
        *("http://127.0.0.1:99999/", "http://127.0.0.1:x/", "http://127.0.0.1:0/", "https://a..b/", "https://a b/"),
        *("https://xn--a/", "https:///{path}", f"https://{'a' * 300}/", "javascript:alert(1)", "//"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_redirect_that_leads_nowhere_is_an_error(server: QuirkyDav, store: IAssetStore, address: str) -> None:
    await store.write(KEY, chunked(SMALL))
    server.get = sends_to(address)
    assert "redirect" in await message(read_asset(store, KEY), StoreFailed)


@pytest.mark.parametrize(
    ("location", "url", "target"),
    [
        ("https://b.example/x", "https://a.example/y", "https://b.example/x"),
        ("http://b.example/x", "https://a.example/y", None),
        ("//b.example/x", "https://a.example/y", "https://b.example/x"),
        ("https://b.example/x", "http://a.example/y", "https://b.example/x"),
        ("http://b.example/x", "http://a.example/y", None),
        ("http://a.example:81/x", "http://a.example/y", "http://a.example:81/x"),
        ("http://169.254.169.254/latest", "http://a.example/y", None),
        ("file:///etc/passwd", "http://a.example/y", None),
        ("https://b.example/k\u00e4 fer", "https://a.example/y", "https://b.example/k%C3%A4%20fer"),
        ("https://k\u00e4fer.example/x", "https://a.example/y", "https://xn--kfer-loa.example/x"),
        (
            "https://b.example:8443?a=1%2B2&b=c+d;e='f'#g",
            "https://a.example/",
            "https://b.example:8443?a=1%2B2&b=c+d;e='f'",
        ),
        ("/x%2Fy//z?a=/b", "https://a.example:8443/y", "https://a.example:8443/x%2Fy//z?a=/b"),
        ("../z", "https://a.example/x/y", "https://a.example/z"),
    ],
)
def test_a_redirect_leads_to_another_host_by_https_only(location: str, url: str, target: str | None) -> None:
    assert redirected(url, 302, location) == target
    assert redirected(url, 200, location) is None


@pytest.mark.parametrize("status", [400, 403, 405, 500, 501])
@pytest_twisted.ensureDeferred
async def test_what_the_server_does_not_copy_or_move_the_daemon_does(
    store: IAssetStore, server: QuirkyDav, status: int
) -> None:
    await store.check()

    def refuse(request: Request, path: str) -> int | None:
        is_of_trash = "/.trash/" in (request.getHeader("Destination") or "") and HIDDEN not in path
        return status if request.method in (b"COPY", b"MOVE") and is_of_trash else None

    server.refuse = refuse
    trashed = AssetKey("", Kind.TRASH, "0.file")
    await store.write(KEY, chunked(SMALL))
    for step in (IMoves(store).copy, IMoves(store).move):
        with pytest.raises(CannotMove):
            await step(KEY, trashed)
    assert await read_asset(store, KEY) == SMALL
    await copy(store, KEY, trashed)
    assert await read_asset(store, KEY) == await read_asset(store, trashed) == SMALL
    await store.delete(trashed)
    await move(store, KEY, trashed)
    assert await read_asset(store, trashed) == SMALL
    assert await collect(store.list("", Kind.ORIGINAL)) == []


@pytest_twisted.ensureDeferred
async def test_a_server_that_says_it_moved_and_has_not_is_not_believed(store: IAssetStore, server: QuirkyDav) -> None:
    await store.check()

    def refuse(request: Request, path: str) -> int | None:
        return 201 if request.method in (b"COPY", b"MOVE") and HIDDEN not in path else None

    await store.write(KEY, chunked(SMALL))
    server.refuse = refuse
    for step in (IMoves(store).copy, IMoves(store).move):
        with pytest.raises(CannotMove):
            await step(KEY, AssetKey("", Kind.TRASH, "0.file"))
    assert await read_asset(store, KEY) == SMALL
