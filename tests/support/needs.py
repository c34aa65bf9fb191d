"""What a test needs of the machine."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import pytest


def lacking(reason: str) -> NoReturn:
    """Skip the test, but fail under CI, where all there is must be tested."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def require(found: object, what: str) -> None:
    """Skip the test when `what` is missing, but fail under CI."""
    if not found:
        lacking(f"{what} is not installed")


def require_reach() -> None:
    """Skip the test when other users may not enter the directory of the program, as below one of `mktemp -d`.

    A test that has them run the program needs that; under CI, fail.
    """
    closed = [each for each in Path(sys.prefix).parents if not each.stat().st_mode & 0o001]
    if closed:
        lacking(f"other users may not enter {closed[0]}, so they cannot run the program in it")
