"""Interface of the reports that jobs write."""

from typing import Protocol


class JobReport(Protocol):
    """Report of a running job: the number of files in each state, and a line about some of them."""

    def count(self, state: str, number: int = 1) -> None:
        """Count `number` files whose state is `state`."""

    def describe(self, state: str, path: str, reason: str) -> None:
        """Count one file and list it; `path` is its path in the flat layout, `reason` may be empty."""
