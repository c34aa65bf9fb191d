"""Addresses in endpoint strings."""

import pytest

from was_daemon.config.checks import check_endpoints
from was_daemon.config.endpoints import tcp_address
from was_daemon.config.structure import Mistakes


@pytest.mark.parametrize(
    ("description", "port", "interface", "is_local"),
    [
        ("tcp:8080", 8080, "", False),
        ("tcp:8080:interface=127.0.0.1", 8080, "127.0.0.1", True),
        ("tcp:interface=127.0.0.1:port=8080", 8080, "127.0.0.1", True),
        ("tcp:8080:interface=localhost", 8080, "localhost", True),
        ("tcp:8080:interface=192.0.2.1", 8080, "192.0.2.1", False),
        ("tcp6:8080", 8080, "::", False),
        ("tcp6:port=8080:interface=\\:\\:1", 8080, "::1", True),
        ("haproxy:tcp:8080:interface=127.0.0.1", 8080, "127.0.0.1", True),
    ],
)
def test_the_address_is_the_one_that_twisted_reads(description: str, port: int, interface: str, is_local: bool) -> None:
    address = tcp_address(description)
    assert address
    assert (address.port, address.interface, address.is_local) == (port, interface, is_local)


@pytest.mark.parametrize("description", ["unix:/run/was", "systemd:domain=INET:index=0", "nonsense:1"])
def test_an_endpoint_of_another_kind_has_no_address(description: str) -> None:
    assert tcp_address(description) is None


def test_the_backlog_is_read() -> None:
    address = tcp_address("tcp:8080:backlog=7")
    assert address
    assert address.backlog == 7


@pytest.mark.parametrize("description", ["tcp:127.0.0.1:8080", "127.0.0.1:8080", "tcp:localhost:8080"])
def test_a_host_before_the_port_is_told_where_it_belongs(description: str) -> None:
    mistakes = Mistakes()
    check_endpoints("server.listen", [description], {}, mistakes)
    host = description.split(":")[-2]
    assert f'"tcp:8080:interface={host}"' in mistakes.lines[0]
