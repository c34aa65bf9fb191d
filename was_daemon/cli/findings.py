"""Output of `was-daemon reconcile`: a table for people, JSON, or CSV."""

import csv
import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Protocol

import attrs
import click

from was_daemon.jobs.reconcile.findings import KINDS, Finding

if TYPE_CHECKING:
    from _csv import Writer

_MOVED = "moved"
_COLUMNS = tuple(field.name for field in attrs.fields(Finding))


class FindingsOutput(Protocol):
    """Output of findings, each as soon as it is known: there may be a million."""

    def row(self, finding: Finding) -> None:
        """Print a finding."""

    def end(self, originals: int, records: int, counts: dict[str, int]) -> None:
        """Print how many originals and records were compared, and the number of findings of each kind."""


class TextOutput:
    """A table for people."""

    def __init__(self) -> None:
        self._has_head = False

    def row(self, finding: Finding) -> None:
        """See `FindingsOutput`."""
        if not self._has_head:
            self._has_head = True
            self._line("finding", "file", "record", "")
        record = f"{finding.source} {finding.record} {finding.table}".rstrip() if finding.source else ""
        self._line(finding.kind, f"{finding.store}: {finding.file}" if finding.file else "", record, finding.detail)

    def _line(self, kind: str, file: str, record: str, detail: str) -> None:
        line = f"{kind:<10} {file:<64} {record:<30} {detail}".rstrip()
        click.echo("".join(each if each.isprintable() else "\ufffd" for each in line))

    def end(self, originals: int, records: int, counts: dict[str, int]) -> None:
        """See `FindingsOutput`."""
        words = {**KINDS, _MOVED: "moved into the trash"}
        found = ", ".join(f"{counts[kind]} {text}" for kind, text in words.items() if counts.get(kind))
        click.echo(f"{originals} originals, {records} records: {found or 'nothing is wrong'}")


class JSONOutput:
    """One JSON object."""

    def __init__(self) -> None:
        self._separator = '{"findings": [\n'

    def row(self, finding: Finding) -> None:
        """See `FindingsOutput`."""
        click.echo(self._separator + json.dumps(attrs.asdict(finding), ensure_ascii=False), nl=False)
        self._separator = ",\n"

    def end(self, originals: int, records: int, counts: dict[str, int]) -> None:
        """See `FindingsOutput`."""
        begin = '{"findings": [' if self._separator != ",\n" else "\n"
        rest = {"originals": originals, "records": records, **dict.fromkeys((*KINDS, _MOVED), 0), **counts}
        click.echo(f"{begin}], {json.dumps(rest)[1:]}")


class CSVOutput:
    """Lines of CSV with a header; the numbers of the end are not among them."""

    def __init__(self) -> None:
        self._writer: Writer = csv.writer(sys.stdout, lineterminator="\n")
        self._writer.writerow(_COLUMNS)

    def row(self, finding: Finding) -> None:
        """See `FindingsOutput`."""
        values = (getattr(finding, name) for name in _COLUMNS)
        self._writer.writerow("" if value is None else value for value in values)

    def end(self, originals: int, records: int, counts: dict[str, int]) -> None:
        """See `FindingsOutput`."""
        sys.stdout.flush()


class FindingsPrinter:
    """Report of a comparison and of a quarantine, which prints and counts findings."""

    def __init__(self, output: FindingsOutput) -> None:
        self._output = output
        self.counts: Counter[str] = Counter()
        self.originals = self.records = 0

    def find(self, finding: Finding) -> None:
        """See `FindingReport`."""
        self.counts[finding.kind] += 1
        self._output.row(finding)

    def move(self, store: str, file: str) -> None:
        """See `QuarantineReport`."""
        self.find(Finding(_MOVED, store, file))

    def end(self, originals: int, records: int) -> None:
        """Print the numbers, and keep them."""
        self.originals, self.records = originals, records
        self._output.end(originals, records, dict(self.counts))
