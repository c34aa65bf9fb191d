"""The command line of the daemon, and its assembly."""

import os
import re
import resource
import signal
from pathlib import Path

from twisted.application.service import IService
from twisted.internet.defer import setDebugging
from twisted.logger import Logger
from twisted.python import usage

from was_daemon import __version__
from was_daemon.config.endpoints import tcp_address
from was_daemon.config.load import ConfigError, ConfigSource
from was_daemon.config.process_share import ProcessShare
from was_daemon.config.settings import Settings
from was_daemon.daemon.assembly import build, create_stores
from was_daemon.daemon.components import Components
from was_daemon.daemon.ownership import check_user, with_spool_of
from was_daemon.daemon.process_state import ProcessState
from was_daemon.daemon.processes.parent import Parent
from was_daemon.daemon.processes.sockets import InheritedSockets
from was_daemon.daemon.running import RunningDaemon
from was_daemon.daemon.warnings import warn
from was_daemon.telemetry.logs import DaemonLog, open_log

_log = Logger()


class Options(usage.Options):
    """The command line of `twistd was`."""

    optParameters = [  # noqa: RUF012  # as Twisted asks for it
        ["config", "c", None, "The configuration; without one, a store in ./attachments on port 8080."],
        ["process", None, None, "Number of this process, N or N/COUNT; sockets are inherited (LISTEN_FDS)."],
        ["admin-listen", None, None, "Endpoint that replaces [server] admin_listen."],
    ]

    source: ConfigSource
    settings: Settings
    components: Components | None = None
    """None in the parent of several processes."""

    def postOptions(self) -> None:
        """Read the configuration before anything is opened."""
        # A SIGHUP before startup has finished must not end the process.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        path = self["config"]
        try:
            self.source = ConfigSource(Path(path) if path else None, os.environ)
            self.settings = self.source.load()
            self._consider_user(path)
            process = self._process(self["process"], self.settings.server.workers)
            if process:
                self.components = build(self.settings, ProcessState.new(process))
            else:
                # Find mistakes here: the daemons would report them at each start.
                create_stores(self.settings)
        except ConfigError as error:
            # Not a UsageError: how to call twistd is not the question.
            raise SystemExit(f"The configuration has mistakes:\n{error}") from None

    def _consider_user(self, path: str | None) -> None:
        """Consider the user that twistd is to go on as, and refuse to be root in another user's directories."""
        of_twistd: dict[str, int | None] = self.parent or {}
        uid, gid = of_twistd.get("uid"), of_twistd.get("gid")
        if os.geteuid() != 0 and (uid not in (None, os.geteuid()) or gid not in (None, os.getegid())):
            # twistd finds that out when it is in the background, and tells nobody.
            raise usage.UsageError("only root can use --uid and --gid")
        if uid is None:
            check_user(self.settings, f" --config {path}" if path else "")
        else:
            self.settings = with_spool_of(uid, self.settings)

    def _process(self, given: str | None, workers: int) -> ProcessShare | None:
        """Return which process this is; None for the parent of several."""
        if given is None:
            return ProcessShare() if workers == 1 else None
        found = re.fullmatch("([0-9]{1,4})(?:/([0-9]{1,4}))?", given)
        process = ProcessShare(int(found[1]), int(found[2] or workers)) if found else None
        if process is None or not 1 <= process.number <= process.count:
            raise usage.UsageError(f"--process: {given} is none of {workers} processes, as [server] workers says")
        return process


def makeService(options: Options) -> IService:
    """Return the daemon that `options` describe, not started yet, for twistd."""
    return assemble(options, open_log(options.parent or {}))


def assemble(options: Options, log: DaemonLog | None) -> IService:
    """Return the daemon that `options` describe, not started yet, which writes to `log`."""
    _allow_open_files()
    setDebugging(options.settings.debug)
    components = options.components
    if components is None:
        return Parent(options.source, options.settings, log)
    if components.state.process.is_first:
        _announce(options.settings, components)
    inherited = InheritedSockets.from_environment(os.environ) if options["process"] else None
    admin = options["admin-listen"]
    return RunningDaemon(options.source, components, log, inherited, None if admin is None else [admin])


def _allow_open_files() -> None:
    """Use the system's limit of open files, not the lower one of login sessions: connections and files add up."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _announce(settings: Settings, components: Components) -> None:
    """Tell the operator what runs, and what to enter in Specify."""
    server = settings.server
    address = next(filter(None, map(tcp_address, server.listen)), None)
    url = server.public_url or (f"http://localhost:{address.port}" if address else "the address of this server")
    _log.info("was_daemon {version} serves {url}", version=__version__, url=url)
    for name, store in components.stores.items():
        _log.info("Store {name}: {store}", name=name, store=store)
    (_log.warn if server.key is None and server.insecure_no_key else _log.info)(
        "The key is {source}", source=settings.key_source
    )
    _log.info(
        "In Specify 7 set ASSET_SERVER_URL to {url}/web_asset_store.xml and ASSET_SERVER_KEY to the key; "
        "in Specify 6 the properties attachment.url and attachment.key, and attachment.use_path to false",
        url=url,
    )
    for kind, elsewhere in settings.discovery.elsewhere().items():
        _log.info("The discovery document names {elsewhere} for {kind}", elsewhere=elsewhere, kind=kind)
    warn(settings)
