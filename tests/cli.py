"""`was-daemon` as an operator runs it: the installed command in a process of its own."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from tests.daemon import BIN, KEY, clean_environment, to_toml


@attrs.frozen
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        """What it printed with `--json`."""
        report: dict[str, Any] = json.loads(self.out)
        return report


def write_config(directory: Path, stores: Mapping[str, Mapping[str, Any]], **sections: Mapping[str, Any]) -> Path:
    """A configuration with these stores; the spool is below `directory`. Returns its path."""
    path = directory / "was.toml"
    server = {"key": KEY, **sections.pop("server", {})}
    tables = {f"stores.{name}": table for name, table in stores.items()}
    path.write_text(to_toml({"server": server, "spool": {"path": directory / "spool"}, **sections, **tables}), "utf-8")
    return path


@contextmanager
def started(*arguments: str | Path) -> Iterator["subprocess.Popen[str]"]:
    """Start the command; it does not outlive the context."""
    process = subprocess.Popen(
        [BIN / "was-daemon", *arguments],
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(*arguments: str | Path) -> Ran:
    """Run the command to its end."""
    with started(*arguments) as process:
        return end(process)


def end(process: "subprocess.Popen[str]") -> Ran:
    """Wait for a command."""
    out, err = process.communicate(timeout=120)
    return Ran(process.returncode, out, err)
