"""The commands in docs/commands.md work as they are printed."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import run
from tests.support.daemon import BIN, Daemon, clean_environment
from tests.support.images import jpeg
from tests.support.paths import ROOT
from tests.support.trashed import put_into_trash
from was_daemon.cli.main import main

GUIDE = (ROOT / "docs" / "commands.md").read_text("utf-8")
_ENDLESS = "was-daemon serve"
EXAMPLES = re.findall(r"^## `(was-daemon [^`]+)`\n.*?```sh\n(.*?)```", GUIDE, re.MULTILINE | re.DOTALL)
SETTINGS = """
KEY = 'a key of the guide'
HOST = 'localhost'
PORT = 8080
BASE_DIR = '/srv/attachments'
COLLECTION_DIRS = None
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon whose configuration and key are called as in the guide."""
    directory = tmp_path_factory.mktemp("guide")
    (directory / "key").write_text("a key of the guide\n")
    stores = {name: {"plugin": "filesystem", "path": directory / name} for name in ("main", "nas", "kept", "far")}
    mirror = {"plugin": "mirror", "primary": "kept", "copies": ["far"], "journal": directory / "journal"}
    put_into_trash(directory / "main", "6e0c0e9c-2f5b-4a51-9d5e-0c9a8f5fbb8e.jpg")
    server = {"key": None, "key_file": directory / "key"}
    daemon = Daemon(
        directory,
        {
            "server": server,
            "stores": {**stores, "both": mirror},
            "admin": {"password_file": directory / "console-password"},
            "catalogue": {"path": directory / "catalogue.sqlite"},
            "specify.fish": {"min_rows": 0},
        },
    ).start()
    yield daemon
    daemon.stop()


FINITE = {command: example for command, example in EXAMPLES if command != _ENDLESS}


@pytest.mark.slow
@pytest.mark.parametrize("command", FINITE)
def test_the_example_of_each_command_works(daemon: Daemon, tmp_path: Path, command: str) -> None:
    example = FINITE[command]
    assert example.startswith(command)
    if command not in ("was-daemon init", "was-daemon import-settings"):
        for file in ("was.toml", "key"):
            (tmp_path / file).write_bytes((daemon.directory / file).read_bytes())
    (tmp_path / "settings.py").write_text(SETTINGS)
    (tmp_path / "images.sql").write_text("CREATE TABLE `images` (`id` int);")
    if command == "was-daemon find":
        (daemon.directory / "main" / "originals" / "IMG_8032.jpg").write_bytes(jpeg())
        assert run("catalogue", "rebuild", "--config", daemon.config_file).code == 0
    (tmp_path / "attachments.csv").write_text("AttachmentID,AttachmentLocation\n")
    here = example.replace("/etc/was-daemon/key", "key")
    if command == "was-daemon check":
        here = here.replace("https://assets.example.org", daemon.url)
    finished = subprocess.run(
        ["bash", "-e", "-c", here],
        cwd=tmp_path,
        env=clean_environment({"PATH": f"{BIN}:/usr/bin:/bin"}),
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_the_guide_tells_about_every_command() -> None:
    groups = {
        "catalogue": ["backup", "import", "rebuild"],
        "config": ["check"],
        "fixity": ["report", "accept"],
        "mirror": ["verify", "repair"],
        "specify": ["read"],
        "thumbnails": ["warm", "prune"],
        "trash": ["list", "restore", "empty"],
        "zoom": ["warm", "prune"],
    }
    names = main.commands.keys() - groups | {f"{group} {name}" for group, within in groups.items() for name in within}
    assert {f"was-daemon {name}" for name in names} == {command for command, _ in EXAMPLES}


def test_the_guides_links_lead_somewhere() -> None:
    anchors = {
        re.sub(r"[^a-z -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)", GUIDE, re.M)
    }
    targets = re.findall(r"\]\(#([^)]+)\)", GUIDE)
    assert targets
    assert set(targets) <= anchors
