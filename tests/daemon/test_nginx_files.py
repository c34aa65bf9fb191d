"""etc/nginx/was-files.conf: nginx sends the files, and clients cannot tell but by the speed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.daemon.test_nginx import age
from tests.support import recordings
from tests.support.client import Answer, Client
from tests.support.daemon import KEY, Daemon
from tests.support.http_contract import RED, check_refused, new_name, plain_picture, shows
from tests.support.nginx_site import NginxSite
from tests.support.specify_records import SpecifyRecords
from tests.web.test_visibility import until
from was_daemon.daemon.nginx_marker import _CONTENT as _MARKER
from was_daemon.web.capabilities import grant


def config(store: Path, **server: object) -> dict[str, dict[str, object]]:
    """That of a daemon whose files nginx sends; reading needs a token."""
    main = {"plugin": "filesystem", "path": str(store), "redirect": "nginx", "redirect_thumbnails": True}
    return {"server": {"require_token_for_get": True, **server}, "stores": {"main": main}}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("daemon")
    daemon = Daemon(directory, config(directory / "store", trusted_proxies=["127.0.0.1"])).start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def site(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxSite]:
    """nginx in front of it, with both snippets; every thumbnail is asked for with a token."""
    site = NginxSite(tmp_path_factory.mktemp("nginx"), daemon, thumbnails=True, files=True).start()
    yield site
    site.stop()


@pytest.fixture
def client(site: NginxSite) -> Client:
    return Client(site.url, KEY)


@pytest.fixture
def direct(daemon: Daemon) -> Client:
    """A client that asks the daemon itself, from the machine that nginx is on."""
    return Client(daemon.url, KEY)


def by_nginx(daemon: Daemon) -> int:
    """How many answers of the daemon have left the bytes to nginx."""
    return sum('" 200 0 ' in line and "GET /fileget" in line for line in daemon.log().splitlines())


_COMPARED = (
    "Content-Type",
    "Content-Length",
    "Content-Range",
    "Content-Disposition",
    "Content-Security-Policy",
    "Cache-Control",
    "ETag",
    "Last-Modified",
    "Accept-Ranges",
    "X-Content-Type-Options",
    "Access-Control-Allow-Origin",
)


def check_alike(theirs: Answer, ours: Answer) -> None:
    assert (theirs.status, theirs.body) == (ours.status, ours.body)
    for header in _COMPARED:
        assert theirs.headers.get_all(header) == ours.headers.get_all(header), header
    for header in ("X-Timestamp", "X-Request-Id"):
        assert len(theirs.headers.get_all(header) or []) == 1, header


@pytest.mark.parametrize("ending", [".jpg", ".xhtml", "", " ä%3F?#&+;'.svg", "..x.txt"])
@pytest_twisted.ensureDeferred
async def test_nginx_sends_originals_as_the_daemon_would(
    daemon: Daemon, client: Client, direct: Client, ending: str
) -> None:
    name, content = new_name(ending), os.urandom(300_000)
    await client.store(name, content)
    # Last-Modified of a version that is younger than a second changes.
    age(daemon, name)
    before = by_nginx(daemon)
    for params in ({}, {"downloadname": 'Käfer "1".jpg'}):
        token = client.token(name)
        theirs = await client.original(name, token=token, **params)
        assert theirs.body == content
        check_alike(theirs, await direct.original(name, token=token, **params))
        fields = {"filename": name, "type": "O", "token": token, **params}
        check_alike(await client.head("/fileget", **fields), await direct.head("/fileget", **fields))
    assert by_nginx(daemon) == before + 2


@pytest_twisted.ensureDeferred
async def test_conditions_and_ranges_are_right(daemon: Daemon, client: Client, direct: Client) -> None:
    name, content = new_name(".bin"), os.urandom(100_000)
    await client.store(name, content)
    age(daemon, name)
    token = client.token(name)
    whole = await client.original(name, token=token)
    etag, modified = whole.headers["ETag"], whole.headers["Last-Modified"]
    old = "Sun, 06 Nov 1994 08:49:37 GMT"
    part = {"Range": "bytes=10-19"}
    for status, condition in (
        (304, {"If-None-Match": etag}),
        (304, {"If-None-Match": "*"}),
        (200, {"If-None-Match": '"other"'}),
        (304, {"If-Modified-Since": modified}),
        (200, {"If-Modified-Since": old}),
        (200, {"If-None-Match": '"other"', "If-Modified-Since": modified}),
        (200, {"If-Match": etag}),
        (200, {"If-Unmodified-Since": modified}),
        (412, {"If-Match": '"other"'}),
        (412, {**part, "If-Match": f"W/{etag}"}),
        (412, {**part, "If-Unmodified-Since": old}),
        (206, part),
        (206, {"Range": "bytes=-5"}),
        (206, {"Range": "bytes=99990-"}),
        (416, {"Range": "bytes=100000-"}),
        (200, {"Range": "bytes=1-2,4-5"}),
        (200, {"Range": "lines=1-2"}),
        (206, {**part, "If-Range": etag}),
        (206, {**part, "If-Range": modified}),
        (200, {**part, "If-Range": '"other"'}),
        (200, {**part, "If-Range": f"W/{etag}"}),
        (200, {**part, "If-Range": old}),
    ):
        theirs = await client.original(name, token=token, headers=condition)
        assert theirs.status == status, condition
        check_alike(theirs, await direct.original(name, token=token, headers=condition))


@pytest_twisted.ensureDeferred
async def test_nginx_sends_thumbnails_that_no_other_original_has(daemon: Daemon, client: Client) -> None:
    for ending, number in ((".jpg", 1), (".png", 0), (".tif", 0)):
        name = new_name(ending)
        await client.store(name, plain_picture(RED))
        for _ in range(2):
            before = by_nginx(daemon)
            assert shows(await client.thumbnail(name, 60, token=client.token(name)), RED)
            assert by_nginx(daemon) == before + number


@pytest_twisted.ensureDeferred
async def test_nobody_gets_a_file_past_the_daemon(daemon: Daemon, client: Client) -> None:
    name = new_name()
    await client.store(name, b"content")
    for token in (None, "a:1", client.token("other.jpg")):
        check_refused(await client.original(name, token=token), 403, KEY)
    for path in (f"/was-files/main/originals/{name}", "/was-files/main/", "/was-files/../etc/passwd"):
        assert (await client.get(path)).status == 404
    assert (await client.delete(name)).status == 200
    check_refused(await client.original(name, token=client.token(name)), 404, KEY)


@pytest_twisted.ensureDeferred
async def test_nginx_sends_nothing_of_the_trash(tmp_path: Path) -> None:
    settings = config(tmp_path / "store", trusted_proxies=["127.0.0.1"])
    daemon = Daemon(tmp_path / "daemon", {**settings, "trash": {"keep": "30 days", "replaced": True}}).start()
    daemon.store = tmp_path / "store"
    site = NginxSite(tmp_path / "nginx", daemon, thumbnails=True, files=True).start()
    try:
        client, name = Client(site.url, KEY), new_name()
        for colour in (RED, (0, 0, 255)):
            await client.store(name, plain_picture(colour))
            assert shows(await client.thumbnail(name, 60, token=client.token(name)), colour)
        assert (await client.delete(name)).status == 200
        check_refused(await client.original(name, token=client.token(name)), 404, KEY)
        check_refused(await client.thumbnail(name, 60, token=client.token(name)), 404, KEY)
        kept = [path.name for path in (tmp_path / "store/.trash").iterdir() if path.is_file()]
        assert len(kept) == 4
        for each in kept:
            for path in (f"/was-files/main/.trash/{each}", f"/.trash/{each}", f"/static/.trash/{each}"):
                assert (await client.get(path)).status == 404
            for bad in (f"../.trash/{each}", f".trash/{each}"):
                assert (await client.original(bad, token=client.token(bad))).status == 400
                assert (await client.thumbnail(bad, 60, token=client.token(bad))).status == 400
            check_refused(await client.original(each, token=client.token(each)), 404, KEY)
    finally:
        site.stop()
        daemon.stop()


@pytest_twisted.ensureDeferred
async def test_what_nginx_cannot_send_the_daemon_does(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "daemon", config(tmp_path / "store", trusted_proxies=["127.0.0.1"])).start()
    # nginx looks for the files somewhere else.
    site = NginxSite(tmp_path / "nginx", daemon, thumbnails=True, files=True).start()
    try:
        client, name, content = Client(site.url, KEY), new_name(), plain_picture(RED)
        await client.store(name, content)
        token = client.token(name)
        answer = await client.original(name, token=token, downloadname="a.jpg")
        assert (answer.status, answer.body) == (200, content)
        assert len(answer.headers.get_all("ETag") or []) == 1
        assert shows(await client.thumbnail(name, 60, token=token), RED)
        assert by_nginx(daemon) == 2
    finally:
        site.stop()
        daemon.stop()


@pytest_twisted.ensureDeferred
async def test_whoever_asks_on_the_same_machine_gets_the_bytes(daemon: Daemon, direct: Client) -> None:
    name, content, before = new_name(), plain_picture(RED), by_nginx(daemon)
    await direct.store(name, content)
    token = direct.token(name)
    for headers in ({}, {"X-Forwarded-For": "192.0.2.1"}, {"X-Accel-Redirect": ""}, {"X-Accel-Redirect": "off"}):
        answer = await direct.original(name, token=token, headers=headers)
        assert (answer.body, answer.headers["X-Accel-Redirect"]) == (content, None)
    assert shows(await direct.thumbnail(name, 60, token=token), RED)
    assert by_nginx(daemon) == before


@pytest_twisted.ensureDeferred
async def test_clients_do_not_say_what_nginx_can_do(daemon: Daemon, client: Client, tmp_path: Path) -> None:
    name, content = new_name(), plain_picture(RED)
    await client.store(name, content)
    token, before = client.token(name), by_nginx(daemon)
    answer = await client.original(name, token=token, headers={"X-Accel-Redirect": ""})
    assert (answer.body, by_nginx(daemon)) == (content, before + 1)
    site = NginxSite(tmp_path / "nginx", daemon).start()
    try:
        # This one has no was-files.conf.
        without = Client(site.url, KEY)
        answer = await without.original(name, token=token, headers={"X-Accel-Redirect": "on"})
        assert (answer.body, by_nginx(daemon)) == (content, before + 1)
    finally:
        site.stop()


@pytest_twisted.ensureDeferred
async def test_whoever_comes_without_a_trusted_proxy_gets_the_bytes(run_daemon: RunDaemon, tmp_path: Path) -> None:
    daemon = run_daemon(config(tmp_path / "store", require_token_for_get=False))
    client = Client(daemon.url, KEY)
    await client.store("a.jpg", plain_picture(RED))
    answer = await client.original("a.jpg", headers={"X-Forwarded-For": "127.0.0.1", "X-Accel-Redirect": "on"})
    assert (answer.body, answer.headers["X-Accel-Redirect"]) == (plain_picture(RED), None)
    assert shows(await client.thumbnail("a.jpg", 60), RED)
    assert 'redirect = "nginx" does nothing' in daemon.log()


@pytest_twisted.ensureDeferred
async def test_nginx_sends_the_recordings_that_manifests_name(client: Client, site: NginxSite, daemon: Daemon) -> None:
    name, content = f"{new_name()}.webm", recordings.film("webm")
    await client.store(name, content)
    address = f"/iiif/presentation/3/{name};{grant(KEY, None, name, 9_999_999_999)}"
    manifest = (await client.get(f"{address}/manifest")).json
    body = manifest["items"][0]["items"][0]["items"][0]["body"]
    assert (manifest["id"], body["id"]) == (f"{site.url}{address}/manifest", f"{site.url}{address}/media")
    for headers, part in (({}, content), ({"Range": "bytes=10-19"}, content[10:20])):
        answer = await client.get(f"{address}/media", headers=headers)
        assert (answer.status, answer.body) == (206 if headers else 200, part)
        assert (answer.headers["Content-Type"], answer.headers["Access-Control-Allow-Origin"]) == ("video/webm", "*")
    sent = [line for line in daemon.log().splitlines() if name in line and "/media" in line]
    assert sent and all('" 200 0 ' in line or '" 206 10 ' in line for line in sent)
    assert "..." in sent[0] and str(grant(KEY, None, name, 9_999_999_999).mac) not in daemon.log()


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_what_is_private_is_refused_whatever_nginx_could_send(tmp_path: Path) -> None:
    directory = tmp_path / "daemon"
    document = {
        **config(directory / "store", require_token_for_get="private", trusted_proxies=["127.0.0.1"]),
        "catalogue": {"path": directory / "catalogue.sqlite"},
        "thumbnails": {"nginx_marker": "nginx-may-answer"},
    }
    daemon = Daemon(directory, document)
    # As a daemon leaves it that was killed before reading needed tokens.
    daemon.nginx_marker.write_bytes(_MARKER)
    site = NginxSite(tmp_path / "nginx", daemon, thumbnails=True, files=True).start()
    try:
        daemon.start()
        client, name = Client(site.url, KEY), new_name()
        records = SpecifyRecords(directory / "catalogue.sqlite")
        await client.store(name, plain_picture(RED))
        records.put(name, True)
        await until(lambda: client.thumbnail(name, 50), 200)
        before = by_nginx(daemon)
        assert shows(await client.thumbnail(name, 50), RED)
        answer = await client.original(name)
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "public, s-maxage=75, max-age=300")
        assert by_nginx(daemon) == before + 2
        records.put(name, False)
        await until(lambda: client.thumbnail(name, 50), 403)
        for refused in (await client.original(name), await client.get(f"/static/originals/{name}")):
            check_refused(refused, 403, KEY)
        assert not daemon.nginx_marker.exists()
        assert "nginx leaves thumbnails to the daemon" in daemon.log()
    finally:
        site.stop()
        daemon.stop()
