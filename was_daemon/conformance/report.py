"""Reports of checks: lines on a terminal, JSON, JUnit."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import attrs
from rich.console import Console
from rich.text import Text

from was_daemon.conformance.results import CheckResult, CheckState

_STYLES = {
    CheckState.PASSED: "green",
    CheckState.DIFFERS: "yellow",
    CheckState.FAILED: "bold red",
    CheckState.SKIPPED: "dim",
}
_WIDTH = 9
_MAX_SKIPPED_LINES = 3
"""Checks skipped in a row for one reason that get a line each."""


class CheckPrinter:
    """Printer of results: one line each, and two more for a failure.

    Many checks in a row that are skipped for the same reason are printed as their number.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._skipped: list[CheckResult] = []

    def add(self, result: CheckResult) -> None:
        """Print `result`, now or together with others that are skipped for the same reason."""
        if not self._skipped or result.remark != self._skipped[0].remark:
            self.flush()
        if result.state is CheckState.SKIPPED:
            self._skipped.append(result)
        else:
            self._print(result)

    def flush(self) -> None:
        """Print the results that are held back."""
        skipped, self._skipped = self._skipped, []
        if len(skipped) > _MAX_SKIPPED_LINES:
            skipped = [attrs.evolve(skipped[0], title=f"{len(skipped)} checks")]
        for result in skipped:
            self._print(result)

    def _print(self, result: CheckResult) -> None:
        state = result.state.value
        word = state.upper() if result.state is CheckState.FAILED else state
        line = Text.assemble((f"{word:<{_WIDTH}}", _STYLES[result.state]), result.title)
        if result.remark:
            line.append(f": {_printable(result.remark)}")
        if result.state is CheckState.FAILED:
            margin = " " * _WIDTH
            line.append(f"\n{margin}expected {result.expected}\n{margin}got      {_printable(result.got)}")
        self._console.print(line, soft_wrap=True)


def summary(results: Sequence[CheckResult]) -> str:
    """Return the number of checks in each state, in words."""
    counts = Counter(result.state for result in results)
    words = {
        CheckState.PASSED: "passed",
        CheckState.DIFFERS: "differ harmlessly",
        CheckState.FAILED: "failed",
        CheckState.SKIPPED: "skipped",
    }
    return ", ".join(f"{counts[state]} {word}" for state, word in words.items() if counts[state])


def as_json(url: str, results: Sequence[CheckResult]) -> str:
    """Return the report as one JSON object."""
    checks = [attrs.asdict(result) | {"state": result.state.value} for result in results]
    report = {"url": url, "failed": any(result.state is CheckState.FAILED for result in results), "checks": checks}
    return json.dumps(report, ensure_ascii=False, indent=2)


def write_junit(path: Path, url: str, results: Sequence[CheckResult]) -> None:
    """Write a report in JUnit's format; raise OSError. Harmless differences are the output of a passed test."""
    counts = Counter(result.state for result in results)
    suite = ElementTree.Element(
        "testsuite",
        name=f"was-daemon check {url}",
        tests=str(len(results)),
        failures=str(counts[CheckState.FAILED]),
        skipped=str(counts[CheckState.SKIPPED]),
        errors="0",
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    for result in results:
        suite.append(_test_case(result))
    ElementTree.ElementTree(suite).write(path, "utf-8", xml_declaration=True)


def _test_case(result: CheckResult) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase", classname=f"was-daemon.check.{result.id}", name=result.title, time=f"{result.seconds:.3f}"
    )
    if result.state is CheckState.FAILED:
        text = _printable(f"expected {result.expected}, got {result.got}")
        ElementTree.SubElement(case, "failure", message=text).text = text
    elif result.state is CheckState.SKIPPED:
        ElementTree.SubElement(case, "skipped", message=_printable(result.remark))
    elif result.remark:
        ElementTree.SubElement(case, "system-out").text = _printable(result.remark)
    return case


def _printable(text: str) -> str:
    """Replace control characters: XML forbids them, and a server must not control the operator's terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
