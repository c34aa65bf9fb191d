"""Durations as people read them."""

import pytest

from was_daemon.model.durations import exactly, in_words


@pytest.mark.parametrize(
    ("seconds", "chosen", "taken"),
    [
        (90 * 86_400, "90 days", "90 days"),
        (36 * 3600, "36 hours", "1 day"),
        (5400, "90 minutes", "1 hour"),
        (60, "1 minute", "1 minute"),
        (30, "30 seconds", "less than a minute"),
        (1, "1 second", "less than a minute"),
        (90, "90 seconds", "1 minute"),
        (0.5, "0.5 seconds", "less than a minute"),
        (0, "0 seconds", "less than a minute"),
    ],
)
def test_what_was_chosen_is_told_exactly_and_what_takes_time_roughly(seconds: float, chosen: str, taken: str) -> None:
    assert (exactly(seconds), in_words(seconds)) == (chosen, taken)
