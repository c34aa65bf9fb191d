"""The table that `make bench` prints: what was measured, beside a public tool, and what is to be reached."""

import json
from collections.abc import Iterable
from pathlib import Path

import attrs


@attrs.frozen
class Figure:
    """One line. `ours` and `yardstick` are in `unit`; `ratio` is what `target` speaks of."""

    what: str
    unit: str
    ours: float
    yardstick: str
    theirs: float | None
    ratio: float | None
    target: str


def report(figures: Iterable[Figure], file: Path) -> None:
    """Print the figures and write them to `file` as JSON."""
    rows = [("figure", "ours", "yardstick", "ratio", "target")]
    kept = list(figures)
    for figure in kept:
        theirs = f"{figure.yardstick}: {figure.theirs:.4g}" if figure.theirs is not None else figure.yardstick
        ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else ""
        rows.append((figure.what, f"{figure.ours:.4g} {figure.unit}", theirs, ratio, figure.target))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    file.write_text(json.dumps([attrs.asdict(figure) for figure in kept], indent=2) + "\n")
