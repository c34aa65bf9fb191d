"""Stopping the daemon: what is under way is finished, what is over time is cut, and nothing half-done is left."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request

from tests.conftest import RunDaemon
from tests.support.client import Client, Connection
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.gated import CLOSED, Gate
from tests.support.images import photograph
from tests.support.processes import paused
from was_daemon.httpd.limits import ConnectionLimits
from was_daemon.httpd.site import AssetSite

SIZE = 8 << 20
"""Bytes of a download: more than what the sockets between daemon and client hold."""

PATIENT = {"server": {"shutdown_grace": 1000}, "limits": {"idle_timeout": 1000, "header_timeout": 1000}}
"""A configuration by which nobody loses a connection but by the stop."""

STOPS = (signal.SIGTERM, signal.SIGINT)


def stop(daemon: Daemon, number: signal.Signals = signal.SIGTERM) -> None:
    """Ask the daemon to end, and wait until it has begun to."""
    os.kill(daemon.pid, number)
    eventually(lambda: not accepts(daemon), "for the port to be closed")


def accepts(daemon: Daemon) -> bool:
    try:
        socket.create_connection(("127.0.0.1", daemon.port)).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return False
    return True


def answers(daemon: Daemon) -> bool:
    """Whether the daemon answers; it has accepted earlier connections then."""
    return Client(daemon.url, KEY).raw(b"GET / HTTP/1.1\r\nHost: was\r\n\r\n").status == 200


def status(daemon: Daemon) -> int:
    """What the daemon ends with."""
    return daemon.wait()


def content(size: int = SIZE) -> bytes:
    return os.urandom(size)


def put(daemon: Daemon, name: str, data: bytes) -> Path:
    """A file copied into the store."""
    path = daemon.store / "originals" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def get(connection: Connection, path: str) -> None:
    connection.send(f"GET {path} HTTP/1.1\r\nHost: was\r\n\r\n".encode())


@contextmanager
def download(daemon: Daemon, name: str) -> Iterator[Connection]:
    """A connection whose client has read the head of a download, and then waits."""
    with Client(daemon.url, KEY).connect(receive_buffer=4096) as connection:
        get(connection, f"/fileget?filename={name}&type=O")
        assert connection.head()[0] == 200
        yield connection


@contextmanager
def upload(daemon: Daemon, name: str, data: bytes) -> Iterator[tuple[Connection, bytes]]:
    """A connection on which half of an upload has arrived; and the other half."""
    client = Client(daemon.url, KEY)
    form = client.specify7_form(name)
    body = form.around(data)
    half = len(body) // 2
    with client.connect() as connection:
        connection.send(form.head(len(data)) + body[:half])
        eventually(lambda: staged(daemon), "for the upload to begin")
        yield connection, body[half:]


def staged(daemon: Daemon) -> list[Path]:
    """The unfinished uploads in the store."""
    return [path for path in daemon.store.rglob(".staging/*") if path.stat().st_size]


def originals(daemon: Daemon) -> list[str]:
    return [path.name for path in (daemon.store / "originals").glob("*")]


@pytest.mark.parametrize("number", STOPS)
def test_an_idle_daemon_ends_at_once_with_status_0(run_daemon: RunDaemon, number: signal.Signals) -> None:
    daemon = run_daemon(PATIENT)
    os.kill(daemon.pid, number)
    assert status(daemon) == 0


def test_idle_connections_are_closed_at_once(run_daemon: RunDaemon) -> None:
    daemon = run_daemon(PATIENT)
    with Client(daemon.url, KEY).connect() as connection:
        get(connection, "/")
        assert connection.answer().headers["Connection"] is None
        stop(daemon)
        assert connection.rest() == b""
        assert status(daemon) == 0


def test_a_request_whose_headers_are_under_way_is_answered(run_daemon: RunDaemon) -> None:
    daemon = run_daemon(PATIENT)
    with Client(daemon.url, KEY).connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\n")
        assert answers(daemon)
        stop(daemon)
        connection.send(b"Host: was\r\n\r\n")
        answer = connection.answer()
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert connection.rest() == b""
        assert status(daemon) == 0


class Leaf(Resource):
    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        return b"answer"


def test_who_has_just_connected_is_still_answered() -> None:
    site = AssetSite(Leaf(), ConnectionLimits(per_address=0, header_timeout=20.0, idle_timeout=60.0, min_rate=1024))
    new, unused = StringTransport(), StringTransport()
    channels = [site.buildProtocol(None), site.buildProtocol(None)]
    for channel, transport in zip(channels, (new, unused), strict=True):
        channel.makeConnection(transport)
    try:
        site.open_connections.drain()
        assert not new.disconnecting
        channels[0].dataReceived(b"GET / HTTP/1.1\r\nHost: was\r\n\r\n")
        assert b"Connection: close\r\n" in new.value()
        assert new.value().endswith(b"answer")
        assert new.disconnecting
        assert not unused.disconnecting
        site.open_connections.close_unused()
        assert unused.disconnecting
    finally:
        for channel in channels:
            channel.connectionLost(Failure(ConnectionDone()))


def test_connections_over_a_unix_socket_are_cut_too(run_daemon: RunDaemon, tmp_path: Path) -> None:
    daemon = run_daemon({"server": {"shutdown_grace": 0.2, "listen": [f"unix:{tmp_path / 'http'}"]}})
    put(daemon, "a.jpg", content())
    with Connection(str(tmp_path / "http")) as connection:
        get(connection, "/fileget?filename=a.jpg&type=O")
        assert connection.head()[0] == 200
        os.kill(daemon.pid, signal.SIGTERM)
        assert status(daemon) == 0
        assert len(connection.rest()) < SIZE


def test_a_connection_that_is_never_used_does_not_keep_the_daemon_running(run_daemon: RunDaemon) -> None:
    daemon = run_daemon(PATIENT)
    with Client(daemon.url, KEY).connect() as connection:
        assert answers(daemon)
        stop(daemon)
        assert connection.rest() == b""
        assert status(daemon) == 0


def test_a_download_under_way_is_finished(run_daemon: RunDaemon) -> None:
    daemon = run_daemon(PATIENT)
    data = content()
    put(daemon, "a.jpg", data)
    with download(daemon, "a.jpg") as connection:
        stop(daemon)
        assert connection.rest() == data
        assert status(daemon) == 0


def test_an_upload_under_way_is_finished_and_safe(run_daemon: RunDaemon) -> None:
    daemon = run_daemon(PATIENT)
    data = content()
    with upload(daemon, "a.jpg", data) as (connection, rest):
        stop(daemon)
        connection.send(rest)
        answer = connection.answer()
        assert (answer.status, answer.body, answer.headers["Connection"]) == (200, b"Ok.", "close")
        assert connection.rest() == b""
    assert status(daemon) == 0
    assert (daemon.store / "originals" / "a.jpg").read_bytes() == data
    assert staged(daemon) == []


def test_a_thumbnail_under_way_is_finished(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({**PATIENT, "thumbnails": {"workers": 1}})
    put(daemon, "a.jpg", photograph((400, 300)))
    with Client(daemon.url, KEY).connect() as first, Client(daemon.url, KEY).connect() as second:
        get(first, "/fileget?filename=a.jpg&type=T&scale=10")
        assert first.answer().status == 200
        with paused(set(daemon.workers())):
            get(second, "/fileget?filename=a.jpg&type=T&scale=123")
            eventually(lambda: list(daemon.store.rglob("thumbnails/.staging/*")), "for the thumbnail to be begun")
            stop(daemon)
        answer = second.answer()
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert max(answer.image().size) == 123
    assert status(daemon) == 0


def test_after_the_grace_what_is_left_is_cut_and_leaves_nothing(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"server": {"shutdown_grace": 0.2}})
    put(daemon, "b.jpg", content())
    with upload(daemon, "a.jpg", content()) as (uploading, _rest), download(daemon, "b.jpg") as downloading:
        os.kill(daemon.pid, signal.SIGTERM)
        assert status(daemon) == 0
        with pytest.raises(ConnectionResetError):
            uploading.rest()
        with pytest.raises(ConnectionResetError):
            downloading.rest()
    assert "After 0.2 s requests were cut off" in daemon.log()
    assert originals(daemon) == ["b.jpg"]
    assert staged(daemon) == []


@pytest.mark.parametrize("second", STOPS)
def test_a_second_signal_ends_the_daemon_at_once(run_daemon: RunDaemon, tmp_path: Path, second: signal.Signals) -> None:
    server = {**PATIENT["server"], "admin_listen": [f"unix:{tmp_path / 'admin'}"]}
    daemon = run_daemon({**PATIENT, "server": server, "admin": {"history": tmp_path / "history"}})
    with Client(daemon.url, KEY).connect() as connection:
        get(connection, "/fileget?filename=none.jpg")
        assert connection.answer().status == 404
    with upload(daemon, "a.jpg", content()) as (connection, _rest):
        stop(daemon)
        os.kill(daemon.pid, second)
        assert status(daemon) == 0
        with pytest.raises(ConnectionResetError):
            connection.rest()
    assert originals(daemon) == []
    # For the console, after the next start.
    assert "no such asset" in (tmp_path / "history/console-1.failures").read_text()


def test_a_store_that_hangs_does_not_keep_the_daemon_from_ending(run_daemon: RunDaemon, tmp_path: Path) -> None:
    gated = Gate(tmp_path, "opening").config(tmp_path / "store")
    server = {"shutdown_grace": 0.2, "admin_listen": [f"unix:{tmp_path / 'admin'}"]}
    daemon = run_daemon({"server": server, "admin": {"history": tmp_path / "history"}, **gated})
    with Client(daemon.url, KEY).connect() as connection:
        get(connection, "/fileget?filename=a.jpg&type=O")
        eventually(lambda: CLOSED in daemon.log(), "for the request to hang")
        os.kill(daemon.pid, signal.SIGTERM)
        assert status(daemon) == 0
    # For the console, after the next start.
    assert "requests were cut off" in (tmp_path / "history/console-1.failures").read_text()
