"""Files in memory for workers, which can make them no larger: no limit of a worker counts them."""

import os

import pytest

from was_daemon.workers.memory_files import AnswerFile, in_memory


def test_an_answer_is_read_as_it_was_written() -> None:
    with AnswerFile(1000) as file:
        os.write(file.fileno(), b"an answer")
        assert file.content(9) == b"an answer"


@pytest.mark.parametrize("length", [-1, 1 << 62])
def test_whatever_length_is_told_no_more_is_read_than_there_is(length: int) -> None:
    with AnswerFile(1000) as file:
        assert len(file.content(length)) <= 1000


def test_an_answer_cannot_be_made_longer_than_it_may_be() -> None:
    with AnswerFile(1000) as file:
        for change in (
            lambda: os.pwrite(file.fileno(), b"x", 1000),
            lambda: os.ftruncate(file.fileno(), 1 << 30),
            lambda: os.posix_fallocate(file.fileno(), 0, 1 << 30),
        ):
            with pytest.raises(PermissionError):
                change()
        assert os.fstat(file.fileno()).st_size == 1000


def test_a_source_cannot_be_changed() -> None:
    with in_memory(b"a thumbnail") as file:
        assert file.read() == b"a thumbnail"
        for change in (lambda: os.pwrite(file.fileno(), b"x", 0), lambda: os.ftruncate(file.fileno(), 1 << 30)):
            with pytest.raises(PermissionError):
                change()
