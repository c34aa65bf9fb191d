"""The command line of the daemon, and its assembly."""

import os
import resource
import signal
from pathlib import Path

from twisted.application.service import IService
from twisted.internet.defer import setDebugging
from twisted.logger import Logger
from twisted.python import usage

from was_daemon import __version__
from was_daemon.config.load import TCP_PORT, ConfigError, Source
from was_daemon.config.settings import Settings
from was_daemon.daemon.graph import Graph, build
from was_daemon.daemon.running import Running
from was_daemon.daemon.siblings.alone import Alone
from was_daemon.daemon.siblings.first import First
from was_daemon.daemon.unwise import warn
from was_daemon.telemetry.logs import open_log

_log = Logger()


class Options(usage.Options):
    """The command line of `twistd was`."""

    optParameters = [["config", "c", None, "The configuration; without one, a store in ./attachments on port 8080."]]  # noqa: RUF012

    source: Source
    graph: Graph
    family: Alone

    def postOptions(self) -> None:
        """Read the configuration before anything is opened."""
        # Whoever asks for a reload before there is anything to reload must not end the daemon.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        path = self["config"]
        try:
            self.source = Source(Path(path) if path else None, os.environ).read()
            settings = self.source.load()
            self.family = First(settings.server.workers) if settings.server.workers > 1 else Alone()
            self.graph = build(settings, self.family.lasting())
        except ConfigError as error:
            # Not a UsageError: how to call twistd is not the question.
            raise SystemExit(f"The configuration has mistakes:\n{error}") from None


def makeService(options: Options) -> IService:
    """The daemon that `options` describe, not started yet."""
    settings = options.graph.settings
    _allow_open_files()
    setDebugging(settings.debug)
    _announce(settings, options.graph)
    return Running(options.source, options.graph, open_log(options.parent or {}), options.family)


def _allow_open_files() -> None:
    """Use the system's limit of open files, not the lower one of login sessions: connections and files add up."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _announce(settings: Settings, graph: Graph) -> None:
    """Tell the operator what runs, and what to enter in Specify."""
    server = settings.server
    port = next(filter(None, map(TCP_PORT.match, server.listen)), None)
    url = server.public_url or (f"http://localhost:{port[1]}" if port else "the address of this server")
    _log.info("was_daemon {version} serves {url}", version=__version__, url=url)
    for name, built in graph.stores.items():
        _log.info("Store {name}: {store}", name=name, store=built.store)
    (_log.warn if server.key is None and server.insecure_no_key else _log.info)(
        "The key is {source}", source=settings.key_source
    )
    _log.info(
        "In Specify 7 set ASSET_SERVER_URL to {url}/web_asset_store.xml and ASSET_SERVER_KEY to the key; "
        "in Specify 6 the properties attachment.url and attachment.key, and attachment.use_path to false",
        url=url,
    )
    warn(settings)
