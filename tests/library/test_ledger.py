"""What is kept of quotas for a process that may be killed at any moment."""

import pytest

from tests.library.test_usage import counted
from was_daemon.library.ledger import Changes, Ledger
from was_daemon.model.errors import QuotaExceeded


class Kept:
    """A ledger for another process, in a collection that has 40 of 100 bytes, and what was told of doubts."""

    def __init__(self) -> None:
        self.usage = counted(100, 40)
        self.doubts: list[tuple[str, str]] = []
        under_way: Changes = {}
        self.ledger, self.other = (Ledger({"Fish": self.usage}.get, under_way, self.doubts.append) for _ in range(2))

    def begin(self, replaced: int, size: int, room: int | None = None) -> str | None:
        """A change is about to be made."""
        about = {"change": 7, "directory": "Fish", "name": "a", "replaced": replaced, "size": size, "room": room}
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


@pytest.mark.parametrize(("found", "used"), [(10, 40), (40, 70)])
def test_what_a_killed_process_has_done_is_known_by_who_comes_next(found: int, used: int) -> None:
    kept = Kept()
    kept.begin(10, 40)
    kept.ledger.forget()
    assert kept.doubts == [("Fish", "a")]
    # Until then nobody gets what may be taken.
    with pytest.raises(QuotaExceeded):
        kept.usage.room(0, 31)
    kept.other.begin(1, "Fish", "a", found, 0, None)
    assert kept.usage.used == used
    kept.other.end(1, happened=True)
    assert kept.usage.used == used - found
    kept.ledger.end(7, happened=True)
    assert kept.usage.used == used - found


def test_who_comes_next_may_come_before_it_is_known_that_a_process_is_dead() -> None:
    kept = Kept()
    kept.begin(0, 20)
    kept.other.begin(1, "Fish", "a", 20, 0, None)
    kept.ledger.forget()
    assert not kept.doubts
    kept.other.end(1, happened=False)
    assert kept.usage.used == 60


def test_the_room_that_was_kept_for_a_killed_process_is_free_at_once() -> None:
    kept = Kept()
    kept.reserve(60)
    kept.ledger.forget()
    assert not kept.doubts
    kept.usage.room(0, 60)
