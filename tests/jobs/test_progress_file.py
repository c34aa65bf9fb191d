"""Files in which commands tell how far they have come."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from was_daemon.jobs.progress_file import ProgressFile, read_progress


def test_the_progress_of_a_command_is_told_until_it_ends(tmp_path: Path) -> None:
    file = ProgressFile(tmp_path, "was-daemon copy", "Copying")
    # One of this process would be taken for a killed one's, if locks were a process's and not a file's.
    (found,) = read_progress(tmp_path)
    assert (found.command, found.title, found.done, found.total) == ("was-daemon copy", "Copying", 0, None)
    for _ in range(10_000):
        file.advance()
    file.set_total(20_000)
    (found,) = read_progress(tmp_path)
    assert (found.done, found.total) == (10_000, 20_000)
    file.close()
    assert read_progress(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_without_a_directory_a_command_works_all_the_same(tmp_path: Path) -> None:
    file = ProgressFile(tmp_path / "none", "was-daemon copy", "Copying")
    file.advance()
    file.set_total(5)
    file.close()
    assert read_progress(tmp_path / "none") == []


def test_what_a_killed_command_has_left_is_removed(tmp_path: Path) -> None:
    code = f"""
import os, pathlib, signal
from was_daemon.jobs.progress_file import ProgressFile
file = ProgressFile(pathlib.Path({str(tmp_path)!r}), "was-daemon copy", "Copying")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    assert read_progress(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"command": 1}', '{"a": 1}', "null", "é"])
def test_what_is_half_written_is_skipped(tmp_path: Path, text: str) -> None:
    with (tmp_path / "command-1").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(text)
        file.flush()
        assert read_progress(tmp_path) == []
    (tmp_path / "console-1.ring").touch()
    assert read_progress(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["console-1.ring"]
