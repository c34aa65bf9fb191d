"""The file constraints.txt: what the program needs, in one version each, and nothing that is not known by its hash."""

import re
import tomllib
from importlib.metadata import distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.paths import ROOT

TEXT = (ROOT / "constraints.txt").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def pins() -> list[tuple[Requirement, str]]:
    """What the file asks for, each with the options that follow it."""
    lines = re.sub(r"^ *#.*\n", "", TEXT, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    parts = (line.partition(" --") for line in lines)
    return [(Requirement(requirement), f"{dashes}{options}") for requirement, dashes, options in parts]


def pinned(python: str, machine: str) -> dict[str, str]:
    """The versions, by name, on one kind of machine; fails when something has two."""
    found: dict[str, str] = {}
    for requirement, _ in pins():
        if applies(requirement, python, machine):
            name = canonicalize_name(requirement.name)
            assert name not in found
            (specifier,) = requirement.specifier
            found[name] = specifier.version
    return found


def applies(requirement: Requirement, python: str, machine: str, extra: str = "") -> bool:
    here = {"python_version": python, "python_full_version": f"{python}.9", "platform_machine": machine}
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "implementation_name": "cpython"}
    return not requirement.marker or requirement.marker.evaluate({**here, **linux, "extra": extra})


def needed() -> list[Requirement]:
    """What pyproject.toml says the program needs, with all extras but the developers' own."""
    extras = {name: given for name, given in PROJECT["optional-dependencies"].items() if name != "dev"}
    return [
        Requirement(line) for line in (*PROJECT["dependencies"], *(line for each in extras.values() for line in each))
    ]


def test_everything_is_in_one_version_known_by_its_hashes() -> None:
    assert len(pins()) > len(needed())
    for requirement, options in pins():
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", requirement
        assert _HASH.findall(options), requirement
        assert _HASH.sub("", options).strip() == "", requirement


def test_no_host_and_no_place_is_named() -> None:
    assert not re.search(r"://|@|index|find-links|trusted", TEXT)
    assert "/" not in TEXT.replace("(pyproject.toml)", "")


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
def test_what_pyproject_asks_for_is_there_in_a_version_that_it_allows(python: str, machine: str) -> None:
    versions = pinned(python, machine)
    for requirement in needed():
        name = canonicalize_name(requirement.name)
        assert name in versions, f"run make constraints: {name} is missing"
        assert requirement.specifier.contains(versions[name], prereleases=True), f"run make constraints: {requirement}"


@pytest.mark.parametrize("python", PYTHONS)
def test_what_these_ask_for_is_there_too(python: str) -> None:
    versions = pinned(python, "x86_64")
    waiting = [(canonicalize_name(each.name), frozenset(each.extras)) for each in needed()]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for requirement in asked_by(name, versions[name]):
            if any(applies(requirement, python, "x86_64", extra) for extra in (*extras, "")):
                other = canonicalize_name(requirement.name)
                assert requirement.specifier.contains(versions[other]), f"{name} asks for {requirement}"
                waiting.append((other, frozenset(requirement.extras)))


def asked_by(name: str, version: str) -> list[Requirement]:
    """What a package asks for, if it is installed here in that version."""
    found = distribution(name)
    return [Requirement(line) for line in found.requires or ()] if found.version == version else []


def test_it_is_made_for_the_oldest_python_that_the_project_allows() -> None:
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert f"--python-version {oldest} " in (ROOT / "Makefile").read_text("utf-8")
    assert PYTHONS[0] == oldest


@pytest.mark.parametrize(
    "file", ["etc/dist/one-file.sh", "etc/dist/deb.sh", "etc/docker/Dockerfile", "docs/install.md"]
)
def test_it_is_what_releases_are_made_of(file: str) -> None:
    text = (ROOT / file).read_text("utf-8").replace("\\\n", " ")
    commands = re.findall(r"pip (?:--isolated |--python \S+ )?(?:install|wheel) [^&\n]*", text)
    assert any("--require-hashes" in each and "constraints" in each for each in commands)
    for each in commands:
        assert re.search("--require-hashes|--no-index|--no-deps", each), each
