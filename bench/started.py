"""Daemons as whoever uses them starts them; those of the tests are forked from a process that has the libraries."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.daemon import Daemon


def daemon(directory: Path, config: Mapping[str, Mapping[str, Any]] | None = None) -> Daemon:
    """A daemon in a process of its own from the first import on, not started yet."""
    return Daemon(directory, config, wrapper=["/usr/bin/env"])
