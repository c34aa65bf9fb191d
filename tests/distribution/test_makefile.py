"""`make` on a machine that lacks something."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

OLD = (
    "exec "
    + sys.executable
    + """ -c 'import sys; sys.version_info = (3, 10, 12); exec(sys.argv[2])' "$@"
"""
)
NO_VENV = """
case "$2" in
    *ensurepip*) exit 1;;
esac
"""
FAILING_VENV = """
case "$1" in
    -c) exit 0;;
esac
mkdir -p "$3/bin"
touch "$3/bin/python"
exit 1
"""


@pytest.mark.parametrize(
    ("python", "said"),
    [
        (OLD, "Python 3.11 or later is needed"),
        (NO_VENV, "install python3-venv"),
        (FAILING_VENV, "Error 1"),
    ],
)
def test_a_python_that_will_not_do_leaves_nothing_half_made(tmp_path: Path, python: str, said: str) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "setup.py"):
        (tmp_path / name).touch()
    for name in ("was_daemon", "storage_plugins", "twisted"):
        (tmp_path / name).mkdir()
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{python}\n")
    fake.chmod(0o755)
    ran = subprocess.run(
        ["make", "run", f"PYTHON={fake}"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 2
    assert said in ran.stdout + ran.stderr
    assert not (tmp_path / ".venv").exists()
