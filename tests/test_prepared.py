"""Prepared processes are like others."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.prepared import Prepared, can_run, run

TELLING = """import os, sys, tempfile
print(__name__, sys.argv[1:], os.getcwd(), sorted(os.environ.items()), tempfile.gettempdir(), end=" ")
print(os.listdir("/proc/self/fd"))
print([name for name in sys.modules if name.startswith(("was_daemon", "storage_plugins"))])
print("twisted.internet.reactor" in sys.modules, "twisted.internet.defer" in sys.modules, file=sys.stderr)
sys.exit(7)
"""
ENDLESS = "import time\ntime.sleep(600)\n"


def script(directory: Path, code: str) -> Path:
    path = directory / "script"
    path.write_text(code)
    return path


def test_a_process_has_its_arguments_its_place_and_its_environment_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    environ = {"A": "ü", "TMPDIR": str(tmp_path / "temporary")}
    ended = run([script(tmp_path, TELLING), "b", "c d"], environ, tmp_path)
    told, ours = ended.stdout.splitlines()
    assert told.startswith(f"__main__ ['b', 'c d'] {tmp_path} {sorted(environ.items())} {tmp_path / 'temporary'} ")
    # What it lists the directory with is the fourth.
    assert told.endswith("['0', '1', '2', '3']")
    assert ours == "[]"
    assert ended.stderr == "False True\n"
    assert ended.returncode == 7


def test_an_error_is_a_traceback_and_a_failure(tmp_path: Path) -> None:
    ended = run([script(tmp_path, "raise ValueError('no')")], {}, tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.endswith("ValueError: no\n")


def test_processes_end_one_by_one_by_the_signals_they_are_sent(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        first, second = (
            Prepared([script(tmp_path, ENDLESS)], tmp_path, {}, log, log, start_new_session=True) for _ in range(2)
        )
    assert first.poll() is second.poll() is None
    second.kill()
    assert second.wait(60) == -signal.SIGKILL
    with pytest.raises(subprocess.TimeoutExpired):
        first.wait(0)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == -signal.SIGTERM
    first.kill()
    assert first.poll() == -signal.SIGTERM


def test_what_an_interpreter_reads_at_its_start_is_not_changed_later() -> None:
    assert can_run({"ATTACHMENT_KEY": "a", "TMPDIR": "/tmp"})
    for name in ("PYTHONPATH", "PYTHONUTF8", "LANG", "LC_ALL"):
        assert not can_run({name: "a"})
