"""Numbers of the last comparison of everything, kept in a file for the console. Everything here blocks."""

import json
from collections.abc import Mapping
from pathlib import Path

import attrs

from was_daemon.jobs.reconcile.findings import KINDS
from was_daemon.model.durations import counted

_NAME = "reconcile.json"


@attrs.frozen
class Summary:
    """Result of a comparison at the Unix time `at`: numbers of findings by their kinds, among so many files."""

    at: float
    originals: int
    records: int
    counts: Mapping[str, int]

    def __str__(self) -> str:
        found = ", ".join(f"{self.counts[kind]} {text}" for kind, text in KINDS.items() if self.counts.get(kind))
        files = f"{counted(self.originals, 'original')} and {counted(self.records, 'record')}"
        return f"{found or 'nothing was found'}, in {files}"


def keep_summary(directory: Path, summary: Summary) -> None:
    """Keep a summary in `directory`, which the daemon has made if it has a console; raises OSError."""
    if directory.is_dir():
        draft = directory / f"{_NAME}.new"
        draft.write_text(json.dumps(attrs.asdict(summary)), "utf-8")
        draft.replace(directory / _NAME)


def read_summary(directory: Path) -> Summary | None:
    """Return the summary that was kept last; None without one that can be read."""
    try:
        found = json.loads((directory / _NAME).read_text("utf-8"))
        return Summary(float(found["at"]), int(found["originals"]), int(found["records"]), dict(found["counts"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
