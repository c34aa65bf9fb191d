"""The README's tour works as it is printed."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.support.daemon import Daemon, clean_environment
from tests.support.paths import ROOT


def tour() -> str:
    """The commands of the README's tour."""
    block = re.search(r"<!-- tour:.*?```sh\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert block
    return block[1]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon like the one that `make run` starts, but for the port."""
    attachments = tmp_path / "attachments"
    attachments.mkdir()
    (attachments / ".key").write_text("the tour's key\n")
    daemon = Daemon(
        tmp_path,
        {
            "server": {"key": None, "key_file": attachments / ".key"},
            "stores": {"main": {"plugin": "filesystem", "path": attachments}},
        },
    )
    yield daemon.start()
    daemon.stop()


def test_every_command_of_the_tour_works(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    commands = tour().replace("http://localhost:8080", daemon.url)
    assert commands.count(daemon.url) == 5

    finished = subprocess.run(
        ["bash", "-e", "-u", "-o", "pipefail", "-c", commands],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        check=True,
        text=True,
    )

    with Image.open(tmp_path / "thumbnail.jpg") as thumbnail:
        assert max(thumbnail.size) == 123
    assert finished.stdout.startswith("Ok.[{")
    assert '"DateTimeOriginal": "2012:02:02 13:48:41"' in finished.stdout
    assert finished.stdout.endswith("]2012:02:02 13:48:41Ok.")
    assert not list((tmp_path / "attachments").rglob("felis-catus*"))
