"""What came of the checks: for people, for scripts, for pipelines."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import attrs
from rich.console import Console
from rich.text import Text

from was_daemon.conformance.outcomes import Outcome, State

_STYLES = {State.PASSED: "green", State.DIFFERS: "yellow", State.FAILED: "bold red", State.SKIPPED: "dim"}
_WIDTH = 9
_TOLD_ONE_BY_ONE = 3


class Lines:
    """Prints one check after another, a line each; what failed is told on two more.

    Of many in a row that are skipped for the same reason, it is told only how many they are.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._skipped: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        """One more."""
        if not self._skipped or outcome.remark != self._skipped[0].remark:
            self.end()
        if outcome.state is State.SKIPPED:
            self._skipped.append(outcome)
        else:
            self._print(outcome)

    def end(self) -> None:
        """These were all."""
        skipped, self._skipped = self._skipped, []
        if len(skipped) > _TOLD_ONE_BY_ONE:
            skipped = [attrs.evolve(skipped[0], title=f"{len(skipped)} checks")]
        for outcome in skipped:
            self._print(outcome)

    def _print(self, outcome: Outcome) -> None:
        state = outcome.state.value
        word = state.upper() if outcome.state is State.FAILED else state
        line = Text.assemble((f"{word:<{_WIDTH}}", _STYLES[outcome.state]), outcome.title)
        if outcome.remark:
            line.append(f": {_printable(outcome.remark)}")
        if outcome.state is State.FAILED:
            margin = " " * _WIDTH
            line.append(f"\n{margin}expected {outcome.expected}\n{margin}got      {_printable(outcome.got)}")
        self._console.print(line, soft_wrap=True)


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many went how."""
    counts = Counter(outcome.state for outcome in outcomes)
    words = {
        State.PASSED: "passed",
        State.DIFFERS: "differ harmlessly",
        State.FAILED: "failed",
        State.SKIPPED: "skipped",
    }
    return ", ".join(f"{counts[state]} {word}" for state, word in words.items() if counts[state])


def as_json(url: str, outcomes: Sequence[Outcome]) -> str:
    """The report as one JSON object."""
    checks = [attrs.asdict(outcome) | {"state": outcome.state.value} for outcome in outcomes]
    report = {"url": url, "failed": any(outcome.state is State.FAILED for outcome in outcomes), "checks": checks}
    return json.dumps(report, ensure_ascii=False, indent=2)


def write_junit(path: Path, url: str, outcomes: Sequence[Outcome]) -> None:
    """Write the report as JUnit does; raises OSError. Harmless differences are the output of a test that passed."""
    counts = Counter(outcome.state for outcome in outcomes)
    suite = ElementTree.Element(
        "testsuite",
        name=f"was-daemon check {url}",
        tests=str(len(outcomes)),
        failures=str(counts[State.FAILED]),
        skipped=str(counts[State.SKIPPED]),
        errors="0",
        time=f"{sum(outcome.seconds for outcome in outcomes):.3f}",
    )
    for outcome in outcomes:
        suite.append(_test_case(outcome))
    ElementTree.ElementTree(suite).write(path, "utf-8", xml_declaration=True)


def _test_case(outcome: Outcome) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase", classname=f"was-daemon.check.{outcome.id}", name=outcome.title, time=f"{outcome.seconds:.3f}"
    )
    if outcome.state is State.FAILED:
        text = _printable(f"expected {outcome.expected}, got {outcome.got}")
        ElementTree.SubElement(case, "failure", message=text).text = text
    elif outcome.state is State.SKIPPED:
        ElementTree.SubElement(case, "skipped", message=_printable(outcome.remark))
    elif outcome.remark:
        ElementTree.SubElement(case, "system-out").text = _printable(outcome.remark)
    return case


def _printable(text: str) -> str:
    """XML has no place for control characters, and a server shall not steer the operator's terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
