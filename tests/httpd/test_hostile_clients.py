"""Clients that are slow, silent, many or sly cost themselves an answer, and nobody else anything."""

import itertools
import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.daemon.test_stop import put
from tests.support.client import Client, Connection, chunk
from tests.support.daemon import KEY, Daemon, descriptors, eventually
from tests.support.http_contract import new_name

SLOW = 1000
LARGE = bytes(8 << 20)
HASTY = {"limits": {"header_timeout": 0.2, "idle_timeout": 0.2, "min_rate": "1 GiB"}}
"""Limits that are exceeded by whoever waits for a moment."""


def get(path: str, *headers: str) -> bytes:
    """A GET request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: was", *headers, "", ""]).encode()


def client_of(daemon: Daemon) -> Client:
    return Client(daemon.url, KEY)


def drip(connection: Connection, data: bytes) -> None:
    """Send `data` again and again, a byte at a time, until the other side hangs up."""
    for byte in itertools.cycle(data):
        try:
            connection.send(bytes([byte]))
        except (BrokenPipeError, ConnectionResetError):
            return
        if connection.has_answer(0.02):
            return


@contextmanager
def many_files() -> Iterator[None]:
    """More open files than a login session may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest_twisted.ensureDeferred
async def test_a_thousand_slow_clients_keep_nobody_waiting(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"limits": {"connections_per_address": 0}})
    client = client_of(daemon)
    name = new_name()
    await client.store(name, LARGE)
    form = client.specify7_form(new_name())
    beginnings = [
        b"",
        b"GET /fileget?filename=",
        form.head(1 << 20) + form.before + b"the beginning",
        get(f"/fileget?filename={name}"),
    ]
    with many_files(), ExitStack() as stack:
        connections = [stack.enter_context(Connection(client.address, 4096, "127.0.0.2")) for _ in range(SLOW)]
        for connection, beginning in zip(connections, itertools.cycle(beginnings), strict=False):
            connection.send(beginning)
        for _ in range(20):
            small = new_name()
            await client.store(small, b"small")
            assert (await client.original(small)).body == b"small"
            assert (await client.get("/")).status == 200
    eventually(lambda: not daemon.open_files(), "for the files of the slow clients to be closed")


def test_a_client_that_sends_nothing_is_hung_up_on(run_daemon: RunDaemon) -> None:
    with client_of(run_daemon(HASTY)).connect() as connection:
        assert connection.rest() == b""


def test_headers_have_to_arrive_in_time_however_steadily_they_drip(run_daemon: RunDaemon) -> None:
    client = client_of(run_daemon({"limits": {"header_timeout": 0.2}}))
    with client.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: was\r\nX-Slow: ")
        drip(connection, b"x")
        answer = connection.answer()
    assert (answer.status, answer.text) == (408, "the request took too long to arrive")
    assert answer.headers["X-Timestamp"]


def test_the_time_for_headers_begins_anew_with_each_request(run_daemon: RunDaemon) -> None:
    with client_of(run_daemon({"limits": {"header_timeout": 0.2}})).connect() as connection:
        connection.send(get("/"))
        assert connection.answer().status == 200
        connection.send(b"GET / HTTP/1.1\r\nX-Slow: ")
        drip(connection, b"x")
        assert connection.answer().status == 408


def test_a_connection_that_is_kept_alive_is_not_kept_for_ever(run_daemon: RunDaemon) -> None:
    with client_of(run_daemon(HASTY)).connect() as connection:
        connection.send(get("/"))
        assert connection.answer().status == 200
        assert connection.rest() == b""


def test_a_body_whose_last_piece_is_too_late_is_told(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"limits": {"idle_timeout": 1, "min_rate": "1 GiB"}})
    with client_of(daemon).connect() as connection:
        connection.send(b"POST /fileupload HTTP/1.1\r\nHost: was\r\nContent-Length: 3\r\n")
        connection.send(b"Content-Type: multipart/form-data; boundary=b\r\n\r\n-")
        # Less than it may be silent, and more than it may take, in all.
        for byte in (b"-", b"b"):
            time.sleep(0.75)
            connection.send(byte)
        assert connection.answer().status == 408
    assert "Unhandled" not in daemon.log()


@pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
def test_a_body_has_to_arrive_at_a_pace(run_daemon: RunDaemon, order: str) -> None:
    daemon = run_daemon(HASTY)
    client = client_of(daemon)
    form = getattr(client, order)(new_name())
    with client.connect() as connection:
        connection.send(form.head(1 << 20) + form.before)
        drip(connection, b"x")
        answer = connection.answer()
    assert answer.status == 408
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    eventually(lambda: not daemon.open_files(), "for the upload's file to be closed")
    assert not [path for path in daemon.store.rglob("*") if path.is_file() and path.parent.name != ".daemons"]


def test_a_client_that_does_not_fetch_its_answer_is_hung_up_on(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"limits": {"idle_timeout": 0.2, "min_rate": "1 GiB"}})
    client = client_of(daemon)
    name = new_name()
    put(daemon, name, LARGE)
    with client.connect(receive_buffer=4096) as connection:
        connection.send(get(f"/fileget?filename={name}"))
        assert connection.head()[0] == 200
        eventually(lambda: not daemon.open_files(), "for the file to be closed")
        with pytest.raises(ConnectionResetError):
            connection.rest()


def test_an_address_has_so_many_connections_and_no_more(run_daemon: RunDaemon) -> None:
    client = client_of(run_daemon({"limits": {"connections_per_address": 3}}))
    with ExitStack() as stack:
        first, *others = [stack.enter_context(client.connect()) for _ in range(3)]
        for connection in (first, *others):
            connection.send(get("/"))
            assert connection.answer().status == 200
        with client.connect() as refused:
            refused.send(get("/"))
            answer = refused.answer()
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
        first.close()
        eventually(lambda: client.raw(get("/")).status == 200, "for the place of a connection that was closed")
        for connection in others:
            connection.send(get("/"))
            assert connection.answer().status == 200


def test_a_proxy_has_as_many_connections_as_it_likes(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"limits": {"connections_per_address": 3}, "server": {"trusted_proxies": ["127.0.0.1"]}})
    with ExitStack() as stack:
        for _ in range(10):
            connection = stack.enter_context(client_of(daemon).connect())
            connection.send(get("/"))
            assert connection.answer().status == 200


def test_a_socket_in_the_file_system_has_no_limit(run_daemon: RunDaemon, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    run_daemon({"limits": {"connections_per_address": 1}, "server": {"listen": [f"unix:{path}"]}})
    with Connection(path) as first, Connection(path) as second:
        for connection in (first, second):
            connection.send(get("/"))
            assert connection.answer().status == 200


def test_hundreds_of_requests_in_one_go_are_all_answered(filesystem_client: Client) -> None:
    with filesystem_client.connect() as connection:
        connection.send(b"".join(get("/") for _ in range(400)))
        for _ in range(400):
            assert connection.answer().status == 200


def test_a_connection_ends_after_a_thousand_requests(filesystem_client: Client) -> None:
    with filesystem_client.connect() as connection:
        for _ in range(1000):
            connection.send(get("/"))
            last = connection.answer()
            assert last.status == 200
        assert last.headers["Connection"] == "close"
        assert connection.rest() == b""


SMUGGLED = [
    b"Content-Length: {short}\r\nContent-Length: {length}",
    b"Content-Length: {length}\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: {length}",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding\x0b: chunked",
    b"Transfer-Encoding : chunked",
    b"Content-Length : {length}",
    b"Content-Length: +{length}",
    b"Content-Length: 0x10",
    b"Content-Length: {length}, {length}",
    b"Content-Length: 1 0",
    b"Content-Length: -1",
    b"Content-Length:",
    b"no colon",
    b": no name",
    b"X: a\x00b",
    b"Content-Length: {length}\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(100)) + b"X: y",
]


@pytest.mark.parametrize("last", [b"", b"X-Last: header\r\n"])
@pytest.mark.parametrize("headers", SMUGGLED)
@pytest_twisted.ensureDeferred
async def test_a_request_of_doubtful_length_is_refused_and_not_carried_out(
    filesystem_client: Client, headers: bytes, last: bytes
) -> None:
    client = filesystem_client
    name = new_name()
    await client.store(name, b"kept")
    form = f"filename={name}&token={client.token(name)}".encode()
    delete = b"POST /filedelete HTTP/1.1\r\nHost: was\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    for placeholder, value in [(b"{length}", len(form)), (b"{short}", 0)]:
        headers = headers.replace(placeholder, b"%d" % value)
    with client.connect() as connection:
        connection.send(delete + headers + b"\r\n" + last + b"\r\n" + form)
        answer = connection.answer()
        assert answer.status == 400
        assert answer.headers["Connection"] == "close"
        assert connection.rest() == b""
    assert (await client.original(name)).body == b"kept"


@pytest.mark.parametrize("bad", [b"x", b"-1", b"+5", b"0x5", b"1 ", b"5;\x00", b""])
@pytest_twisted.ensureDeferred
async def test_a_bad_chunk_is_refused_and_what_follows_is_not_carried_out(
    filesystem_client: Client, bad: bytes
) -> None:
    client = filesystem_client
    name, kept = new_name(), new_name()
    await client.store(kept, b"kept")
    form = client.specify7_form(name)
    deletion = f"filename={kept}&token={client.token(kept)}".encode()
    with client.connect() as connection:
        connection.send(form.head(None) + chunk(form.before) + bad + b"\r\n")
        connection.send_what_is_taken(
            b"0\r\n\r\nPOST /filedelete HTTP/1.1\r\nHost: was\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            + b"Content-Length: %d\r\n\r\n%s" % (len(deletion), deletion)
        )
        answers = connection.rest()
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.count(b"HTTP/1.1") == 1
    assert (await client.original(kept)).body == b"kept"
    assert (await client.original(name)).status == 404


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: was\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: was\r\n" + b"".join(b"X: %d\r\n" % number for number in range(101)) + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: was\r\nX: " + b"x" * 17_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: was\r\n" + b"".join(b"X: %s\r\n" % (b"x" * 2000) for _ in range(9)) + b"\r\n",
    ],
)
def test_addresses_and_headers_have_limits(filesystem_client: Client, request_bytes: bytes) -> None:
    with filesystem_client.connect() as connection:
        connection.send_what_is_taken(request_bytes)
        assert connection.answer().status == 400
        assert connection.rest() == b""


def test_a_connection_that_ends_in_the_middle_of_a_header_is_forgotten(filesystem_daemon: Daemon) -> None:
    def sockets() -> int:
        return sum(thing.startswith("socket:") for thing in descriptors(filesystem_daemon.pid))

    client = client_of(filesystem_daemon)
    before = sockets()
    for _ in range(50):
        with client.connect() as connection:
            connection.send(b"GET / HTTP/1.1\r\nHo")
    eventually(lambda: sockets() <= before, "for the connections to be closed")
