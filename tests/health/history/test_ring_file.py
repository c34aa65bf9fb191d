"""Files of samples: what they keep, and what damage costs."""

import os
from pathlib import Path

import pytest

from was_daemon.health.history.ring_file import FILE_SIZE, MINUTES, TENS, FileInUse, RingFile, TooLarge, read_samples

NOW = 1_800_000_000


def written(path: Path, *moments: int) -> Path:
    file = RingFile(path)
    for moment in moments:
        file.write(moment, {"requests": moment - NOW})
    file.close()
    return path


def times(path: Path, now: int = NOW, ring: object = MINUTES) -> list[int]:
    return [moment for moment, _ in read_samples(path, ring, now)]  # type: ignore[arg-type]


def test_samples_are_read_in_their_order_as_they_were_written(tmp_path: Path) -> None:
    path = written(tmp_path / "a/b.ring", NOW - 120, NOW, NOW - 60)
    assert read_samples(path, MINUTES, NOW) == [
        (NOW - 120, {"requests": -120}),
        (NOW - 60, {"requests": -60}),
        (NOW, {"requests": 0}),
    ]


def test_the_file_never_grows_and_keeps_two_hours_of_minutes_and_a_week_of_tens(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ring", *range(NOW - 8 * 24 * 3600, NOW + 1, 60))
    assert path.stat().st_size == FILE_SIZE < 1_200_000
    assert len(times(path)) == MINUTES.count
    tens = times(path, ring=TENS)
    assert len(tens) == TENS.count
    assert NOW - min(tens) > 6.9 * 24 * 3600


def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ring", NOW - 60)
    written(path, NOW)
    assert times(path) == [NOW - 60, NOW]


def test_a_torn_write_costs_one_sample(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ring", NOW - 120, NOW - 60, NOW)
    content = bytearray(path.read_bytes())
    # The middle of what was written last but one is that of an older sample.
    place = 64 + (NOW - 60) // 60 % MINUTES.count * 1024
    content[place + 20 : place + 30] = bytes(10)
    path.write_bytes(content)
    assert times(path) == [NOW - 120, NOW]
    assert len(times(path, ring=TENS)) == 2
    # The slot is used again.
    written(path, NOW - 60)
    assert times(path) == [NOW - 120, NOW - 60, NOW]


@pytest.mark.parametrize(
    "content",
    [b"", b"no ring", os.urandom(FILE_SIZE), b"was-ring" + bytes(FILE_SIZE - 8), bytes(FILE_SIZE)],
    ids=["empty", "short", "noise", "another version", "zeros"],
)
def test_a_file_of_another_kind_or_version_is_no_error_and_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.ring"
    path.write_bytes(content)
    assert times(path) == []
    written(path, NOW)
    assert times(path) == [NOW]
    assert path.stat().st_size == FILE_SIZE


def test_a_file_that_was_cut_off_has_what_is_left(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ring", *range(NOW - 3600, NOW + 1, 60))
    path.write_bytes(path.read_bytes()[: 64 + 30 * 1024 + 500])
    assert 0 < len(times(path)) <= 31
    written(path, NOW + 60)
    assert times(path, NOW + 60) == [NOW + 60]


def test_samples_of_the_future_and_of_last_month_are_not_shown(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ring", NOW - 30 * 24 * 3600 - 180, NOW, NOW + 7200 + 60)
    assert times(path) == [NOW]


def test_a_sample_that_is_too_large_is_refused(tmp_path: Path) -> None:
    file = RingFile(tmp_path / "a.ring")
    with pytest.raises(TooLarge):
        file.write(NOW, {"noise": os.urandom(1000).hex()})
    file.close()


def test_two_processes_do_not_write_to_one_file(tmp_path: Path) -> None:
    file = RingFile(tmp_path / "a.ring")
    with pytest.raises(FileInUse):
        RingFile(tmp_path / "a.ring")
    file.close()
    written(tmp_path / "a.ring", NOW)


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("other")
    (tmp_path / "a.ring").symlink_to(tmp_path / "other")
    with pytest.raises(OSError):
        RingFile(tmp_path / "a.ring")
    assert (tmp_path / "other").read_text() == "other"
