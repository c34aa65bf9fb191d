"""Output of workers in the log: what image libraries print about broken files."""

from twisted.logger import Logger

_MAX_LINES = 10
"""Lines for one job that are logged."""

_MAX_BYTES = 1000
"""Bytes of a line; the rest is another line."""


class WorkerOutput:
    """Output of one worker, each line logged with the name of the asset that the worker read.

    C libraries write a line in pieces. The last lines for a job may arrive after its answer, but before the next job
    has begun to write.
    """

    _log = Logger()

    def __init__(self) -> None:
        self._asset: str | None = None
        self._rest = b""
        self._count = 0

    def begin(self, asset: str | None) -> None:
        """Begin a job; `asset` is the name of the file, None when it is of no importance."""
        self.end()
        self._asset = asset

    def add(self, data: bytes) -> None:
        """Log the lines that are complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._log_line(line)
        while len(self._rest) >= _MAX_BYTES:
            self._log_line(self._rest[:_MAX_BYTES])
            self._rest = self._rest[_MAX_BYTES:]

    def end(self) -> None:
        """Log the last line of a job, and how many were too many."""
        self._log_line(self._rest)
        if self._count > _MAX_LINES:
            self._log.info(
                "{source}: {more} more lines are not logged", source=str(self), more=self._count - _MAX_LINES
            )
        self._rest, self._count = b"", 0

    def _log_line(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        if not text:
            return
        self._count += 1
        if self._count <= _MAX_LINES:
            self._log.info("{source}: {line}", source=str(self), line=text[:_MAX_BYTES])

    def __str__(self) -> str:
        """Return what begins a line in the log."""
        return f"Worker output for {self._asset}" if self._asset else "Worker output"
