"""Memory that was freed is used again, and not asked of the system anew."""

import platform
import resource
import subprocess
import sys

import pytest

from was_daemon.daemon.allocator import keep_freed_memory

PIECE = 1 << 20
AT_ONCE, TURNS = 4, 200
THREADS = 16
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


IN_THREADS = f"""
import resource
from threading import Barrier, Thread
from was_daemon.daemon.allocator import keep_freed_memory
{{prepare}}

def work():
    # While all are there each may have a heap of its own.
    here.wait()
    for _ in range(20):
        bytearray({PIECE})
    here.wait()

here = Barrier({THREADS})
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
threads = [Thread(target=work) for _ in range({THREADS})]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_taken(prepare: str, script: str = MEASURED) -> int:
    """How many pages a process takes for pieces that it frees again, one after another."""
    script = script.format(prepare=prepare)
    return int(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such choice")
def test_pieces_are_made_of_the_pages_of_those_before() -> None:
    once = AT_ONCE * PIECE // PAGE
    assert pages_taken(f"{keep_freed_memory.__name__}()") < 2 * once
    # Otherwise, this test would show nothing.
    assert pages_taken("") > TURNS // 2 * once


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such choice")
def test_a_thread_uses_what_others_have_freed() -> None:
    pages = pages_taken(f"{keep_freed_memory.__name__}()", IN_THREADS)
    # A heap of its own would take the pages of one piece for each thread.
    assert pages < THREADS // 2 * PIECE // PAGE
