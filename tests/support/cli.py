"""`was-daemon` as an operator runs it: the installed command in a process of its own."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import attrs

from tests.support.daemon import BIN, KEY, clean_environment, to_toml
from tests.support.prepared import Prepared, written


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
def started(*arguments: str | Path) -> Iterator[Prepared]:
    """Start the command; it does not outlive the context."""
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        command = [BIN / "was-daemon", *arguments]
        process = Prepared(command, Path.cwd(), clean_environment(), out, err, start_new_session=False)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def run(*arguments: str | Path) -> Ran:
    """Run the command to its end."""
    with started(*arguments) as process:
        return end(process)


def end(process: Prepared) -> Ran:
    """Wait for a command."""
    code = process.wait(timeout=120)
    return Ran(code, written(process.stdout), written(process.stderr))
