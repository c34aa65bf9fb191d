"""Facts that a worker tells, whatever it writes."""

import io
import os
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import fail, succeed

from was_daemon.jobs.facts import FactsReader
from was_daemon.model.errors import BrokenImage, Overloaded
from was_daemon.model.facts import NO_FACTS


class Pool:
    """A pool whose workers write `content`, or fail."""

    def __init__(self, content: bytes, error: Exception | None = None) -> None:
        self._content = content
        self._error = error

    def submit(self, command: object, client: str, files: list[Any], background: bool, **arguments: Any) -> Any:
        assert background
        os.pwrite(files[1].fileno(), self._content, 0)
        done = fail(self._error) if self._error else succeed({"length": len(self._content)})
        return SimpleNamespace(done=done)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    "content", [b"", b"no JSON", b"[]", b"{}", b"[" * 100_000, b'{"metadata": [], "pages": [[1]]}']
)
async def test_a_worker_that_a_file_has_taken_over_tells_nothing(content: bytes) -> None:
    reader = FactsReader(Pool(content))  # type: ignore[arg-type]
    assert await reader.read(io.BytesIO(b""), "a.jpg") == NO_FACTS  # type: ignore[arg-type]


@pytest_twisted.ensureDeferred
async def test_a_file_that_breaks_workers_has_no_facts() -> None:
    reader = FactsReader(Pool(b"", BrokenImage("reading the file ended the process that tried it")))  # type: ignore[arg-type]
    assert await reader.read(io.BytesIO(b""), "a.jpg") == NO_FACTS  # type: ignore[arg-type]


@pytest_twisted.ensureDeferred
async def test_too_much_work_is_no_fact() -> None:
    reader = FactsReader(Pool(b"", Overloaded("too many thumbnails are being made")))  # type: ignore[arg-type]
    with pytest.raises(Overloaded):
        await reader.read(io.BytesIO(b""), "a.jpg")  # type: ignore[arg-type]
