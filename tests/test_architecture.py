"""The order of the rooms: a module imports from its own room and from those below it, and from no other."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT

ROOMS = (
    "model",
    "telemetry",
    "concurrency",
    "config",
    "stores",
    "plugins",
    "imaging",
    "workers",
    "library",
    "catalogue",
    "specify",
    "derivatives",
    "assets",
    "jobs",
    "health",
    "conformance",
    "doctor",
    "httpd",
    "web",
    "daemon",
    "testing",
    "cli",
)
"""From the ground up. `plugins` and `assets` are single modules."""

SELF_CONTAINED = {
    "model": (),
    "imaging": ("model",),
    "httpd": ("model", "telemetry", "concurrency"),
    "conformance": ("model", "telemetry"),
}
"""Rooms that may import less than what lies below them."""

HTTP = ("twisted.web", "klein", "treq", "werkzeug", "multipart")
DISK = ("os", "pathlib", "shutil", "tempfile", "fcntl", "twisted.python.filepath")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path): path for package in ("was_daemon", "storage_plugins") for path in (ROOT / package).rglob("*.py")
}
PLUGIN_ROOMS = ("model", "telemetry", "concurrency", "config", "stores", "plugins")
"""What the plugins in `storage_plugins/` may import."""


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


def room_of(module: str) -> str:
    """The room of a module of was_daemon; "" for the package itself, which holds the version."""
    return module.split(".")[1] if "." in module else ""


def ours(names: set[str]) -> set[str]:
    return {name for name in names if is_in(name, ("was_daemon",))}


def below(room: str) -> list[str]:
    found = [module for module in SOURCES if is_in(module, (f"was_daemon.{room}",))]
    assert found, f"there is no {room}"
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


@pytest.mark.parametrize("module", sorted(name for name in SOURCES if is_in(name, ("was_daemon",))))
def test_a_module_imports_only_what_lies_below_its_room(module: str) -> None:
    room = room_of(module)
    if not room:
        assert not ours(imports_of(module))
        return
    assert room in ROOMS, f"{module} is in no room"
    allowed = (*SELF_CONTAINED.get(room, ROOMS[: ROOMS.index(room)]), room, "")
    assert {name for name in ours(imports_of(module)) if room_of(name) not in allowed} == set()


def test_nothing_but_the_rooms_lies_at_the_root() -> None:
    assert {path.stem for path in (ROOT / "was_daemon").glob("*.py")} <= {"__init__", "assets", "plugins"}


@pytest.mark.parametrize("package", sorted({path.parent for path in SOURCES.values()} - {ROOT / "storage_plugins"}))
def test_a_package_says_what_belongs_in_it(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8")))
    assert docstring, f"{package} says nothing"


@pytest.mark.parametrize("plugin", sorted(name for name in SOURCES if is_in(name, ("storage_plugins",))))
def test_a_plugin_knows_no_other_plugin_and_nothing_of_the_daemon(plugin: str) -> None:
    names = imports_of(plugin)
    assert {name for name in names if is_in(name, ("storage_plugins",))} <= {"storage_plugins"}
    assert {name for name in ours(names) if room_of(name) not in PLUGIN_ROOMS} == set()


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "examples" / "storage_plugins").glob("*.py")), ids=lambda path: path.stem
)
def test_an_example_of_a_plugin_imports_only_what_is_promised_to_stay(path: Path) -> None:
    tree = ast.walk(ast.parse(path.read_text("utf-8")))
    assert ours({str(node.module) for node in tree if isinstance(node, ast.ImportFrom)}) == {"was_daemon.plugins"}


def test_only_the_search_for_plugins_imports_them() -> None:
    users = {module for module in SOURCES for name in imports_of(module) if is_in(name, ("storage_plugins",))}
    assert {user for user in users if is_in(user, ("was_daemon",))} <= {"was_daemon.config.plugins"}


def test_no_module_imports_itself_by_way_of_others() -> None:
    imports = {module: imports_of(module) for module in SOURCES}
    graph = {module: {name for name in names if name in SOURCES} for module, names in imports.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(SOURCES)


@pytest.mark.parametrize(
    "module", ["was_daemon.model.errors", "was_daemon.model.tokens", "was_daemon.model.keys", "was_daemon.imaging"]
)
def test_what_is_pure_needs_no_reactor(module: str) -> None:
    assert not any(is_in(name, ("twisted", "treq", "klein")) for name in reached_from(module))


@pytest.mark.parametrize("room", ["assets", "derivatives", "workers", "library", "jobs", "model"])
def test_the_use_cases_know_no_http(room: str) -> None:
    assert not {(module, name) for module in below(room) for name in imports_of(module) if is_in(name, HTTP)}


@pytest.mark.parametrize("room", ["web", "assets"])
def test_the_web_knows_no_disk(room: str) -> None:
    assert not {(module, name) for module in below(room) for name in imports_of(module) if is_in(name, DISK)}


@pytest.mark.parametrize("module", ["was_daemon.imaging.render", "was_daemon.imaging.metadata"])
def test_what_reads_files_in_a_worker_does_not_import_twisted(module: str) -> None:
    assert not any(is_in(name, ("twisted",)) for name in reached_from(module))
    code = f"import sys, {module}; sys.exit('twisted' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
