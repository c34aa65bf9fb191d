"""What the Debian package is made of, without building it."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.cli import run
from tests.support.paths import ROOT

DEBIAN = ROOT / "etc" / "debian"
UNIT = (ROOT / "etc" / "was-daemon.service").read_text("utf-8").splitlines()


@pytest.mark.parametrize("script", ["debian/postinst", "debian/prerm", "debian/postrm", "dist/deb.sh"])
def test_the_scripts_are_for_any_shell(script: str) -> None:
    checked = subprocess.run(["sh", "-n", ROOT / "etc" / script], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_directories_are_those_that_the_unit_makes() -> None:
    modes = {line.split("=")[0].removesuffix("Mode"): line.split("=")[1] for line in UNIT if "DirectoryMode=" in line}
    lines = [line.split() for line in (DEBIAN / "tmpfiles.conf").read_text("utf-8").splitlines() if line[0] != "#"]
    assert lines == [
        ["d", "/var/lib/was-daemon", modes["StateDirectory"], "was-daemon", "was-daemon", "-"],
        ["d", "/var/cache/was-daemon", modes["CacheDirectory"], "was-daemon", "was-daemon", "-"],
    ]


def test_the_configuration_is_valid_and_leaves_open_what_only_the_administrator_knows(tmp_path: Path) -> None:
    made = subprocess.run([sys.executable, DEBIAN / "conffile.py"], check=True, capture_output=True, text=True).stdout
    assert '\n# public_url = "https://assets.example.org"\n' in made
    assert '\nkey_file = "$CREDENTIALS_DIRECTORY/key"\n' in made
    (tmp_path / "was.toml").write_text(made)
    (tmp_path / "key").write_text("a key for tests")
    (tmp_path / "key").chmod(0o600)
    checked = run("config", "check", "--config", tmp_path / "was.toml")
    assert checked.code == 0, checked
    assert "/var/lib/was-daemon/attachments" in checked.out
    assert '\nadmin_listen = ["tcp:9180:interface=127.0.0.1"]\n' in made
    assert '\npassword_file = "/etc/was-daemon/console-password"\n' in made


def test_it_depends_on_the_package_of_the_program_that_reloads_the_service() -> None:
    assert any(line.startswith("ExecReload=/bin/kill ") for line in UNIT)
    script = (ROOT / "etc" / "dist" / "deb.sh").read_text("utf-8")
    depends = next(line for line in script.splitlines() if line.startswith("Depends: "))
    assert " procps," in depends


def test_the_readme_has_lines_of_one_length_and_steps_without_gaps() -> None:
    text = (DEBIAN / "README.Debian").read_text("utf-8")
    assert [line for line in text.splitlines() if len(line) > 79] == []
    assert not re.search(r"\n\n[2-9]\. ", text)
    for paragraph in re.split(r"\n(?=\n|- |[0-9]\. )", text):
        lines = [line for line in paragraph.splitlines() if line and not line.startswith("    ")]
        for line, following in pairwise(lines):
            # The next word would not have had room.
            is_full = len(f"{line} {following.split()[0]}") > 72
            assert is_full or "===" in following or "---" in following, line


def test_a_daemon_in_the_foreground_gets_what_the_unit_gives_it() -> None:
    guide = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    (command,) = re.findall(r"^systemd-run .*", guide, re.MULTILINE)
    given = re.findall(r"--property=(\S+)", command)
    assert {each.partition("=")[0] for each in given} >= {"User", "LoadCredential"}
    assert [each for each in given if each not in UNIT] == []


def test_an_architecture_without_compiled_packages_is_refused(tmp_path: Path) -> None:
    script = ROOT / "etc" / "dist" / "deb.sh"
    ran = subprocess.run([script, "was_daemon-1-py3-none-any.whl", "hurd", tmp_path], capture_output=True, text=True)
    assert ran.returncode == 2
    assert "'hurd': use amd64 or arm64" in ran.stderr
    assert not list(tmp_path.iterdir())
