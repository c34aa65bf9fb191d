"""Imports point downwards: service, web, assets, thumbnails and stores, interfaces, keys, errors."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.paths import ROOT

OURS = ("was_daemon", "storage_plugins")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for package in OURS for path in (ROOT / package).rglob("*.py")}


@cache
def imports_of(module: str) -> set[str]:
    """The modules that `module` imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(SOURCES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in SOURCES else str(node.module) for name in names}
    return found


def is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def below(package: str) -> list[str]:
    """The modules of a package, or the one of that name."""
    found = [module for module in SOURCES if is_in(module, (package,))]
    assert found, f"there is no {package}"
    return found


def reached_from(module: str) -> set[str]:
    """All modules, ours and others', that importing `module` imports, as far as ours say so."""
    reached: set[str] = set()
    waiting = {module}
    while waiting:
        each = waiting.pop()
        reached.add(each)
        parents = {each.rpartition(".")[0]} & SOURCES.keys()
        waiting |= ((imports_of(each) if each in SOURCES else set()) | parents) - reached
    return reached


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("was_daemon.errors", ()),
        ("was_daemon.tokens", ()),
        ("was_daemon.keys", ("was_daemon.errors",)),
        ("was_daemon.redaction", ()),
        ("was_daemon.secret_files", ()),
        ("was_daemon.structure", ("was_daemon.secret_files",)),
        ("was_daemon.locks", ("was_daemon.errors", "was_daemon.redaction")),
        ("was_daemon.interfaces", ("was_daemon.keys", "was_daemon.errors")),
        ("was_daemon.collections", ("was_daemon.interfaces", "was_daemon.keys", "was_daemon.errors")),
    ],
)
def test_the_foundations_import_only_what_lies_below_them(module: str, allowed: tuple[str, ...]) -> None:
    assert {name for name in imports_of(module) if is_in(name, OURS)} <= set(allowed)


@pytest.mark.parametrize(
    "module",
    ["was_daemon.errors", "was_daemon.tokens", "was_daemon.keys", "was_daemon.redaction", "was_daemon.structure"],
)
def test_what_is_pure_needs_no_reactor(module: str) -> None:
    assert not any(is_in(name, ("twisted", "treq", "klein")) for name in reached_from(module))


STORE = "was_daemon.stores", "storage_plugins"
GRAPH = "was_daemon.built_stores", "was_daemon.graph"
ABOVE_GRAPH = (
    "was_daemon.listening",
    "was_daemon.running",
    "was_daemon.service",
    "was_daemon.siblings",
    "was_daemon.cli",
)
ASSEMBLY = *GRAPH, *ABOVE_GRAPH
ABOVE_ASSETS = "was_daemon.web", "was_daemon.config", *ASSEMBLY


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("was_daemon.stores", ("was_daemon.assets", "was_daemon.collections", "was_daemon.thumbnails", *ABOVE_ASSETS)),
        ("storage_plugins", ("was_daemon.assets", "was_daemon.collections", "was_daemon.thumbnails", *ABOVE_ASSETS)),
        ("was_daemon.thumbnails", ("was_daemon.assets", "storage_plugins", *ABOVE_ASSETS)),
        ("was_daemon.assets", (*STORE, *ABOVE_ASSETS)),
        ("was_daemon.web", (*STORE, "was_daemon.config", *ASSEMBLY)),
        ("was_daemon.config", ("was_daemon.web", "was_daemon.assets", *ASSEMBLY)),
        ("was_daemon.testing", ("was_daemon.assets", *ABOVE_ASSETS)),
        ("was_daemon.graph", ("storage_plugins", *ABOVE_GRAPH)),
        ("was_daemon.running", ("was_daemon.service", "was_daemon.cli")),
        ("was_daemon.service", ("was_daemon.cli",)),
    ],
)
def test_nothing_imports_what_lies_above_it(package: str, forbidden: tuple[str, ...]) -> None:
    wrong = {(module, name) for module in below(package) for name in imports_of(module) if is_in(name, forbidden)}
    assert not wrong


def test_no_module_imports_itself_by_way_of_others() -> None:
    imports = {module: imports_of(module) for module in SOURCES}
    graph = {module: {name for name in names if name in SOURCES} for module, names in imports.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(SOURCES)


@pytest.mark.parametrize(
    "package", ["was_daemon.assets", "was_daemon.thumbnails", "was_daemon.collections", "was_daemon.keys"]
)
def test_the_use_cases_know_no_http(package: str) -> None:
    http = ("twisted.web", "klein", "treq", "werkzeug", "multipart")
    assert not {(module, name) for module in below(package) for name in imports_of(module) if is_in(name, http)}


def test_the_web_knows_no_disk() -> None:
    disk = ("os", "pathlib", "shutil", "tempfile", "fcntl", "twisted.python.filepath")
    assert not {
        (module, name) for module in below("was_daemon.web") for name in imports_of(module) if is_in(name, disk)
    }


@pytest.mark.parametrize("module", ["was_daemon.thumbnails.render", "was_daemon.thumbnails.metadata"])
def test_what_reads_files_in_a_worker_imports_neither_twisted_nor_the_rest_of_the_daemon(module: str) -> None:
    reached = reached_from(module)
    assert not any(is_in(name, ("twisted",)) for name in reached)
    ours = {name for name in reached if is_in(name, OURS)}
    assert all(name == "was_daemon" or is_in(name, ("was_daemon.thumbnails",)) for name in ours)
    code = f"import sys, {module}; sys.exit('twisted' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_only_the_command_line_uses_the_tools_for_plugin_authors() -> None:
    users = {module for module in SOURCES for name in imports_of(module) if is_in(name, ("was_daemon.testing",))}
    assert all(is_in(module, ("was_daemon.testing", "was_daemon.cli")) for module in users)


def test_a_plugin_knows_no_other_plugin() -> None:
    for plugin in below("storage_plugins"):
        others = {name for name in imports_of(plugin) if is_in(name, ("storage_plugins",))}
        assert others <= {"storage_plugins"}
