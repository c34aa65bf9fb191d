"""Commands and messages that a guide prints: the commands run as they are, the messages are compared with real ones."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs

from tests.support.daemon import BIN, KEY, Daemon, clean_environment, to_toml
from tests.support.needs import require
from tests.support.paths import ROOT

_DIRECTORIES = ("/etc/was-daemon", "/srv/attachments", "/var/lib/was-daemon", "/mnt/backup")
_URL = "https://assets.example.org"
_LOCAL_URL = "http://127.0.0.1:8080"
_NUMBER = re.compile(r"[0-9]+(?:\\\.[0-9]+)?")
_UNIT = re.compile(r"\b(?:bytes|[KMGTPE]iB)\b")


def page(name: str) -> str:
    """The text of a page of the documentation."""
    return (ROOT / "docs" / name).read_text("utf-8")


def tried(text: str, test: str) -> list[str]:
    """The blocks of commands of which a page says that the file `test` tries them."""
    return re.findall(rf"<!-- tried: {re.escape(test)} [^\n]*\n```sh\n(.*?)```", text, re.DOTALL)


def messages(text: str) -> Iterator[tuple[str, str]]:
    """What a page says of each message, or group of messages, that it shows; and the message."""
    yield from re.findall(r"<!-- seen: ([^\n]*?) -->\n```text\n(.*?)```", text, re.DOTALL)


def is_said(message: str, output: str) -> bool:
    """Whether each line of a message is in an output, with any numbers in the place of numbers."""
    return all(re.search(_pattern(line.strip()), output) for line in message.splitlines())


def _pattern(line: str) -> str:
    words = re.escape(line).replace(re.escape(_URL), r"https?://[\w.:-]+")
    return _UNIT.sub(r"(?:bytes|[KMGTPE]iB)", _NUMBER.sub(r"-?[0-9]+(?:\\.[0-9]+)?", words))


def start_commands(commands: str, directory: Path) -> subprocess.Popen[bytes]:
    """Start the commands of a guide in a shell and a session of their own; they write to the file `output`."""
    with (directory / "output").open("ab") as output:
        return subprocess.Popen(
            ["bash", "-e", "-c", commands],
            cwd=directory,
            env=clean_environment({"TMPDIR": str(directory)}),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


@attrs.frozen
class Machine:
    """A machine as the guides describe it, with its directories below `root`, and a daemon that is not started yet."""

    root: Path
    daemon: Daemon

    @classmethod
    def made(cls, root: Path, config: Mapping[str, Mapping[str, object]] | None = None) -> "Machine":
        """A machine with the key, and a configuration of the store `main`, a catalogue, and what `config` adds."""
        for directory in _DIRECTORIES:
            (root / directory[1:]).mkdir(parents=True)
        (root / "etc/was-daemon/key").write_text(KEY, "utf-8")
        (root / "etc/was-daemon/key").chmod(0o600)
        machine = cls(root, Daemon(root / "daemon"))
        machine.configure(config or {})
        return machine

    @classmethod
    @contextmanager
    def running(cls, root: Path, config: Mapping[str, Mapping[str, object]] | None = None) -> "Iterator[Machine]":
        """A machine whose daemon runs, and that has rsync."""
        require(shutil.which("rsync"), "rsync")
        machine = cls.made(root, config)
        machine.daemon.start()
        try:
            yield machine
        finally:
            machine.daemon.stop()

    @property
    def store(self) -> Path:
        """The directory of the attachments."""
        return self.root / "srv/attachments"

    @property
    def state(self) -> Path:
        """The directory with the catalogue."""
        return self.root / "var/lib/was-daemon"

    @property
    def etc(self) -> Path:
        """The directory of the configuration."""
        return self.root / "etc/was-daemon"

    @property
    def backup(self) -> Path:
        """The directory of the backup."""
        return self.root / "mnt/backup"

    def configure(self, config: Mapping[str, Mapping[str, object]]) -> None:
        """Write the configuration, with what `config` has for each section."""
        sections: dict[str, dict[str, object]] = {
            "server": {
                "listen": [f"tcp:{self.daemon.port}:interface=127.0.0.1"],
                "public_url": self.daemon.url,
                "key_file": "key",
                "shutdown_grace": 5,
            },
            "stores.main": {"plugin": "filesystem", "path": self.store},
            "catalogue": {"path": self.state / "catalogue.sqlite"},
            "spool": {"path": self.root / "daemon/spool"},
        }
        for name, table in config.items():
            sections[name] = {**sections.get(name, {}), **table}
        self.daemon.config_file = self.etc / "was.toml"
        self.daemon.config_file.write_text(to_toml(sections), "utf-8")

    def here(self, commands: str) -> str:
        """The commands of a guide with the directories and addresses of this machine."""
        for directory in _DIRECTORIES:
            commands = re.sub(rf"(?<![\w/]){directory}\b", f"{self.root}{directory}", commands)
        return commands.replace(_LOCAL_URL, self.daemon.url).replace(_URL, self.daemon.url)

    def run(self, commands: str, status: int = 0) -> str:
        """Run the commands of a guide with the program that is under test; what they print."""
        ran = subprocess.run(
            ["bash", "-e", "-u", "-c", self.here(commands)],
            cwd=self.root,
            env=clean_environment({"PATH": f"{BIN}:{os.environ['PATH']}"}),
            capture_output=True,
            text=True,
        )
        assert ran.returncode == status, ran.stdout + ran.stderr
        return (ran.stdout + ran.stderr).replace(str(self.root), "")
