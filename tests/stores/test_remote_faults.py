"""What clients are told when a remote store fails, what becomes of the files, and how the daemon recovers by itself."""

import os
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.support import davservers
from tests.support.client import Answer, Client
from tests.support.daemon import KEY, Daemon, descriptors, eventually
from tests.support.http_contract import (
    RED,
    check_allowed_everywhere,
    check_refused,
    gather,
    get,
    new_name,
    photograph,
    plain_picture,
    shows,
)
from tests.support.remotes import KINDS, FarEnd, make_far_end, small_disk, what_arrives
from tests.support.slow import slow_after, slow_but
from tests.support.sshd import USER

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
TIMEOUT = 1.5
"""Seconds without progress after which the daemon under test gives up on a store."""

PATIENCE = 30
"""Seconds after which something that should happen is taken to have failed."""

BESIDES = ("/getmetadata", "/filedelete")
"""Endpoints that pages of other origins do not use."""


@attrs.frozen
class Site:
    """A daemon in map mode; every collection is called like its directory.

    `remote` is on the server `far`, `full` on a small disk of it, and `refused` there as well, with a login that is no
    good. `down` is on a server that does not run yet, `denied` on one that opens no originals, `near` on this machine.
    """

    daemon: Daemon
    far: FarEnd
    down: FarEnd
    denied: FarEnd

    @property
    def client(self) -> Client:
        """A client of the daemon."""
        return Client(self.daemon.url, KEY)

    def staged(self) -> list[Path]:
        """What is being received or made."""
        return list(self.daemon.directory.rglob(".staging/*"))

    def open_things(self) -> Counter[str]:
        """The daemon's open sockets, pipes and files."""
        return Counter(re.sub(r"\[\d+\]", "", thing) for thing in descriptors(self.daemon.pid))


@pytest.fixture(scope="module", params=slow_after(1, KINDS))
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site, of each kind of remote store in turn."""
    with ExitStack() as stack:
        directory = tmp_path_factory.mktemp(request.param)
        far, down = (make_far_end(request.param, directory / name) for name in ("far", "down"))
        denied = make_far_end(request.param, directory / "denied", forbidding=True)
        for server in (far, down, denied):
            stack.callback(server.remove)
        denied.put("a.jpg", photograph(), directory="denied")
        far.start()
        denied.start()
        stores = {
            "near": {"plugin": "filesystem", "path": directory / "daemon" / "near"},
            "remote": far.table(timeout=TIMEOUT),
            "refused": far.table(direct=True, **far.bad_login()),
            "down": down.table(direct=True),
            "denied": denied.table(),
        }
        places = {name: {"directory": name, "store": name} for name in stores}
        places["full"] = {"directory": "full", "store": "remote"}
        config = {"stores": stores, "collections": {"mode": "map", "map": places}, "thumbnails": {"workers": 1}}
        daemon = Daemon(directory / "daemon", config).start()
        stack.callback(daemon.stop)
        yield Site(daemon, far, down, denied)


@pytest.fixture
def told(site: Site) -> Callable[[], str]:
    """What the operator was told since the test began, besides which requests there were."""
    already = len(site.daemon.log())
    requests = re.compile(r'"(GET|HEAD|POST) ')
    return lambda: "\n".join(line for line in site.daemon.log()[already:].splitlines() if not requests.search(line))


def check_fault(answer: Answer, status: int, path: str = "/fileget") -> None:
    """Assert that `answer` is a plain error that tells a client nothing of the inside, and tells it to any page."""
    check_refused(answer, status, KEY)
    inside = ("127.0.0.1", "localhost", "http", "ssh", davservers.PASSWORD, f"{USER}@", "some other secret", ".py")
    assert not [word for word in inside if word in answer.text]
    of_an_asset = {"etag", "last-modified", "content-disposition", "content-range", "accept-ranges"}
    assert not of_an_asset & {name.lower() for name in answer.headers}
    assert ("Retry-After" in answer.headers) == (status == 503)
    if path not in BESIDES:
        check_allowed_everywhere(answer)


async def everything(client: Client, coll: str, name: str) -> dict[str, Answer]:
    """The answers of all endpoints to simultaneous requests for an asset, by the endpoint and what was asked."""
    requests = {
        "/fileget": client.original(name, coll=coll, downloadname="a.jpg"),
        "/fileget range": client.original(name, coll=coll, headers={"Range": "bytes=1-2"}),
        "/fileget thumbnail": client.thumbnail(name, 50, coll=coll),
        "/getmetadata": client.metadata(name, coll=coll),
        "/getfileref": client.reference(name, coll=coll),
        "/getfileref thumbnail": client.reference(name, coll=coll, type="T", scale=50),
        "/static/": client.get(f"/static/{coll}/originals/{name}"),
        "/fileupload": client.upload_like_specify7(new_name(), photograph(), coll=coll),
        "/fileupload order": client.upload_like_specify6(new_name(), photograph(), coll=coll),
        "/filedelete": client.delete(new_name(), coll=coll),
    }
    return dict(zip(requests, await gather(*requests.values()), strict=True))


async def check_everything_fails(client: Client, coll: str, name: str, status: int) -> None:
    """Assert that no endpoint can do anything for the collection."""
    for request, answer in (await everything(client, coll, name)).items():
        check_fault(answer, status, request.split()[0])


async def until_it_works(request: Callable[[], Awaitable[Answer]]) -> Answer:
    """The first answer that is no 5xx; nobody does anything for it meanwhile."""
    deadline = reactor.seconds() + PATIENCE
    while (answer := await request()).status >= 500:
        assert reactor.seconds() < deadline, answer
        await deferLater(reactor, 0.02)
    return answer


async def check_it_works(site: Site, coll: str = "remote") -> None:
    """Assert that soon, and by itself, everything works again."""
    client, name = site.client, new_name()
    answer = await until_it_works(lambda: client.upload_like_specify7(name, photograph(), coll=coll))
    assert answer.body == b"Ok."
    assert (await client.original(name, coll=coll)).body == photograph()
    thumbnail = await until_it_works(lambda: client.thumbnail(name, 60, coll=coll))
    assert thumbnail.image().size == (60, 40)
    assert (await client.metadata(name, coll=coll, dt="date")).text == "2012:02:02 13:48:41"
    assert (await client.delete(name, coll=coll)).body == b"Ok."
    eventually(lambda: not site.staged(), "for all staging files to go")


def broken_download(site: Site, break_it: Callable[[], None]) -> None:
    """Begin to read an original, break something, and assert that the client notices."""
    name, content = new_name(), os.urandom(MEGABYTE) * 64
    path = site.far.put(name, content, directory="remote")
    with site.client.connect(receive_buffer=4096) as connection:
        connection.send(get(f"/fileget?coll=remote&filename={name}"))
        status, headers = connection.head()
        assert (status, headers["Content-Length"]) == (200, str(len(content)))
        got = connection.read(MEGABYTE)
        break_it()
        got += what_arrives(connection)
    assert MEGABYTE <= len(got) < len(content)
    assert content.startswith(got)
    path.unlink()


def broken_upload(site: Site, break_it: Callable[[], None]) -> tuple[Answer, Path]:
    """Break something when the far end has half of an upload; the answer, and where the asset is."""
    name, content = new_name(), os.urandom(8 * MEGABYTE)
    path = site.far.put(name, b"old", directory="remote")
    form = site.client.specify7_form(name, coll="remote")
    with site.client.connect() as connection, site.far.relay.holding(after=4 * MEGABYTE) as holds:
        connection.send(form.head(len(content)) + form.around(content))
        eventually(holds, "for half of the upload")
        break_it()
        return connection.answer(), path


class TestFromTheStart:
    """What never worked."""

    @pytest_twisted.ensureDeferred
    async def test_a_far_end_that_was_down_at_start_is_used_when_it_is_there(self, site: Site) -> None:
        await check_everything_fails(site.client, "down", "a.jpg", 503)
        assert str(site.down.port) in site.daemon.log()
        site.down.start()
        site.down.share()
        await check_it_works(site, "down")

    @pytest_twisted.ensureDeferred
    async def test_a_login_that_is_refused(self, site: Site) -> None:
        await check_everything_fails(site.client, "refused", "a.jpg", 503)
        log = site.daemon.log()
        assert re.search(r"refused the login|answered with 401", log)
        assert davservers.PASSWORD not in log
        assert "some other secret" not in log

    @pytest_twisted.ensureDeferred
    async def test_permission_that_is_denied(self, site: Site, told: Callable[[], str]) -> None:
        client = site.client
        for path, request in {
            "/fileget": client.original("a.jpg", coll="denied"),
            "/fileget thumbnail": client.thumbnail("a.jpg", 50, coll="denied"),
            "/getmetadata": client.metadata("a.jpg", coll="denied"),
            "/fileupload": client.upload_like_specify7("a.jpg", b"new", coll="denied"),
            "/fileupload order": client.upload_like_specify6("b.jpg", b"new", coll="denied"),
        }.items():
            answer = await request
            check_fault(answer, 503, path.split()[0])
            assert "permission" in answer.text
        assert re.search(r"(?i)permission denied|answered with 403", told())

    @pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
    @pytest_twisted.ensureDeferred
    async def test_a_far_end_without_space(self, site: Site, told: Callable[[], str], order: str) -> None:
        await check_it_works(site)
        name, client = new_name(), site.client
        with small_disk(site.far.root / "full", "2m") as disk:
            path = site.far.put(name, plain_picture(RED), directory="full")
            answer = await client.upload(getattr(client, order)(name, coll="full"), os.urandom(6 * MEGABYTE))
            check_fault(answer, 507, "/fileupload")
            assert told()
            assert path.read_bytes() == plain_picture(RED)
            assert (await client.original(name, coll="full")).body == plain_picture(RED)
            assert shows(await client.thumbnail(name, 50, coll="full"), RED)
            eventually(lambda: not [each for each in site.far.unfinished() if disk in each.parents], "for files to go")
            assert (await client.upload(getattr(client, order)(name, coll="full"), b"small")).body == b"Ok."
            assert path.read_bytes() == b"small"
        eventually(lambda: not site.staged(), "for the staging file to go")


class TestOnTheWay:
    """What breaks in the middle."""

    @pytest_twisted.ensureDeferred
    async def test_a_download_whose_far_end_is_killed_is_seen_to_be_broken(
        self, site: Site, told: Callable[[], str]
    ) -> None:
        broken_download(site, site.far.kill)
        await check_everything_fails(site.client, "remote", "a.jpg", 503)
        site.far.start()
        await check_it_works(site)
        assert str(site.far.relay.port) in told()

    @pytest_twisted.ensureDeferred
    async def test_an_upload_whose_far_end_is_killed_changes_nothing(self, site: Site, told: Callable[[], str]) -> None:
        answer, path = broken_upload(site, site.far.kill)
        check_fault(answer, 503, "/fileupload")
        assert path.read_bytes() == b"old"
        site.far.start()
        await check_it_works(site)
        assert path.read_bytes() == b"old"
        assert (await site.client.original(path.name, coll="remote")).body == b"old"
        assert str(site.far.relay.port) in told()

    @pytest_twisted.ensureDeferred
    async def test_a_far_end_that_hangs_is_given_up_on_and_holds_up_nobody_else(
        self, site: Site, told: Callable[[], str]
    ) -> None:
        client, name = site.client, new_name()
        await client.store(name, photograph(), coll="near")
        path = site.far.put(name, photograph(), directory="remote")
        await check_it_works(site)
        with site.far.hanging():
            rounds = 0
            # Once is enough, unless the machine is busy.
            for _ in range(20):
                # Each of these would wait for the far end, were there anything between them.
                hanging = gather(everything(client, "remote", name))
                while not hanging.called:
                    for request, answer in (await everything(client, "near", name)).items():
                        assert answer.status < 400 or request == "/filedelete", (request, answer)
                    rounds += not hanging.called
                for request, answer in (await hanging)[0].items():
                    check_fault(answer, 504, request.split()[0])
                if rounds >= 5:
                    break
        assert rounds >= 5
        await check_it_works(site)
        assert (await client.original(name, coll="remote")).body == path.read_bytes() == photograph()
        assert re.search(r"(?i)no progress|timeout|timed out|in time", told())

    @pytest_twisted.ensureDeferred
    async def test_a_download_whose_far_end_hangs_is_seen_to_be_broken(self, site: Site) -> None:
        with ExitStack() as hanging:
            broken_download(site, lambda: hanging.enter_context(site.far.hanging()))
        await check_it_works(site)

    @pytest_twisted.ensureDeferred
    async def test_an_upload_on_a_line_that_goes_dead_changes_nothing(self, site: Site) -> None:
        answer, path = broken_upload(site, lambda: None)
        check_fault(answer, 504, "/fileupload")
        await check_it_works(site)
        assert path.read_bytes() == b"old"

    @pytest_twisted.ensureDeferred
    async def test_a_download_that_fails_before_its_first_byte_is_a_plain_error(self, site: Site) -> None:
        name = new_name()
        site.far.put(name, photograph(), directory="remote")
        await check_it_works(site)
        # The far end is asked for the version, and answers; what it is asked for next does not arrive.
        with site.far.relay.holding(after=1):
            answer = await site.client.original(
                name, coll="remote", downloadname="a.jpg", headers={"Range": "bytes=1-2"}
            )
            check_fault(answer, 504)
        await check_it_works(site)

    @pytest_twisted.ensureDeferred
    async def test_a_daemon_can_be_stopped_and_started_while_its_far_end_hangs(self, site: Site) -> None:
        name = new_name()
        path = site.far.put(name, photograph(), directory="remote")
        form = site.client.specify7_form(name, coll="remote")
        with site.far.hanging(), site.client.connect() as reader, site.client.connect() as writer:
            reader.send(get(f"/fileget?coll=remote&filename={name}&type=T&scale=50"))
            writer.send(form.head(MEGABYTE) + form.around(bytes(MEGABYTE)))
            eventually(site.staged, "for the upload")
            site.daemon.restart()
            assert (await site.client.get("/")).status == 200
        assert path.read_bytes() == photograph()
        await check_it_works(site)

    @pytest_twisted.ensureDeferred
    async def test_a_client_that_dawdles_is_not_the_far_ends_fault(self, site: Site) -> None:
        name, content = new_name(), os.urandom(MEGABYTE) * 32
        site.far.put(name, content, directory="remote")
        with site.client.connect(receive_buffer=4096) as connection:
            connection.send(get(f"/fileget?coll=remote&filename={name}"))
            assert connection.head()[0] == 200
            await deferLater(reactor, 1.2 * TIMEOUT)
            assert connection.rest() == content

    @pytest_twisted.ensureDeferred
    async def test_faults_leave_nothing_open(self, site: Site) -> None:
        client, name = site.client, new_name()
        path = site.far.put(name, photograph(), directory="remote")

        def all_open() -> Counter[str]:
            # Idle connections would be closed by and by; the one that listens stays, two for each worker, and two by
            # which other threads wake the event loop of an SFTP store.
            for server in (site.far, site.down, site.denied):
                server.kill()

            def only_those_that_stay() -> bool:
                things = site.open_things()
                loops = things["anon_inode:[eventpoll]"] - 1
                return things["socket:"] == 1 + 2 * (len(site.daemon.workers()) + loops)

            eventually(only_those_that_stay, "for connections to end")
            things = site.open_things()
            for server in (site.far, site.down, site.denied):
                server.start()
            return things

        await check_it_works(site)
        before = all_open()
        broken_download(site, site.far.kill)
        await everything(client, "remote", name)
        site.far.start()
        await check_it_works(site)
        broken_upload(site, site.far.kill)
        site.far.start()
        await check_it_works(site)
        with site.far.hanging():
            pending = gather(client.original(name, coll="remote"), client.thumbnail(name, 22, coll="remote"))
            for query in ("type=T&scale=20", "type=O", "type=T&scale=21"):
                with client.connect() as impatient:
                    impatient.send(get(f"/fileget?coll=remote&filename={name}&{query}"))
            await pending
        assert path.is_file()
        await check_it_works(site)
        eventually(lambda: site.far.relay.connections <= (site.far.kind == "sftp"), "for idle connections to end")
        assert all_open() == before
        assert not site.staged()


class TestClientsThatLeave:
    """Nobody is told of a client that leaves while the far end is busy with what it wanted."""

    @pytest.fixture
    def told(self, site: Site) -> Callable[[], str]:
        """The warnings and errors since the test began; those about the stores that are no good came before."""
        complain = {"sftp": ("refused", "down", "denied"), "webdav": ("refused", "down", "denied")}[site.far.kind]
        for name in complain:
            eventually(lambda name=name: f"#error] Store {name}: " in site.daemon.log(), f"for the check of {name}")
        already = len(site.daemon.log())
        serious = re.compile(r"#(warn|error|critical)]|Traceback|Unhandled")
        return lambda: "\n".join(line for line in site.daemon.log()[already:].splitlines() if serious.search(line))

    @pytest.mark.parametrize(
        "target",
        [
            "/fileget?coll=remote&filename={}",
            "/fileget?coll=remote&filename={}&type=T&scale=50",
            "/getmetadata?coll=remote&filename={}",
            "/getfileref?coll=remote&filename={}&type=T&scale=50",
            "/static/remote/originals/{}",
        ],
    )
    @pytest.mark.parametrize("method", slow_but(["GET"], ["GET", "HEAD"]))
    @pytest.mark.parametrize("after", slow_but([0], [0, 1000]))
    @pytest_twisted.ensureDeferred
    async def test_while_it_is_asked(
        self, site: Site, told: Callable[[], str], target: str, method: str, after: int
    ) -> None:
        name = new_name()
        site.far.put(name, photograph(), directory="remote")
        await check_it_works(site)
        answered = site.daemon.log().count(name)
        with site.far.relay.holding(after):
            with site.client.connect() as connection:
                connection.send(get(target.format(name), method=method))
                connection.has_answer(0.2)
                connection.reset_on_close()
            eventually(lambda: site.daemon.log().count(name) > answered, "for the daemon to notice")
        await check_it_works(site)
        assert told() == ""

    @pytest_twisted.ensureDeferred
    async def test_in_the_middle_of_a_download(self, site: Site, told: Callable[[], str]) -> None:
        name, content = new_name(), os.urandom(MEGABYTE) * 32
        site.far.put(name, content, directory="remote")
        for read in (0, MEGABYTE):
            with site.client.connect(receive_buffer=4096) as connection:
                connection.send(get(f"/fileget?coll=remote&filename={name}"))
                assert connection.head()[0] == 200
                assert connection.read(read) == content[:read]
                connection.reset_on_close()
        await check_it_works(site)
        assert told() == ""

    @pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
    @pytest_twisted.ensureDeferred
    async def test_in_the_middle_of_an_upload(self, site: Site, told: Callable[[], str], order: str) -> None:
        name, content = new_name(), os.urandom(8 * MEGABYTE)
        path = site.far.put(name, b"old", directory="remote")
        form = getattr(site.client, order)(name, coll="remote")
        with site.far.relay.holding(after=4 * MEGABYTE) as holds, site.client.connect() as connection:
            connection.send(form.head(len(content)) + form.around(content))
            eventually(holds, "for half of the upload")
            connection.reset_on_close()
        await check_it_works(site)
        assert path.read_bytes() in (b"old", content)
        assert told() == ""


class TestFullSpool:
    """No space on this machine."""

    @pytest.fixture(scope="class")
    @classmethod
    def spool(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
        """A spool on a disk of 2 MiB."""
        with small_disk(tmp_path_factory.mktemp("spool"), "2m") as spool:
            yield spool

    @pytest.fixture(scope="class")
    @classmethod
    def client(cls, site: Site, spool: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
        """A client of a daemon with that spool, whose files are with the collection `remote`'s."""
        table = site.far.table(direct=True)
        place = {"remote": {"directory": "remote"}}
        config = {
            "stores": {"main": table},
            "collections": {"mode": "map", "map": place},
            "spool": {"path": spool, "max_size": "1 MiB"},
            "limits": {"min_free": 0},
        }
        daemon = Daemon(tmp_path_factory.mktemp("small"), config).start()
        yield Client(daemon.url, KEY)
        daemon.stop()

    @pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
    @pytest_twisted.ensureDeferred
    async def test_an_upload_for_which_the_spool_has_no_space(
        self, site: Site, client: Client, spool: Path, order: str
    ) -> None:
        name = new_name()
        path = site.far.put(name, b"old", directory="remote")
        form = getattr(client, order)(name, coll="remote")
        check_fault(await client.upload(form, os.urandom(6 * MEGABYTE)), 507, "/fileupload")
        assert path.read_bytes() == b"old"
        eventually(lambda: not list(spool.glob(".staging/*")), "for the staging file to go")
        await client.store(name, photograph(), coll="remote")
        assert path.read_bytes() == photograph()

    @pytest_twisted.ensureDeferred
    async def test_an_original_for_which_the_spool_has_no_space_is_served(
        self, site: Site, client: Client, spool: Path
    ) -> None:
        large, small = new_name(), new_name()
        content = photograph() + os.urandom(8 * MEGABYTE)
        site.far.put(large, content, directory="remote")
        site.far.put(small, photograph(), directory="remote")
        check_fault(await client.thumbnail(large, 50, coll="remote"), 507)
        check_fault(await client.metadata(large, coll="remote"), 507, "/getmetadata")
        assert (await client.original(large, coll="remote")).body == content
        eventually(lambda: not list(spool.glob(".staging/*")), "for the staging file to go")
        assert (await client.thumbnail(small, 60, coll="remote")).image().size == (60, 40)
        assert (await client.metadata(small, coll="remote", dt="date")).status == 200
