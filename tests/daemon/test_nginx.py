"""etc/nginx in front of the daemon: the contract holds through it, and what nginx answers itself is right.

A thumbnail that nginx answers is told from the daemon's by its ETag, which is made otherwise.
"""

import os
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
import pytest_twisted

from tests.daemon.test_reload import reload
from tests.support.client import Answer, Client, Connection
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.http_contract import (
    BLUE,
    RED,
    ClientsContract,
    DeleteContract,
    DownloadContract,
    EveryResponseContract,
    NamesContract,
    StaticContract,
    ThumbnailContract,
    check_allowed_everywhere,
    check_refused,
    has_common_headers,
    new_name,
    plain_picture,
    shows,
)
from tests.support.nginx_site import NginxSite
from tests.support.tls import self_signed

_CONFIG = {
    "server": {"max_upload": "8 MiB", "trusted_proxies": ["127.0.0.1"]},
    "thumbnails": {"nginx_marker": "nginx-may-answer"},
}
_SCALE = 50


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that knows about the proxy."""
    daemon = Daemon(tmp_path_factory.mktemp("daemon"), _CONFIG).start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def site(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxSite]:
    """nginx in front of it, which answers thumbnails itself."""
    site = NginxSite(tmp_path_factory.mktemp("nginx"), daemon, thumbnails=True).start()
    yield site
    site.stop()


@pytest.fixture
def client(site: NginxSite) -> Client:
    """A client that goes through nginx."""
    return Client(site.url, KEY)


@pytest.fixture
def direct(daemon: Daemon) -> Client:
    """A client that goes to the daemon."""
    return Client(daemon.url, KEY)


def is_from_nginx(answer: Answer) -> bool:
    """Whether nginx answered from the disk: its ETags have two parts, or none in their first second."""
    etag = answer.headers["ETag"]
    return answer.status == 200 and (etag is None or etag.count("-") == 1)


async def stored(client: Client, name: str, colour: tuple[int, int, int] = RED) -> None:
    """Upload a picture and have its thumbnail made."""
    await client.store(name, plain_picture(colour))
    assert shows(await client.thumbnail(name, _SCALE), colour)


def age(daemon: Daemon, name: str, seconds: int = 10) -> None:
    """Make an original and its thumbnails older, as time would."""
    then = time.time() - seconds
    for path in [daemon.store / "originals" / name, *(daemon.store / "thumbnails").glob(f"{Path(name).stem}_*")]:
        os.utime(path, (then, then))


@pytest.fixture(scope="module")
def plain(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxSite]:
    """nginx that asks the daemon for everything."""
    site = NginxSite(tmp_path_factory.mktemp("plain"), daemon).start()
    yield site
    site.stop()


@pytest.mark.slow
class TestSiteAsShipped(ClientsContract, EveryResponseContract, DownloadContract, StaticContract, NamesContract):
    """What does not depend on how connections, hosts and broken uploads are dealt with, which is nginx's business."""

    @pytest.fixture
    def client(self, plain: NginxSite) -> Client:
        return Client(plain.url, KEY)


@pytest.mark.slow
class TestSiteWithThumbnails(ThumbnailContract, DeleteContract):
    """What thumbnails have to do with; not conditional requests, as ETags of nginx and the daemon differ."""


class TestThumbnails:
    @pytest_twisted.ensureDeferred
    async def test_nginx_answers_stored_thumbnails_as_the_daemon_does(
        self, daemon: Daemon, client: Client, direct: Client
    ) -> None:
        for extension in (".jpg", ".JPG", ".jpeg", ".gif", ".webp", ".bmp"):
            name = new_name(extension)
            await stored(client, name)
            theirs = await client.thumbnail(name, _SCALE, coll="Any", disp="x", div="y", inst="z")
            ours = await direct.thumbnail(name, _SCALE)
            assert is_from_nginx(theirs), theirs
            assert not is_from_nginx(ours)
            assert theirs.body == ours.body
            assert has_common_headers(theirs)
            assert abs(int(theirs.headers["X-Timestamp"]) - time.time()) < 5
            check_allowed_everywhere(theirs)
            for header in ("Content-Type", "Content-Length", "Cache-Control", "Accept-Ranges"):
                assert theirs.headers.get_all(header) == ours.headers.get_all(header), header
            head = await client.head("/fileget", filename=name, type="T", scale=_SCALE)
            assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(ours.body)))
            assert has_common_headers(head)

    @pytest_twisted.ensureDeferred
    async def test_a_copy_that_is_good_is_told_so(self, daemon: Daemon, client: Client) -> None:
        name = new_name()
        await stored(client, name)
        age(daemon, name)
        # The second of the minute in which a version was made may come round again, and has no ETag then either.
        answers = [await client.thumbnail(name, _SCALE)]
        if answers[0].headers["ETag"] is None:
            age(daemon, name, 15)
            answers.append(await client.thumbnail(name, _SCALE))
        validators = answers[-1].headers
        for condition in (
            {"If-None-Match": validators["ETag"]},
            {"If-Modified-Since": validators["Last-Modified"]},
        ):
            answer = await client.thumbnail(name, _SCALE, headers=condition)
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers.get_all("Cache-Control") == answers[-1].headers.get_all("Cache-Control")
            assert has_common_headers(answer)
            check_allowed_everywhere(answer)

    @pytest_twisted.ensureDeferred
    async def test_a_version_has_no_validators_while_another_can_be_made_in_its_second(
        self, daemon: Daemon, client: Client
    ) -> None:
        name = new_name()
        await stored(client, name)
        # A minute before the second that comes next but one: nginx compares seconds, whatever its time zone.
        age(daemon, name, 58)

        def validators() -> tuple[str | None, str | None]:
            with urlopen(f"{client.base_url}/fileget?filename={name}&type=T&scale={_SCALE}", timeout=30) as answer:
                return answer.headers["ETag"], answer.headers["Last-Modified"]

        # If that second is over already, it comes round in a minute.
        eventually(lambda: all(validators()), "for another second than the thumbnail's")
        eventually(lambda: validators() == (None, None), "for the second of the thumbnail")
        eventually(lambda: all(validators()), "for the next second")

    @pytest_twisted.ensureDeferred
    async def test_a_deleted_asset_has_none(self, client: Client) -> None:
        name = new_name()
        await stored(client, name)
        assert is_from_nginx(await client.thumbnail(name, _SCALE))
        assert (await client.delete(name)).status == 200
        check_refused(await client.thumbnail(name, _SCALE), 404, KEY)

    @pytest_twisted.ensureDeferred
    async def test_a_replaced_asset_has_the_new_one(self, client: Client) -> None:
        name = new_name()
        for colour in (RED, BLUE, RED, BLUE):
            await stored(client, name, colour)
            again = await client.thumbnail(name, _SCALE)
            assert is_from_nginx(again)
            assert shows(again, colour)

    @pytest_twisted.ensureDeferred
    async def test_a_left_over_thumbnail_is_not_served(self, daemon: Daemon, client: Client) -> None:
        name = new_name()
        await stored(client, name)
        assert is_from_nginx(await client.thumbnail(name, _SCALE))
        (daemon.store / "originals" / name).unlink()
        check_refused(await client.thumbnail(name, _SCALE), 404, KEY)

    @pytest_twisted.ensureDeferred
    async def test_thumbnails_that_originals_share_are_left_to_the_daemon(self, client: Client) -> None:
        root = new_name("")
        for colour, extension in ((RED, ".png"), (BLUE, ".tif"), (RED, ".PNG")):
            await stored(client, root + extension, colour)
        for colour, extension in ((RED, ".png"), (BLUE, ".tif"), (RED, ".PNG")):
            answer = await client.thumbnail(root + extension, _SCALE)
            assert not is_from_nginx(answer)
            assert shows(answer, colour)

    @pytest.mark.parametrize(
        "query",
        [
            "filename=%2E%2E/originals/{name}&type=T&scale=50",
            "filename=../originals/{name}&type=T&scale=50",
            "filename={name}&type=T&scale=0",
            "filename={name}&type=T&scale=050",
            "filename={name}&type=T&scale=50%00",
            "filename={name}&type=T&scale=5000",
            "filename={name}&type=T",
            "filename={name}&type=T&scale=50&token=a:1",
            "filename={name}&type=T&scale=50&downloadname=a.jpg",
            "filename={name}&type=O&scale=50",
            "filename={name}&TYPE=T&scale=50",
            "FILENAME={name}&type=T&scale=50",
            "filename={name}&type=T&scale=50&scale=51",
            "filename={name}&filename=other.jpg&type=T&scale=50",
            "type=O&filename={name}&type=T&scale=50",
            "filename={name}&type=T&scale=50&filename",
            "filename=.{name}&type=T&scale=50",
            "filename={name}%00.jpg&type=T&scale=50",
            "filename={encoded}&type=T&scale=50",
            "filename=a%2Fb.jpg&type=T&scale=50",
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_what_is_not_plain_is_left_to_the_daemon(self, client: Client, direct: Client, query: str) -> None:
        name = new_name()
        await stored(client, name)
        target = "/fileget?" + query.format(name=name, encoded="%" + f"{ord(name[0]):02X}" + name[1:])
        theirs, ours = [await each.get(target) for each in (client, direct)]
        assert not is_from_nginx(theirs)
        assert (theirs.status, theirs.body) == (ours.status, ours.body)
        for header in ("X-Timestamp", "X-Content-Type-Options", "Access-Control-Allow-Origin", "Content-Type"):
            assert len(theirs.headers.get_all(header) or []) == 1, header

    @pytest_twisted.ensureDeferred
    async def test_ranges_and_other_methods_are_left_to_the_daemon(self, client: Client) -> None:
        name = new_name()
        await stored(client, name)
        part = await client.thumbnail(name, _SCALE, headers={"Range": "bytes=1-3"})
        assert (part.status, len(part.body)) == (206, 3)
        assert part.headers["ETag"].count("-") == 2
        refused = await client.request("POST", "/fileget", filename=name, type="T", scale=_SCALE, data=b"")
        assert refused.status == 405
        assert refused.headers["Allow"]

    @pytest_twisted.ensureDeferred
    async def test_what_nginx_cannot_open_is_left_to_the_daemon(self, daemon: Daemon, client: Client) -> None:
        name = new_name()
        await stored(client, name)
        (thumbnail,) = (daemon.store / "thumbnails").glob(f"{Path(name).stem}_*")
        thumbnail.unlink()
        os.mkfifo(thumbnail)
        answer = await client.thumbnail(name, _SCALE)
        assert not is_from_nginx(answer)
        assert shows(answer, RED)


class TestCollections:
    @pytest.fixture
    def mapped(self, tmp_path: Path) -> Iterator[tuple[Daemon, Client]]:
        """A daemon with two collections behind nginx, which knows both, and a client."""
        places = {"Fish": {"directory": "Ichthyology"}, "Herbarium": {"directory": "Botany"}}
        config = {**_CONFIG, "collections": {"mode": "map", "map": places}}
        daemon = Daemon(tmp_path / "daemon", config).start()
        directories = {name: daemon.store / place["directory"] for name, place in places.items()}
        site = NginxSite(tmp_path / "nginx", daemon, thumbnails=True, collections=directories).start()
        yield daemon, Client(site.url, KEY)
        site.stop()
        daemon.stop()

    @pytest_twisted.ensureDeferred
    async def test_each_has_its_own_thumbnails(self, mapped: tuple[Daemon, Client]) -> None:
        _, client = mapped
        name = new_name()
        pictures = {"Fish": RED, "Herbarium": BLUE}
        for coll, colour in pictures.items():
            await client.store(name, plain_picture(colour), coll=coll)
            assert shows(await client.thumbnail(name, _SCALE, coll=coll), colour)
        for coll, colour in pictures.items():
            answer = await client.thumbnail(name, _SCALE, coll=coll)
            assert is_from_nginx(answer)
            assert shows(answer, colour)
        for unknown in ("fish", "FISH", "Fish/../Fish", "Bird", None):
            check_refused(await client.thumbnail(name, _SCALE, coll=unknown), 404, KEY)


class TestTokens:
    @pytest_twisted.ensureDeferred
    async def test_a_server_that_begins_to_ask_for_tokens_is_asked_for_everything(self, tmp_path: Path) -> None:
        daemon = Daemon(tmp_path / "daemon", _CONFIG)
        site = NginxSite(tmp_path / "nginx", daemon, thumbnails=True).start()
        try:
            daemon.start()
            client = Client(site.url, KEY)
            name = new_name()
            await stored(client, name)
            assert is_from_nginx(await client.thumbnail(name, _SCALE))
            reload(daemon, {**_CONFIG, "server": {**_CONFIG["server"], "require_token_for_get": True}})
            for _ in range(2):
                check_refused(await client.thumbnail(name, _SCALE), 403, KEY)
            assert (await client.thumbnail(name, _SCALE, token=client.token(name))).status == 200
            reload(daemon, _CONFIG)
            assert is_from_nginx(await client.thumbnail(name, _SCALE))
        finally:
            site.stop()
            daemon.stop()
        assert not daemon.nginx_marker.exists()


class TestSite:
    @pytest_twisted.ensureDeferred
    async def test_a_daemon_that_is_down_is_told_as_an_error_that_clients_understand(self, tmp_path: Path) -> None:
        daemon = Daemon(tmp_path / "daemon", _CONFIG)
        site = NginxSite(tmp_path / "nginx", daemon).start()
        try:
            answer = await Client(site.url, KEY).original("a.jpg")
        finally:
            site.stop()
        check_refused(answer, 503, KEY)
        check_allowed_everywhere(answer)
        assert answer.headers["Retry-After"]

    @pytest.mark.parametrize("target", ["/fileget?filename=a", "http://evil.example.org/fileget?filename=a"])
    @pytest.mark.parametrize("host", ["assets.example.org", "evil.example.org", "127.0.0.1:80"])
    def test_whoever_comes_without_tls_is_sent_to_the_configured_name(
        self, plain: NginxSite, target: str, host: str
    ) -> None:
        with Connection(("127.0.0.1", plain.plain_port)) as connection:
            connection.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = connection.answer()
        assert answer.status == 301
        assert answer.headers["Location"] == "https://assets.example.org/fileget?filename=a"

    @pytest.mark.parametrize(
        ("target", "host", "told"),
        [
            ("/", "museum:8080", "museum:8080"),
            ("/", "Museum", "Museum"),
            ("/", "[::1]:8080", "[::1]:8080"),
            ("http://museum/", "evil", "museum"),
            ("http://museum/", "museum.evil", "museum"),
            ("http://museum:8080/", "museum:8080", "museum:8080"),
        ],
    )
    def test_the_host_of_the_target_outranks_the_header(
        self, plain: NginxSite, target: str, host: str, told: str
    ) -> None:
        answer = Client(plain.url, KEY).raw(
            f"GET {target}web_asset_store.xml HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: evil\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        assert f'<url type="read">http://{told}/fileget</url>' in answer.text

    def test_behind_tls_the_discovery_says_https(self, daemon: Daemon, tmp_path: Path) -> None:
        certificate = self_signed(tmp_path)
        site = NginxSite(tmp_path / "nginx", daemon, certificate=certificate).start()
        try:
            context = ssl.create_default_context(cafile=str(certificate))
            with urlopen(f"{site.url}/web_asset_store.xml", context=context, timeout=30) as answer:
                document = answer.read().decode()
        finally:
            site.stop()
        assert f'<url type="read">{site.url}/fileget</url>' in document

    @pytest_twisted.ensureDeferred
    async def test_large_files_pass_through_without_a_copy(self, site: NginxSite, tmp_path: Path) -> None:
        client = Client(site.url, KEY)
        name, content = new_name(".bin"), os.urandom(8_000_000)
        await client.store(name, content)
        assert (await client.original(name)).body == content
        copies = [line for line in site.complaints() if "buffered to a temporary file" in line]
        assert not copies

    def test_nginx_complains_of_nothing_in_the_site(self, site: NginxSite) -> None:
        assert not [line for line in site.complaints() if "[emerg]" in line or "duplicate" in line]
