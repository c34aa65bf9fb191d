"""What a collection takes up: quotas hold whatever happens at the same time, and counts do not spoil what is known."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from was_daemon.library.usage import Usage, readable
from was_daemon.model.errors import QuotaExceeded


def counted(quota: int, used: int) -> Usage:
    usage = Usage(quota)
    usage.begin_count()
    usage.end_count(used)
    return usage


def change(usage: Usage, replaced: int, size: int) -> None:
    room = usage.room(replaced, size)
    usage.begin_change(size - replaced)
    usage.end_change(size - replaced, happened=True)
    room.release()


def test_what_fits_exactly_has_room_and_one_byte_more_has_none() -> None:
    usage = counted(100, 40)
    with pytest.raises(QuotaExceeded):
        usage.room(0, 61)
    change(usage, 0, 60)
    assert usage.used == 100


def test_only_what_a_replacement_adds_needs_room() -> None:
    usage = counted(100, 90)
    change(usage, 50, 60)
    assert usage.used == 100
    with pytest.raises(QuotaExceeded):
        usage.room(50, 51)


@pytest.mark.parametrize("size", [0, 50, 49])
def test_what_makes_a_collection_no_larger_fits_whatever_the_quota_has_become(size: int) -> None:
    usage = counted(100, 90)
    usage.quota = 10
    change(usage, 50, size)
    assert usage.used == 40 + size


def test_uploads_that_are_under_way_have_their_room_already() -> None:
    usage = counted(100, 0)
    first = usage.room(0, 60)
    with pytest.raises(QuotaExceeded):
        usage.room(0, 60)
    first.release()
    first.release()
    usage.room(0, 60).cover(100)
    with pytest.raises(QuotaExceeded):
        usage.room(0, 1)


def test_an_upload_of_unknown_size_takes_room_as_it_comes() -> None:
    usage = counted(100, 50)
    room = usage.room(20, 0)
    room.cover(20)
    room.cover(70)
    with pytest.raises(QuotaExceeded):
        room.cover(71)
    room.release()
    usage.room(0, 50)


def test_until_the_first_count_everything_has_room_and_is_counted_afterwards() -> None:
    usage = Usage(100)
    usage.begin_count()
    room = usage.room(0, 1000)
    assert usage.used is None
    usage.end_count(90)
    with pytest.raises(QuotaExceeded):
        usage.room(0, 1)
    room.release()
    usage.room(0, 10)


def test_what_failed_changes_nothing() -> None:
    usage = counted(100, 50)
    usage.begin_change(20)
    usage.end_change(20, happened=False)
    assert usage.used == 50


@settings(deadline=None)
@given(
    begin=st.integers(0, 1000),
    seen=st.lists(st.integers(-50, 50), max_size=8),
    unseen=st.lists(st.integers(-50, 50), max_size=8),
    late=st.lists(st.tuples(st.integers(-50, 50), st.booleans()), max_size=4),
)
def test_a_count_among_changes_leaves_what_is_known_exactly(
    begin: int, seen: list[int], unseen: list[int], late: list[tuple[int, bool]]
) -> None:
    """`late` are changes that end after the count, each seen by it or not."""
    usage = counted(10**6, begin + 1000)
    usage.begin_count()
    for size in (*seen, *unseen):
        usage.begin_change(size)
        usage.end_change(size, happened=True)
    for size, _ in late:
        usage.begin_change(size)
    usage.end_count(begin + 1000 + sum(seen) + sum(size for size, was_seen in late if was_seen))
    for size, _ in late:
        usage.end_change(size, happened=True)
    assert usage.used == begin + 1000 + sum(seen) + sum(unseen) + sum(size for size, _ in late)


def test_a_count_finds_what_others_did() -> None:
    usage = counted(100, 50)
    usage.begin_count()
    usage.end_count(80)
    assert usage.used == 80


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (500 << 30, "500 GiB"),
        (1536 << 20, "1.5 GiB"),
        (8 << 60, "8 EiB"),
    ],
)
def test_sizes_are_readable(size: int, text: str) -> None:
    assert readable(size) == text
