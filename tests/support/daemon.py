"""A daemon under test: a real `twistd was` in a process of its own."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from tests.support.ports import free_port
from tests.support.prepared import Prepared, can_run

BIN = Path(sys.prefix) / "bin"
KEY = "a key for tests: ü"

_OFFICIAL_VARIABLES = (
    "ATTACHMENT_KEY",
    "SERVER_NAME",
    "SERVER_PORT",
    "DEBUG_MODE",
    "TRUSTED_PROXIES",
    "CACHE_DIRECTORY",
)
_TWISTD = (BIN / "twistd", "-n", "--pidfile=", "was")
_PATIENCE = 120
_ALL_SERVE = "processes serve"
_PROCESS = b"was_daemon.daemon.processes.child"

Document = Mapping[str, Mapping[str, Any]]


def to_toml(document: Document) -> str:
    """The TOML text of a configuration: sections of keys."""
    lines = []
    for section, table in document.items():
        lines.append(f"[{section}]")
        lines += [f"{json.dumps(key)} = {_to_toml_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _to_toml_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_to_toml_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_to_toml_value, value)) + "]"
    return json.dumps(str(value) if isinstance(value, Path) else value)


def clean_environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what the daemon listens to, and with `variables`."""
    environment = {name: value for name, value in os.environ.items() if name not in _OFFICIAL_VARIABLES}
    return {**environment, **(variables or {})}


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`, which is asked again and again; fails when that takes too long."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited in vain: {what}")


class Daemon:
    """`twistd was` with a configuration; everything it writes is below `directory`.

    `config` adds to, section by section, a configuration with a filesystem store in `directory / "store"`, on a free
    port (`listen` adds further endpoints), with `KEY` as the key; `environ` adds variables to the environment;
    `wrapper` is a command that runs it, and `command` what is run instead of `twistd was`. Without these it is a
    `Prepared` process, unless `environ` has variables that it cannot have.
    """

    def __init__(
        self,
        directory: Path,
        config: Document | None = None,
        environ: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
        command: Sequence[str | Path] = _TWISTD,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.store = directory / "store"
        self.config_file = directory / "was.toml"
        self.nginx_marker = directory / "nginx-may-answer"
        self._environ = clean_environment({"TMPDIR": str(directory), **(environ or {})})
        self._log_file = directory / "twistd.log"
        self._command = [*wrapper, *command]
        self._is_prepared = self._command == list(_TWISTD) and can_run(environ or {})
        self._process: subprocess.Popen[bytes] | Prepared | None = None
        self.options: Sequence[str] = ()
        self.write_config(config or {})

    def write_config(self, config: Document) -> None:
        """Use this configuration from the next start on."""
        sections: dict[str, Mapping[str, Any]] = {
            "server": {"key": KEY, "shutdown_grace": 5},
            "stores": {"main": {"plugin": "filesystem", "path": self.store}},
            "spool": {"path": self.directory / "spool"},
        }
        for section, table in config.items():
            sections[section] = table if section == "stores" else {**sections.get(section, {}), **table}
        server = {key: value for key, value in sections["server"].items() if value is not None}
        server["listen"] = [f"tcp:{self.port}:interface=127.0.0.1", *server.get("listen", [])]
        self.config_file.write_text(to_toml({**sections, "server": server}), "utf-8")

    @property
    def pid(self) -> int:
        """The daemon's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> "Daemon":
        """Start, and wait until requests are answered."""
        self.launch()
        try:
            eventually(self._answers, "for the daemon to answer")
        except BaseException:
            self.kill()
            raise
        return self

    def launch(self, terminal: int | None = None) -> subprocess.Popen[bytes] | Prepared:
        """Start, and do not wait; `terminal` is the descriptor of the one that the daemon is to be controlled by."""
        command = [*self._command, "--config", self.config_file, *self.options]
        with self._log_file.open("ab") as log:
            if self._is_prepared and terminal is None:
                self._process = Prepared(command, self.directory, self._environ, log, log, start_new_session=True)
                return self._process
            self._process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=self._environ,
                stdin=subprocess.DEVNULL if terminal is None else terminal,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=None if terminal is None else lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            )
        return self._process

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self._process.returncode}:\n{self.log()}")
        try:
            with urlopen(self.url, timeout=_PATIENCE):
                return True
        except URLError:
            return False

    def stop(self) -> None:
        """Ask the daemon to end; fails when it or one of its workers does not."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the daemon without a warning; fails when one of its workers lives on."""
        self._end(signal.SIGKILL)

    def _end(self, signal_number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal_number)
            self.wait()

    def wait(self) -> int:
        """Wait until the daemon has ended, and its workers with it; what it ended with."""
        process, self._process = self._process, None
        assert process is not None
        try:
            code = process.wait(_PATIENCE)
            eventually(lambda: not _session(process.pid), "for the workers to end")
            return code
        finally:
            for left in _session(process.pid):
                os.kill(left, signal.SIGKILL)
            process.wait()

    def restart(self) -> None:
        """Stop, and start again on the same port."""
        self.stop()
        self.start()

    def log(self) -> str:
        """What the daemon wrote to its log."""
        return self._log_file.read_text("utf-8", "backslashreplace") if self._log_file.exists() else ""

    def await_processes(self, times: int = 1) -> None:
        """Wait until all of several processes serve, for the `times`th time."""
        eventually(lambda: self.log().count(_ALL_SERVE) >= times, "for all processes to serve")

    def workers(self) -> list[int]:
        """The worker processes."""
        return [pid for pid in _session(self.pid) if pid != self.pid and pid not in self.processes().values()]

    def processes(self) -> dict[int, int]:
        """The processes that serve, if there are several, by their numbers."""
        found = {pid: re.search(rb"--process=([0-9]+)/", _command(pid)) for pid in _session(self.pid)}
        return {int(number[1]): pid for pid, number in found.items() if number and _PROCESS in _command(pid)}

    def memory(self) -> int:
        """The bytes of memory that the daemon's own process takes up, without its workers."""
        return self._status("VmRSS")

    def forget_peak(self) -> None:
        """Begin anew to observe the peak of memory."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak_memory(self) -> int:
        """The largest `memory` since `forget_peak`."""
        return self._status("VmHWM")

    def _status(self, field: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
        raise LookupError(field)

    def open_files(self) -> list[str]:
        """The paths of the files in the store that the daemon has open, but for the one that says that it is there.

        Directories are held for a second.
        """
        paths = [path for path in descriptors(self.pid) if path.startswith(f"{self.store}/")]
        files = [path for path in paths if not Path(path).is_dir()]
        return [path for path in files if "/.daemons/" not in path]


def descriptors(pid: int) -> list[str]:
    """What a process has open: paths of files, and `socket:[inode]` and the like; nothing when it has ended."""
    found = []
    with suppress(FileNotFoundError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            # It closes some while they are listed.
            with suppress(FileNotFoundError):
                found.append(str(link.readlink()))
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _session(leader: int) -> list[int]:
    """The living processes of the session that the process `leader` began."""
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            fields = (directory / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, session, threads = fields[0], int(fields[3]), int(fields[17])
        # A zombie's other threads may still be ending, and hold what it has open.
        if session == leader and (state not in "ZX" or threads > 1):
            found.append(int(directory.name))
    return found
