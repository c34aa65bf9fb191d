"""Daemons for the tests that speak HTTP, and servers for those of remote stores."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from tests.support.client import Client
from tests.support.daemon import KEY, Daemon, Document
from tests.support.scripted import Listen

RunDaemon = Callable[..., Daemon]


@pytest.fixture
def run_daemon(tmp_path: Path) -> Iterator[RunDaemon]:
    """Starts daemons, each with a configuration and an environment of its own, that end with the test."""
    daemons: list[Daemon] = []

    def run(config: Document | None = None, environ: Mapping[str, str] | None = None) -> Daemon:
        daemon = Daemon(tmp_path / f"daemon{len(daemons)}", config, environ)
        daemons.append(daemon)
        return daemon.start()

    yield run
    for daemon in daemons:
        daemon.stop()


@pytest.fixture(scope="session")
def filesystem_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon with a filesystem store for all tests that need nothing special of it."""
    daemon = Daemon(tmp_path_factory.mktemp("filesystem"), {"server": {"max_upload": "8 MiB"}}).start()
    yield daemon
    daemon.stop()


@pytest.fixture
def filesystem_client(filesystem_daemon: Daemon) -> Client:
    """A client of `filesystem_daemon`."""
    return Client(filesystem_daemon.url, KEY)


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """Everything that is logged during the test."""
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    yield lambda: "\n".join(formatEvent(event) for event in events)
    globalLogPublisher.removeObserver(events.append)


@pytest_twisted.async_yield_fixture
async def listen() -> AsyncIterator[Listen]:
    """Serves protocols of this process and returns their URL, until the end of the test."""
    ports = []

    def serve(factory: Factory) -> str:
        ports.append(reactor.listenTCP(0, factory, interface="127.0.0.1"))
        return f"http://127.0.0.1:{ports[-1].getHost().port}/"

    yield serve
    for port in ports:
        await port.stopListening()
