"""Further processes end with their parent."""

import os
import subprocess

import pytest

from was_daemon.concurrency.child_processes import command, module_path

_CHILD = """
import sys
from was_daemon.concurrency.child_processes import end_with_parent
sys.stdin.readline()
end_with_parent(int(sys.argv[1]))
print("lives", flush=True)
"""
_PARENT = """
import os, subprocess, sys
child = subprocess.Popen([*sys.argv[2:], str(os.getpid())])
if sys.argv[1] == "stays":
    child.wait()
"""


@pytest.mark.parametrize(("parent", "told"), [("stays", b"lives\n"), ("ends", b"")])
def test_a_process_whose_parent_ended_while_it_started_ends_too(parent: str, told: bytes) -> None:
    environment = {**os.environ, "PYTHONPATH": module_path()}
    arguments = command(_PARENT, parent, *command(_CHILD))
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        if parent == "ends":
            process.wait(60)
        assert process.communicate(b"\n", 60) == (told, None)
