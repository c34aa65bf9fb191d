"""The manual pages that the Debian package has, made from the guides."""

import re
import shutil
import subprocess
import sys

import click
import pytest

from tests.support.needs import require
from tests.support.paths import ROOT
from was_daemon.cli.main import main

GUIDE = (ROOT / "docs" / "configuration.md").read_text("utf-8")


def manual(name: str) -> str:
    """A page as a terminal shows it, its white space made single spaces."""
    require(shutil.which("groff"), "groff")
    source = subprocess.run(
        [sys.executable, ROOT / "etc" / "dist" / "manual.py", name], check=True, capture_output=True, text=True
    ).stdout
    shown = subprocess.run(
        ["groff", "-man", "-Tutf8", "-P-cbou", "-rLL=400n", "-rHY=0", "-ww"],
        input=source,
        check=True,
        capture_output=True,
        text=True,
    )
    assert shown.stderr == ""
    return " ".join(shown.stdout.split())


def commands(group: click.Group, *words: str) -> dict[str, click.Command]:
    """The commands in a group, by their whole names."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found |= commands(command, *words, name)
        else:
            found[" ".join([*words, name])] = command
    return found


@pytest.mark.slow
def test_all_commands_are_there_with_their_options() -> None:
    page = manual("was-daemon.1")
    for name, command in commands(main).items():
        assert f"Usage: was-daemon {name} " in page, name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.opts[0] in page, (name, parameter.opts)


@pytest.mark.slow
def test_all_settings_are_there_with_their_defaults() -> None:
    page = manual("was.toml.5")
    rows = re.findall(r"^\| `(\w+)`.* \| (`[^`]+`)?[^|]* \| ", GUIDE, re.M)
    assert len(rows) > 100
    for name, default in rows:
        assert name in page
        assert default.strip("`") in page
    assert "](" not in page
    assert "|" not in re.sub(r"\S+\|\S+", "", page)
