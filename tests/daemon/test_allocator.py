"""Memory that was freed is used again, and not asked of the system anew."""

import platform
import resource
import subprocess
import sys

import pytest

from was_daemon.daemon.allocator import keep_freed_memory

PIECE = 1 << 20
AT_ONCE, TURNS = 4, 200
PAGE = resource.getpagesize()

MEASURED = f"""
import resource
from was_daemon.daemon.allocator import keep_freed_memory
{{prepare}}
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({TURNS}):
    pieces = [bytearray({PIECE}) for _ in range({AT_ONCE})]
    del pieces
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_taken(prepare: str) -> int:
    """How many pages a process takes for pieces that it frees again, one after another."""
    script = MEASURED.format(prepare=prepare)
    return int(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such choice")
def test_pieces_are_made_of_the_pages_of_those_before() -> None:
    once = AT_ONCE * PIECE // PAGE
    assert pages_taken(f"{keep_freed_memory.__name__}()") < 2 * once
    # Otherwise, this test would show nothing.
    assert pages_taken("") > TURNS // 2 * once
