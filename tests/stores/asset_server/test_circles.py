"""Asset servers that have each other as a store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.support.client import Client
from tests.support.daemon import KEY, Daemon

Circle = tuple[Daemon, ...]


@pytest.fixture(params=[2, 3])
def circle(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Circle]:
    """Daemons each of which asks the next for what it does not have, and the last one the first."""
    daemons = [Daemon(tmp_path / f"daemon{number}") for number in range(request.param)]
    for daemon, following in zip(daemons, daemons[1:] + daemons[:1], strict=True):
        stores: dict[str, dict[str, Any]] = {
            "new": {"plugin": "filesystem", "path": daemon.store},
            "old": {"plugin": "asset-server", "url": following.url, "key": KEY, "timeout": 60},
            "main": {"plugin": "layered", "layers": ["new", "old"]},
        }
        daemon.write_config({"stores": stores, "collections": {"store": "main"}})
    for daemon in daemons:
        daemon.start()
    yield tuple(daemons)
    for daemon in daemons:
        daemon.stop()


def requests_of(daemon: Daemon) -> int:
    return daemon.log().count("/fileget")


@pytest_twisted.ensureDeferred
async def test_what_none_of_them_has_is_not_asked_for_in_circles(circle: Circle) -> None:
    first, *_, last = circle
    client = Client(first.url, KEY)
    assert (await client.original("nowhere.jpg")).status == 503
    assert 1 <= requests_of(last) <= 8
    logs = "".join(daemon.log() for daemon in circle)
    assert '/fileget?filename=nowhere.jpg&coll=&type=O" 508' in logs
    assert "asset servers ask each other" in logs
    # What one of them has is found all the same, by way of all others.
    await Client(last.url, KEY).store("there.jpg", b"there")
    assert (await client.original("there.jpg")).body == b"there"


@pytest_twisted.ensureDeferred
async def test_what_a_client_says_of_its_proxies_does_no_harm(run_daemon: RunDaemon) -> None:
    client = Client(run_daemon().url, KEY)
    await client.store("a.jpg", b"a")
    for via in ("1.1 proxy.example.org (Squid)", "1.0 was-0123456789abcdef, 1.1 was-0123456789abcdef", "\u00e9" * 1000):
        assert (await client.original("a.jpg", headers={"Via": via})).body == b"a"
