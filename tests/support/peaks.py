"""`was-daemon` and what it took: time and memory."""

import subprocess
import sys
import time
from pathlib import Path

import attrs

from tests.support.cli import write_config
from tests.support.daemon import clean_environment
from tests.support.paths import ROOT

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


def numbered_config(directory: Path, count: int) -> Path:
    """A configuration with a store of `count` computed assets, `main`, another, `same`, and one with none, `empty`."""
    counts = {"main": count, "same": count, "empty": 0}
    return write_config(
        directory,
        {name: {"plugin": "numbered", "count": number} for name, number in counts.items()},
        collections={"store": "main"},
        plugins={"path": [ROOT / "tests"]},
        checksums={"path": directory / "checksums.sqlite"},
    )


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
