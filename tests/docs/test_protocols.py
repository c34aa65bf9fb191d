"""docs/protocols.md: all that it names is there, and nothing that belongs into it is missing."""

import re
import tomllib
from itertools import chain

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "protocols.md").read_text("utf-8")
_PACKAGE = ROOT / "was_daemon"
_MODULE = re.compile(r"`([\w/]+\.py)`")
_BINARY = re.compile(r"^(?:import|from) (?:ctypes|struct)\b", re.MULTILINE)


def rows(heading: str) -> list[list[str]]:
    """The rows of a table below a heading, without the two of its head."""
    lines = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].splitlines()
    table = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("|")]
    return table[2:]


HEADINGS = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
SPOKEN = [row for heading in HEADINGS for row in rows(heading) if len(row) == 5]


@pytest.mark.parametrize("module", sorted(set(_MODULE.findall(PAGE))))
def test_each_module_that_is_named_is_there(module: str) -> None:
    assert (_PACKAGE / module).is_file()


@pytest.mark.parametrize("row", SPOKEN, ids=lambda row: row[0])
def test_each_row_has_modules_a_library_with_its_last_release_and_a_reason(row: list[str]) -> None:
    _what, where, library, released, reason = row
    assert _MODULE.search(where)
    assert re.fullmatch(r"20\d\d-\d\d(, 20\d\d-\d\d)*" if library != "none" else "", released)
    assert library
    assert reason


def test_each_module_that_reads_bytes_or_calls_the_kernel_is_in_the_list() -> None:
    modules = _PACKAGE.rglob("*.py")
    binary = {str(path.relative_to(_PACKAGE)) for path in modules if _BINARY.search(path.read_text("utf-8"))}
    assert sorted(binary - set(_MODULE.findall(PAGE))) == []


def test_each_package_that_is_needed_is_said_to_do_something() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [each for name, each in project["optional-dependencies"].items() if name != "dev"]
    needed = {Requirement(line).name for line in chain(project["dependencies"], *extras)}
    named = {name for row in rows("What libraries do") for name in re.findall(r"`([^`]+)`", row[0])}
    assert {canonicalize_name(each) for each in named} == {canonicalize_name(each) for each in needed}
