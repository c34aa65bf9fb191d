"""Comparisons of many originals with many records."""

import json
from pathlib import Path

import pytest

from tests.support.cli import write_config
from tests.support.paths import ROOT
from tests.support.peaks import Measured, measured

FEW, MANY = 20_000, 100_000
ROOM = 24 << 20
"""Bytes: the cache of the temporary database, and less than a list of the names would take."""


def compare(directory: Path, count: int) -> Measured:
    """Compare so many computed originals with as many records, of which each thousandth is of another name."""
    directory.mkdir()
    config = write_config(
        directory, {"main": {"plugin": "numbered", "count": count}}, plugins={"path": [ROOT / "tests"]}
    )
    with (directory / "export.csv").open("w") as file:
        file.write("AttachmentID,AttachmentLocation,TableID\n")
        for number in range(count):
            file.write(f"{number + 1},{'lost' if number % 1000 == 0 else 'asset'}-{number:07}.jpg,1\n")
    return measured("reconcile", "--records", directory / "export.csv", "--config", config, "--json", timeout=1000)


@pytest.mark.slow
def test_a_comparison_takes_no_more_memory_for_more_originals(tmp_path: Path) -> None:
    peaks = []
    for count in (FEW, MANY):
        ran = compare(tmp_path / str(count), count)
        report = json.loads(ran.out)
        assert (report["missing"], report["orphaned"], report["thumbnail"]) == (
            count // 1000,
            count // 1000,
            count // 10,
        )
        peaks.append(ran.peak)
    assert peaks[1] < peaks[0] + ROOM, peaks
