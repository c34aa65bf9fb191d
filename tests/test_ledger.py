"""What is kept of quotas for a process that may be killed at any moment."""

import pytest

from tests.test_usage import counted
from was_daemon.errors import QuotaExceeded
from was_daemon.ledger import Ledger
from was_daemon.usage import Usage


class Kept:
    """A ledger for another process, in a collection that has 40 of 100 bytes, and what was told of doubts."""

    def __init__(self) -> None:
        self.usage = counted(100, 40)
        self.doubts: list[Usage] = []
        self.ledger = Ledger({"Fish": self.usage}.get, self.doubts.append)

    def begin(self, replaced: int, size: int, room: int | None = None) -> str | None:
        """A change is about to be made."""
        about = {"change": 7, "directory": "Fish", "replaced": replaced, "size": size, "room": room}
        return self.ledger.heed("begin", about)

    def reserve(self, size: int, directory: str = "Fish") -> str | None:
        """Room is asked for."""
        return self.ledger.heed("reserve", {"room": 1, "directory": directory, "replaced": 0, "size": size})


def test_another_process_is_told_why_it_is_refused() -> None:
    kept = Kept()
    assert kept.reserve(61) == "the upload does not fit into the collection's quota of 100 bytes"
    assert kept.reserve(60) is None
    assert kept.ledger.heed("cover", {"room": 1, "size": 61})
    assert kept.begin(0, 61, 1)
    assert kept.ledger.heed("end", {"change": 7, "happened": False}) is None
    assert kept.begin(0, 60) is None
    assert kept.ledger.heed("end", {"change": 7, "happened": True}) is None
    assert kept.usage.used == 100


def test_what_is_not_there_is_none_of_its_business() -> None:
    kept = Kept()
    assert kept.reserve(1000, "Birds") is None
    assert kept.ledger.heed("cover", {"room": 1, "size": 2000}) is None
    assert kept.ledger.heed("release", {"room": 1}) is None
    assert kept.ledger.heed("end", {"change": 7, "happened": True}) is None
    assert kept.usage.used == 40


@pytest.mark.parametrize(("replaced", "size", "used"), [(0, 60, 100), (40, 0, 40)])
def test_nobody_gets_what_a_killed_process_may_have_taken_until_that_is_counted(
    replaced: int, size: int, used: int
) -> None:
    kept = Kept()
    kept.begin(replaced, size)
    kept.ledger.forget()
    assert kept.usage.used == used
    assert kept.doubts == [kept.usage]
    with pytest.raises(QuotaExceeded):
        kept.usage.room(0, 100 - used + 1)
    kept.usage.begin_count()
    kept.usage.end_count(0)
    kept.usage.room(0, 100)
    kept.ledger.forget()
    assert len(kept.doubts) == 1


def test_the_room_that_was_kept_for_a_killed_process_is_free_at_once() -> None:
    kept = Kept()
    kept.reserve(60)
    kept.ledger.forget()
    assert not kept.doubts
    kept.usage.room(0, 60)
