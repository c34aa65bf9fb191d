"""Mistakes by which the last reload has failed, kept in a file for the console. Everything here blocks."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_NAME = "reload.json"


def keep_mistakes(directory: Path, mistakes: Sequence[str]) -> None:
    """Keep the mistakes in `directory`, which the daemon has made if it has a console; with none, forget those there.

    The log has them, too, so it is no failure if they cannot be written.
    """
    file = directory / _NAME
    with suppress(OSError):
        if not mistakes:
            file.unlink(missing_ok=True)
        elif directory.is_dir():
            draft = file.with_name(f"{_NAME}.new")
            draft.write_text(json.dumps(list(mistakes)), "utf-8")
            draft.replace(file)


def kept_mistakes(directory: Path) -> list[str]:
    """Return a sentence for each mistake that keeps the configuration from being used; none if it is in use."""
    try:
        mistakes = json.loads((directory / _NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return [
        f"The configuration has a mistake, so the old one stays in use, and a restart would fail: {mistake}"
        for mistake in mistakes
    ]
