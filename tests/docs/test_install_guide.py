"""Commands of docs/install.md that change the system, with their directories in another place."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import BIN, clean_environment
from tests.support.needs import require
from tests.support.paths import ROOT

STANDINS = ("apt-get", "systemctl", "curl")
"""Commands of the guide that tests may not call."""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A directory that stands for `/`."""
    for name in ("etc/systemd/system", "usr/share/bash-completion/completions", "usr/local/bin", "opt/was-daemon"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "opt/was-daemon/bin").symlink_to(BIN)
    (tmp_path / "standins").mkdir()
    for name in STANDINS:
        (tmp_path / "standins" / name).symlink_to("/bin/true")
    return tmp_path


def follow(section: str, machine: Path) -> None:
    """Run the block of a section that the guide says is tried."""
    text = (ROOT / "docs/install.md").read_text("utf-8")
    (block,) = re.findall(
        rf"^## {section}\n(?:(?!^## ).*\n)*?<!-- tried: tests/docs/test_install_guide\.py .*\n```sh\n([^`]*)```",
        text,
        re.M,
    )
    commands = re.sub(r"(?<=[ >])/(?=etc/|usr/|opt/)", f"{machine}/", block)
    environ = clean_environment({"PATH": f"{machine}/standins:{os.environ['PATH']}"})
    ran = subprocess.run(["bash", "-euc", commands], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_service_may_write_to_the_attachments(machine: Path) -> None:
    require(shutil.which("systemd-analyze"), "systemd-analyze")
    follow("The service", machine)
    unit = machine / "etc/systemd/system/was-daemon.service"
    assert "ReadWritePaths=/srv/attachments" in (unit.parent / "was-daemon.service.d/attachments.conf").read_text()
    unit.write_text(unit.read_text().replace("/opt/was-daemon/bin", str(BIN)))
    ran = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_bash_completes_commands_and_options(machine: Path) -> None:
    for _again in range(2):
        follow("Tab completion", machine)
    shell = """
    source "$1"
    complete -p was-daemon
    COMP_WORDS=(was-daemon check) COMP_CWORD=1
    _was_daemon_completion was-daemon
    echo "${COMPREPLY[@]}"
    COMPREPLY=() COMP_WORDS=(was-daemon check-store --co) COMP_CWORD=2
    _was_daemon_completion was-daemon
    echo "${COMPREPLY[@]}"
    """
    script = machine / "usr/share/bash-completion/completions/was-daemon"
    environ = clean_environment({"PATH": f"{machine}/usr/local/bin:/usr/bin:/bin"})
    ran = subprocess.run(["bash", "-c", shell, "bash", script], env=environ, capture_output=True, text=True, check=True)
    registered, commands, options = ran.stdout.splitlines()
    assert registered == "complete -o nosort -F _was_daemon_completion was-daemon"
    assert commands.split() == ["check", "check-store"]
    assert options.split() == ["--collection", "--config"]
