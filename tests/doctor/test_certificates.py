"""Certificates that have expired, will expire, or that nobody trusts."""

import datetime
import shutil
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from tests.support.cli import write_config
from tests.support.examined import found_by, only
from tests.support.tls import incomplete_chain, self_signed
from was_daemon.doctor import addresses, certificates
from was_daemon.doctor.findings import Finding, State

DAY = datetime.timedelta(days=1)


@contextmanager
def tls_server(certificate: Path) -> Iterator[str]:
    """A server with a certificate; its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    with suppress(OSError), context.wrap_socket(connection, server_side=True) as encrypted:
                        encrypted.recv(1)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://localhost:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def found_at(directory: Path, url: str | None, listen: str = "tcp:1") -> Finding:
    server = {"listen": [listen], **({"public_url": url} if url else {})}
    config = write_config(directory, {"main": {"plugin": "filesystem", "path": directory}}, server=server)
    (finding,) = found_by(certificates.look, config)
    return finding


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have clients trust `server.pem` of the test."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))


@pytest.mark.parametrize(
    ("since", "until", "state", "words"),
    [
        (-20 * DAY, -2 * DAY, State.FAILED, "the certificate has expired"),
        (-20 * DAY, 3.5 * DAY, State.WARNING, "the certificate expires in 3 days, on "),
        (-20 * DAY, 90 * DAY, State.OK, "valid until "),
    ],
)
def test_the_servers_certificate_is_looked_at(
    tmp_path: Path,
    trusting: None,
    since: datetime.timedelta,
    until: datetime.timedelta,
    state: State,
    words: str,
) -> None:
    with tls_server(self_signed(tmp_path, since, until)) as url:
        finding = found_at(tmp_path, url)
    assert (finding.state, words in finding.message) == (state, True), finding
    assert (finding.remedy is None) is (state is State.OK)


def test_one_that_nobody_trusts_or_for_another_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tls_server(self_signed(tmp_path)) as url:
        assert "signed by nobody whom clients trust" in found_at(tmp_path, url).message
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
        assert "for another name" in found_at(tmp_path, url.replace("localhost", "127.0.0.1")).message


def test_a_server_that_speaks_no_tls_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    finding = found_at(tmp_path, f"https://localhost:{port}")
    assert (finding.state, "no connection with TLS" in finding.message) == (State.FAILED, True)


def test_the_daemons_own_certificate_is_looked_at(tmp_path: Path) -> None:
    expired = self_signed(tmp_path, -20 * DAY, -2 * DAY)
    listen = f"ssl:8443:privateKey={expired}:certKey={expired}:interface=127.0.0.1"
    finding = found_at(tmp_path, None, listen)
    assert (finding.state, finding.message.startswith(f"{expired}: the certificate has expired")) == (
        State.FAILED,
        True,
    )
    assert found_at(tmp_path, None).state is State.SKIPPED


def test_a_chain_that_is_incomplete_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, trusted = incomplete_chain(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with tls_server(certificate) as url:
        finding = found_at(tmp_path, url)
    assert "the chain is incomplete" in finding.message
    assert "fullchain.pem" in str(finding.remedy)


def test_what_tls_refuses_is_not_mended_by_another_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_is_local", lambda _: False)
    with tls_server(self_signed(tmp_path, -20 * DAY, -2 * DAY)) as url:
        server = {"public_url": url}
        config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path}}, server=server)
        (address,) = found_by(addresses.look, config)
    assert (address.state, "its certificate is refused" in address.message) == (State.SKIPPED, True), address
    (silent,) = found_by(addresses.look, config)
    assert (silent.state, "/etc/hosts" in str(silent.remedy)) == (State.FAILED, True), silent


def test_what_renews_a_certificate_is_read_again_by_the_server_that_has_it(tmp_path: Path, trusting: None) -> None:
    expired = self_signed(tmp_path, -20 * DAY, -2 * DAY)
    with tls_server(expired) as url:
        port = urlsplit(url).port
        assert str(found_at(tmp_path, url).remedy).endswith("systemctl reload nginx")
        config = write_config(
            tmp_path,
            {"main": {"plugin": "filesystem", "path": tmp_path}},
            server={"public_url": url, "listen": [f"ssl:{port}:privateKey={expired}"]},
        )
        own = found_by(certificates.look, config)
    assert [str(each.remedy).endswith("restart the daemon") for each in own] == [True, True], own
    assert all("nginx" not in str(each.remedy) for each in own)


@pytest.mark.parametrize(
    ("name", "state", "words"),
    [
        ("other.example.org", State.FAILED, "is for another name than localhost"),
        ("localhost", State.WARNING, "sends another certificate, which was here before"),
        (None, State.OK, "valid until"),
    ],
)
def test_a_file_that_was_replaced_since_the_daemon_has_read_it_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None, state: State, words: str
) -> None:
    file = self_signed(tmp_path, until=90 * DAY)
    trusted = shutil.copy(file, tmp_path / "trusted.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with tls_server(file) as url:
        if name:
            self_signed(tmp_path, until=90 * DAY, name=name)
        config = write_config(
            tmp_path,
            {"main": {"plugin": "filesystem", "path": tmp_path}},
            server={"public_url": url, "listen": [f"ssl:{urlsplit(url).port}:privateKey={file}"]},
        )
        served, own = found_by(certificates.look, config)
    assert served.state is State.OK
    assert (own.state, own.message.startswith(f"{file}: "), words in own.message) == (state, True, True), own
    assert str(own.remedy).endswith("restart the daemon") is (state is not State.OK)


def test_an_expired_certificate_of_the_chain_is_told(tmp_path: Path) -> None:
    expired = self_signed(tmp_path, -20 * DAY, -2 * DAY).rename(tmp_path / "between.pem")
    listen = f"ssl:8443:privateKey={self_signed(tmp_path, until=90 * DAY)}:extraCertChain={expired}"
    config = write_config(
        tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path}}, server={"admin_listen": [listen]}
    )
    assert only(found_by(certificates.look, config)).message.startswith(f"{expired}: the certificate has expired")


def test_a_certificate_that_is_missing_is_told_once(tmp_path: Path) -> None:
    assert found_at(tmp_path, None, f"ssl:8443:privateKey={tmp_path}/no.pem").state is State.SKIPPED


def test_a_certificate_that_is_not_yet_valid_is_told(tmp_path: Path) -> None:
    early = self_signed(tmp_path, DAY, 20 * DAY)
    finding = found_at(tmp_path, None, f"ssl:8443:privateKey={early}")
    assert "the certificate is valid only from" in finding.message
    assert "clock" in str(finding.remedy)
