"""The commands by which an administrator who has used pip upgrades, and goes back."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.daemon import clean_environment
from tests.support.guides import page, tried
from tests.support.paths import ROOT

(COMMANDS,) = tried(page("upgrade.md"), "tests/docs/test_upgrade_by_pip.py")


def make_dist(directory: Path, version: str) -> Path:
    """Make a `dist` directory of a version, whose dependencies are all there."""
    source, dist = directory / f"source-{version}", directory / f"dist-{version}"
    for name in ("was_daemon", "storage_plugins", "twisted"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "was_daemon/__init__.py").write_text(f'__version__ = "{version}"\n')
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", dist]
    subprocess.run([*build, source], check=True, env=clean_environment())
    (dist / "constraints.txt").touch()
    return dist


@pytest.mark.slow
def test_the_commands_install_the_new_version_and_the_old_one_again(tmp_path: Path) -> None:
    virtual = tmp_path / "opt/was-daemon"
    subprocess.run([sys.executable, "-m", "venv", virtual], check=True)
    (site,) = virtual.glob("lib/python3*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    standins = tmp_path / "standins"
    standins.mkdir()
    (standins / "systemctl").symlink_to("/bin/true")
    environment = clean_environment({"PATH": f"{standins}:{os.environ['PATH']}"})
    old, new = (make_dist(tmp_path, version) for version in ("2.3.4", "2.4.0"))
    for dist in (old, new, old):
        here = COMMANDS.replace("/opt/was-daemon/", f"{virtual}/")
        subprocess.run(["bash", "-euc", here], cwd=dist, env=environment, check=True, capture_output=True)
        said = subprocess.run([virtual / "bin/was-daemon", "--version"], capture_output=True, text=True, check=True)
        assert dist.name.partition("-")[2] in said.stdout
