"""`was-daemon` and what it took: time and memory."""

import subprocess
import sys
import time
from pathlib import Path

import attrs

from tests.daemon import clean_environment

_MEASURED = """
import re, sys
from pathlib import Path
from was_daemon.cli.main import main
try:
    main()
finally:
    print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""
"""What waitid tells of the peak includes what the parent had when it began the process; this does not."""


@attrs.frozen
class Measured:
    """How a command ended; `seconds` it took, and at most `peak` bytes of memory."""

    code: int
    out: str
    seconds: float
    peak: int


def measured(*arguments: str | Path, timeout: float = 120) -> Measured:
    """Run the command to its end, with nobody to look at its progress."""
    begin = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-c", _MEASURED, *arguments],
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    seconds = time.perf_counter() - begin
    assert ran.stderr.rstrip().rpartition("\n")[2].isdigit(), ran.stderr
    return Measured(ran.returncode, ran.stdout, seconds, int(ran.stderr.split()[-1]) * 1024)
