"""What image libraries print in a worker is in the log, in whole lines, with the asset that it is about."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from tests.support.images import chart, damaged, encode
from tests.support.processes import eventually, worker_pids
from was_daemon.model.errors import BrokenImage
from was_daemon.workers.commands import Render
from was_daemon.workers.output import WorkerOutput
from was_daemon.workers.pool import WorkerPool


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Lines of the log about the output of workers, as they are written."""
    found: list[str] = []

    def observe(event: LogEvent) -> None:
        line = formatEvent(event)
        if line.startswith("Worker output"):
            found.append(line)

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


def test_a_line_in_pieces_is_one_line(lines: list[str]) -> None:
    output = WorkerOutput()
    output.begin("a.tif")
    for piece in (b"TIFFFillStrip", b": ", b"Read error, K\xc3", b"\xa4fer", b".\n", b".", b"\n\nlast"):
        output.add(piece)
    assert lines == ["Worker output for a.tif: TIFFFillStrip: Read error, Käfer.", "Worker output for a.tif: ."]
    output.end()
    assert lines[2:] == ["Worker output for a.tif: last"]


def test_of_many_lines_the_first_ten_are_logged_however_they_arrive(lines: list[str]) -> None:
    output = WorkerOutput()
    output.begin("a.tif")
    for number in range(200):
        output.add(f"warning {number}\n".encode())
    output.begin(None)
    output.add(b"x" * 2500)
    output.end()
    assert lines[:10] == [f"Worker output for a.tif: warning {number}" for number in range(10)]
    assert lines[10] == "Worker output for a.tif: 190 more lines are not logged"
    assert [len(line) for line in lines[11:]] == [1000 + 15, 1000 + 15, 500 + 15]


@pytest_twisted.ensureDeferred
async def test_what_a_library_prints_names_the_asset(tmp_path: Path, lines: list[str]) -> None:
    pool = WorkerPool(1, 60.0, 1 << 30, 10)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(damaged(encode(chart(), "TIFF", compression="zstd")))
    target.touch()
    order = {"scale": 100, "format": "PNG", "owner": "beetle.tif"}
    try:
        with source.open("rb") as original, target.open("r+b") as thumbnail, pytest.raises(BrokenImage):
            files = [original, thumbnail]
            await pool.submit(Render, "a", files, name="beetle.tif", outputs=[order], max_pixels=10**6).done
    finally:
        await pool.close()
        await eventually(lambda: not worker_pids())
    assert lines
    for line in lines:
        assert line.startswith("Worker output for beetle.tif: ZSTDDecode: ")
        assert line.endswith(".")
