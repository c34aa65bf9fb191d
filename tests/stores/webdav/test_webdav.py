"""The WebDAV store keeps every promise on real servers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from storage_plugins.webdav import WebDAVOptions, webdav
from tests.support import davservers
from tests.support.davservers import KEY, LARGE, PASSWORD, SMALL, USER, DavServer, MakeStore, Serve, message
from tests.support.slow import slow_after
from tests.support.tls import self_signed
from was_daemon.config.secret_files import SecretFile
from was_daemon.model.errors import AssetNotFound, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import IAssetStore, IAssetStorePlugin
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.testing.contract import StoreContract
from was_daemon.testing.streams import chunked, collect, deferred, read_asset

pytest_plugins = ["tests.support.davstores"]


def stored_below(root: Path) -> list[str]:
    """The names of the files of a server, without those it keeps for itself."""
    files = (path for path in root.rglob("*") if path.is_file())
    return [path.name for path in files if ".DAV" not in path.parts and path.name != ".sabredav"]


class WebDAVContract(StoreContract):
    """The contract, on the server that the subclass starts."""

    timeout = 5.0
    many = 200  # two thousand files are listed below
    make_server: Callable[[], DavServer]

    @pytest.fixture(scope="class")
    @classmethod
    def running(cls) -> Iterator[DavServer]:
        server = cls.make_server().start()
        yield server
        server.remove()

    @pytest.fixture
    def server(self, running: DavServer) -> DavServer:
        running.empty()
        return running

    @pytest.fixture
    def store(self, server: DavServer, make_store: MakeStore) -> IAssetStore:
        return make_store(server.url)

    @pytest.fixture
    def restart(self, server: DavServer) -> Callable[[], Awaitable[None]]:
        async def restart() -> None:
            server.kill()
            server.start()

        return restart

    @pytest.fixture
    def down(self, make_store: MakeStore) -> IAssetStore:
        return make_store(f"http://127.0.0.1:{davservers.free_port()}/")

    @pytest_twisted.ensureDeferred
    async def test_two_thousand_files_put_there_by_hand_are_listed(self, server: DavServer, store: IAssetStore) -> None:
        names = {f"caf\u00e9 {number} 100%.jpg" for number in range(1000)}
        names |= {f"cafe\u0301 {number} 100%.jpg" for number in range(1000)}
        (server.root / "originals").mkdir()
        for name in names:
            (server.root / "originals" / name).touch()
        assert {key.name for key in await collect(store.list("", Kind.ORIGINAL))} == names

    @pytest_twisted.ensureDeferred
    async def test_nothing_temporary_is_left(self, server: DavServer, store: IAssetStore) -> None:
        async def breaks_off() -> AsyncIterator[bytes]:
            yield LARGE
            raise InterruptedError

        await store.check()
        await store.write(KEY, chunked(LARGE))
        with pytest.raises(InterruptedError):
            await store.write(KEY, breaks_off())
        upload = deferred(store.write(KEY, chunked(LARGE)))
        await deferLater(reactor, 0)
        upload.cancel()
        with pytest.raises(CancelledError):
            await upload
        await store.close()
        # Apache drops what it received of a broken upload when it notices; it does not tell when that is.
        for _ in range(3000):
            if stored_below(server.root) == [KEY.name]:
                break
            await deferLater(reactor, 0.02)
        assert stored_below(server.root) == [KEY.name]


@pytest.mark.slow
class TestApache(WebDAVContract):
    make_server = staticmethod(davservers.apache)


class TestNginx(WebDAVContract):
    make_server = staticmethod(davservers.nginx)

    # nginx tells versions apart by the second, and this would do little but wait for the next one.
    test_what_was_written_in_odd_chunks_comes_back_whole = None


@pytest.mark.slow
class TestWsgidav(WebDAVContract):
    make_server = staticmethod(davservers.wsgidav)

    # wsgidav counts seconds as nginx does, which shows what this is about.
    test_what_was_written_in_odd_chunks_comes_back_whole = None
    test_the_etag_changes_with_every_version_even_of_the_same_size = None


@pytest.mark.slow
class TestSabre(WebDAVContract):
    """The engine of Nextcloud and ownCloud."""

    make_server = staticmethod(davservers.sabre)


async def exercise(store: IAssetStore) -> None:
    """Everything a store does, once."""
    await store.check()
    for content, size in ((SMALL, None), (LARGE, None), (SMALL, len(SMALL)), (LARGE, len(LARGE))):
        stat = await store.write(KEY, chunked(content), size)
        assert await store.stat(KEY) == stat
        assert await read_asset(store, KEY) == content
        assert await read_asset(store, KEY, 1, 4) == content[1:4]
    assert await collect(store.list("", Kind.ORIGINAL)) == [KEY]
    await store.delete(KEY)
    with pytest.raises(AssetNotFound):
        await store.stat(KEY)


@pytest_twisted.ensureDeferred
async def test_sabre_without_etags(serve: Serve, make_store: MakeStore) -> None:
    await exercise(make_store(serve(davservers.sabre("FS")).url))


# -- settings ----------------------------------------------------------------------------------------------------------


def test_the_plugin_provides_its_interface() -> None:
    verifyObject(IAssetStorePlugin, webdav)
    verifyObject(IAssetStore, webdav.create(WebDAVOptions(url="https://dav.example.org/")))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"url": "http://dav.example.org/", "user": "u", "password": "p"}, "plain http"),
        ({"url": "http://dav.example.org/", "token_file": Path("token")}, "plain http"),
        ({"url": "HTTP://dav.example.org/", "user": "u", "password": "p"}, "plain http"),
        ({"url": "ftp://dav.example.org/"}, "http or https"),
        ({"url": "https:///path"}, "http or https"),
        ({"url": "https://dav.example.org/?a=b"}, "http or https"),
        ({"url": "https://u:p@dav.example.org/"}, "settings of its own"),
        ({"url": "https://dav.example.org/", "user": "u"}, "password"),
        ({"url": "https://dav.example.org/", "password": "p"}, "user"),
        ({"url": "https://dav.example.org/", "user": "u", "password": "p", "password_file": Path("p")}, "either"),
        ({"url": "https://dav.example.org/", "user": "u", "password": "p", "token_file": Path("t")}, "token_file"),
        ({"url": "https://dav.example.org/", "timeout": 0}, "timeout"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        WebDAVOptions(**settings)


def test_settings_do_not_show_the_password() -> None:
    options = WebDAVOptions(url="http://dav.example.org/", user="u", password="sesame", allow_http=True)
    assert "sesame" not in repr(options)


@pytest_twisted.ensureDeferred
async def test_a_missing_password_file_is_an_error_of_the_store(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store("https://dav.example.org/", user=USER, password_file=SecretFile(tmp_path / "missing"))
    assert "file" in await message(store.stat(KEY), StoreUnavailable)


# -- logging in --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["Basic", "Digest"])
@pytest.mark.parametrize("server", slow_after(1, [davservers.apache, davservers.wsgidav]))
@pytest_twisted.ensureDeferred
async def test_it_logs_in_the_way_the_server_asks_for(
    serve: Serve, make_store: MakeStore, tmp_path: Path, server: Callable[[str], DavServer], login: str
) -> None:
    running = serve(server(login))
    (tmp_path / "password").write_text(PASSWORD + "\n")
    await exercise(make_store(running.url, user=USER, password_file=SecretFile(tmp_path / "password"), allow_http=True))
    wrong = make_store(running.url, user=USER, password="wrong", allow_http=True)
    for call in (wrong.stat(KEY), wrong.write(KEY, chunked(LARGE)), collect(wrong.list("", Kind.ORIGINAL))):
        assert await message(call, StoreUnavailable) == "the store refused the login"
    assert await message(make_store(running.url).check(), StoreUnavailable) == "the store refused the login"


@pytest_twisted.ensureDeferred
async def test_a_server_that_forgot_its_nonces_is_logged_in_to_again(serve: Serve, make_store: MakeStore) -> None:
    server = serve(davservers.apache("Digest"))
    store = make_store(server.url, user=USER, password=PASSWORD, allow_http=True)
    await store.write(KEY, chunked(SMALL))
    server.kill()
    server.start()
    await store.write(KEY, chunked(LARGE))
    assert await read_asset(store, KEY) == LARGE


@pytest_twisted.ensureDeferred
async def test_a_login_that_only_writing_needs(serve: Serve, make_store: MakeStore) -> None:
    server = serve(davservers.apache("Digest", extra="Require method GET HEAD OPTIONS PROPFIND"))
    store = make_store(server.url, user=USER, password=PASSWORD, allow_http=True)
    with pytest.raises(AssetNotFound):
        await store.stat(KEY)
    await exercise(store)


@pytest_twisted.ensureDeferred
async def test_a_bearer_token(serve: Serve, make_store: MakeStore, tmp_path: Path) -> None:
    server = serve(davservers.nginx(extra='if ($http_authorization != "Bearer sesame") { return 401; }'))
    (tmp_path / "token").write_text("sesame\n")
    await exercise(make_store(server.url, token_file=SecretFile(tmp_path / "token"), allow_http=True))
    (tmp_path / "other").write_text("simsim\n")
    refused = make_store(server.url, token_file=SecretFile(tmp_path / "other"), allow_http=True)
    assert await message(refused.stat(KEY), StoreUnavailable) == "the store refused the login"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of a server called localhost, which nobody vouches for but itself."""
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest_twisted.ensureDeferred
async def test_a_certificate_of_ones_own_authority(
    serve: Serve, make_store: MakeStore, certificate: Path, tmp_path: Path
) -> None:
    server = serve(davservers.apache("Basic", certificate))
    login = {"user": USER, "password": PASSWORD}
    await exercise(make_store(server.url, ca_file=certificate, **login))
    for store in (
        make_store(server.url, **login),
        make_store(server.url.replace("localhost", "127.0.0.1"), ca_file=certificate, **login),
    ):
        assert await message(store.stat(KEY), StoreUnavailable) == "no trusted connection to the store can be made"
    (tmp_path / "empty.pem").write_bytes(b"")
    useless = make_store(server.url, ca_file=tmp_path / "empty.pem", **login)
    assert "file" in await message(useless.stat(KEY), StoreUnavailable)


# -- servers that can do less ------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_server_that_ignores_ranges(serve: Serve, make_store: MakeStore) -> None:
    store = make_store(serve(davservers.nginx(extra="max_ranges 0;")).url)
    await store.write(KEY, chunked(LARGE))
    for start, stop in [(0, 1), (1, None), (70_000, 140_000), (2_999_999, None), (1_000_000, 3_000_000)]:
        assert await read_asset(store, KEY, start, stop) == LARGE[start:stop]


@pytest_twisted.ensureDeferred
async def test_a_server_that_cannot_move(serve: Serve, make_store: MakeStore) -> None:
    store = make_store(serve(davservers.nginx(methods="PUT DELETE MKCOL")).url)
    await exercise(store)
    await store.write(KEY, chunked(SMALL))

    async def breaks_off() -> AsyncIterator[bytes]:
        yield LARGE
        raise InterruptedError

    with pytest.raises(InterruptedError):
        await store.write(KEY, breaks_off())
    assert await read_asset(store, KEY) == SMALL


@pytest_twisted.ensureDeferred
async def test_a_server_that_cannot_list(serve: Serve, make_store: MakeStore) -> None:
    store = make_store(serve(davservers.nginx(propfind="off")).url)
    await store.write(KEY, chunked(SMALL))
    assert await read_asset(store, KEY) == SMALL
    assert "list" in await message(collect(store.list("", Kind.ORIGINAL)), StoreFailed)
    assert "list" in await message(store.check(), StoreUnavailable)


@pytest_twisted.ensureDeferred
async def test_a_base_that_does_not_exist_yet_and_needs_quoting(serve: Serve, make_store: MakeStore) -> None:
    server = serve(davservers.apache())
    store = make_store(server.url + "files/caf%C3%A9%20%231/", layout=Layout.SHARDED)
    keys = [AssetKey("fish", Kind.ORIGINAL, name) for name in ("ab", "abcd.jpg", "abce.jpg", "abc", "x..y.jpg")]
    for key in keys:
        await store.write(key, chunked(key.name.encode()))
    base = server.root / "files" / "café #1"
    assert (base / "fish" / "originals" / "ab" / "cd" / "abcd.jpg").read_text() == "abcd.jpg"
    for prefix in ("", "a", "abc", "abcd", "abcd.jpg", "x..y", ".", "abcdefg"):
        found = await collect(store.list("fish", Kind.ORIGINAL, prefix))
        assert sorted(key.name for key in found) == sorted(key.name for key in keys if key.name.startswith(prefix))


@pytest_twisted.ensureDeferred
async def test_what_is_no_asset_is_not_listed(serve: Serve, make_store: MakeStore) -> None:
    server = serve(davservers.apache())
    store = make_store(server.url)
    await store.write(KEY, chunked(SMALL))
    directory = server.root / "originals"
    (directory / ".was-staging" / "0123").write_bytes(b"left over")
    (directory / "subdirectory").mkdir()
    (directory / "behind our back é.jpg").write_bytes(b"x")
    assert {key.name for key in await collect(store.list("", Kind.ORIGINAL))} == {KEY.name, "behind our back é.jpg"}
