"""What a test needs of the machine."""

import os
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
