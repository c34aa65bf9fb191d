"""Commands that a guide prints, run as they are."""

import subprocess
from pathlib import Path

from tests.support.daemon import clean_environment


def start_commands(commands: str, directory: Path) -> subprocess.Popen[bytes]:
    """Start the commands of a guide in a shell and a session of their own; they write to the file `output`."""
    with (directory / "output").open("ab") as output:
        return subprocess.Popen(
            ["bash", "-e", "-c", commands],
            cwd=directory,
            env=clean_environment({"TMPDIR": str(directory)}),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
