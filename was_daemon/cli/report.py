"""Report of a command on many files: as text, or as one JSON object."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import click

from was_daemon.jobs.report import JobReport
from was_daemon.model.sizes import readable


def printable(text: str) -> str:
    """Return a text in which nothing can control a terminal."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


_NOTHING: Mapping[str, Any] = {}


class Report(JobReport):
    """Printer of a line for each file that deserves one, and of counts at the end: as text, or as one JSON object."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._listed = 0
        self.counts: Counter[str] = Counter()

    def count(self, state: str, number: int = 1) -> None:
        """See `JobReport`."""
        self.counts[state] += number

    def describe(self, state: str, path: str, reason: str, **where: str) -> None:
        """See `JobReport`. `where` tells more about the place of the file, by the words for that."""
        self.count(state)
        if not self._as_json:
            places = "".join(f", {word} {name}" for word, name in where.items())
            line = f"{state:<9} {path}{places}" + (f": {reason}" if reason else "")
            click.echo(printable(line))
            return
        # Printed at once, not collected: there may be a million files.
        click.echo('{"files": [' if not self._listed else ",")
        self._listed += 1
        click.echo(json.dumps({"state": state, "file": path, "reason": reason} | where, ensure_ascii=False), nl=False)

    def end(self, words: dict[str, str], more: Mapping[str, Any] = _NOTHING, **sizes: int) -> None:
        """Print the counts. `words` maps all states to their names in the sentence; `sizes` are in bytes.

        `more` is added to the JSON object; a text has said that before.
        """
        if not self._as_json:
            parts = [f"{self.counts[word]} {text}" for word, text in words.items()]
            click.echo(", ".join(parts + [readable(size) for size in sizes.values()]))
            return
        click.echo("\n]," if self._listed else '{"files": [],')
        rest = {word: self.counts[word] for word in words} | sizes | dict(more)
        click.echo(json.dumps(rest, ensure_ascii=False)[1:])
