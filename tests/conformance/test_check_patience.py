"""`was-daemon check` and servers without an end: what they send, and how long they take, is bounded."""

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.cli import run
from tests.support.model_server import KEY, Answering, ModelServer, Reply, Request
from was_daemon.conformance import client
from was_daemon.conformance.client import Unanswered

Talk = Callable[[socket.socket], None]
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n"


@contextmanager
def talking(talk: Talk, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """The address of a server that talks to one client like that, until that leaves."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                client, _ = listening.accept()
                with context.wrap_socket(client, server_side=True) if context else client as connection:
                    connection.recv(1 << 16)
                    talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"{'https' if context else 'http'}://localhost:{listening.getsockname()[1]}/"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def for_ever(head: bytes, piece: bytes, pause: float = 0.0) -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)
            time.sleep(pause)

    return talk


_CHUNK = b"10000\r\n" + bytes(0x10000) + b"\r\n"


@pytest.mark.parametrize(
    "talk",
    [
        for_ever(_HEAD + b"\r\n", bytes(1 << 16)),
        for_ever(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", _CHUNK),
        for_ever(_HEAD + b"Content-Length: 1000000000000\r\n\r\n", bytes(1 << 16)),
    ],
    ids=["without a size", "in chunks", "with a size"],
)
def test_an_answer_without_an_end_is_not_read_to_it(talk: Talk) -> None:
    with talking(talk) as url, pytest.raises(Unanswered, match="larger than the 16 MiB"):
        client.HttpClient(30).request("GET", url)


@pytest.mark.parametrize(
    "talk",
    [
        for_ever(_HEAD + b"\r\n", b"a", 0.02),
        for_ever(_HEAD + b"Content-Length: 1000\r\n\r\n", b"a", 0.02),
        for_ever(b"HTTP/1.1 200 OK\r\nX-Header: ", b"a", 0.02),
    ],
    ids=["without a size", "with a size", "head"],
)
def test_a_server_that_drips_is_given_up_on(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_ANSWER_TIMEOUTS", 0.01)
    asking = client.HttpClient(30)
    with talking(talk) as url, pytest.raises(Unanswered, match="takes too long"):
        asking.request("GET", url)
    # Sixty checks, each with a time of its own, would take hours.
    with pytest.raises(Unanswered, match="an earlier answer took too long"):
        asking.request("GET", f"{url}?filename=a.jpg")


def test_over_tls_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    openssl = ("openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    subprocess.run([*openssl, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with talking(lambda connection: connection.sendall(_HEAD + b"Content-Length: 2\r\n\r\nOk"), context) as url:
        assert client.HttpClient(30, str(certificate)).request("GET", url).body == b"Ok"
    monkeypatch.setattr(client, "_ANSWER_TIMEOUTS", 0.01)
    with (
        talking(for_ever(_HEAD + b"\r\n", b"a", 0.1), context) as url,
        pytest.raises(Unanswered, match="takes too long"),
    ):
        client.HttpClient(30, str(certificate)).request("GET", url)


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(_HEAD + b"Content-Length: 10\r\n\r\nhalf")

    with talking(talk) as url, pytest.raises(Unanswered, match="no whole answer"):
        client.HttpClient(30).request("GET", url)


def test_without_a_discovery_document_the_rest_is_a_line_and_no_token_is_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    with ModelServer(lambda request, answer: Reply(404)).running() as model:
        ran = run("check", model.url, "--key-file", tmp_path / "key")
    skipped = [line for line in ran.out.splitlines() if line.startswith("skipped")]
    assert len(skipped) == 1
    assert "checks: as this failed: the discovery document" in skipped[0]

    def hang_up(request: Request, answer: Answering) -> Reply:
        if request.path == "/testkey":
            raise ConnectionAbortedError
        return answer(request)

    with ModelServer(hang_up).running() as model:
        ran = run("check", model.url, "--key-file", tmp_path / "key")
    assert ran.code == 1
    assert "&token=...: " in ran.out
