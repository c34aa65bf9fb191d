"""`python -m bench [NAME...]`: measure, beside public tools in the same run, and print one table."""

import sys
import tempfile
from pathlib import Path

from bench.deletes import deletes
from bench.gallery import gallery
from bench.report import report

_BENCHES = {"gallery": gallery, "deletes": deletes}


def main() -> None:
    """Run the benches that are named on the command line, or all."""
    with tempfile.TemporaryDirectory(prefix="was-bench-") as directory:
        names = sys.argv[1:] or list(_BENCHES)
        figures = [figure for name in names for figure in _BENCHES[name](Path(directory) / name)]
    report(figures, Path("bench.json"))


main()
