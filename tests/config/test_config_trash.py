"""The section `[trash]`."""

from pathlib import Path

import pytest

from tests.config.test_config import mistakes_of, settings_of
from was_daemon.config.settings import TrashSettings

STORE = """
[server]
key = "a key for tests"
[stores.main]
plugin = "filesystem"
path = "store"
[trash]
"""
DAY = 24 * 3600


@pytest.mark.parametrize(
    ("keep", "seconds"),
    [('"30 days"', 30 * DAY), ('"1 day"', DAY), ('"12 h"', DAY / 2), ('"5 min"', 300), ('"90 s"', 90), ("90", 90)],
)
def test_the_time_is_given_in_words(tmp_path: Path, keep: str, seconds: float) -> None:
    settings = settings_of(tmp_path, f"{STORE}keep = {keep}\nreplaced = true\ncount_in_quotas = true")
    assert settings.trash == TrashSettings(seconds, True, True)


def test_without_a_time_there_is_no_trash(tmp_path: Path) -> None:
    assert settings_of(tmp_path, STORE).trash == TrashSettings(None, False, False)


@pytest.mark.parametrize("keep", ['"for ever"', '"30 moons"', "0", "-1", "true", '""'])
def test_another_time_is_a_mistake(tmp_path: Path, keep: str) -> None:
    [mistake] = mistakes_of(tmp_path, f"{STORE}keep = {keep}\nreplaced = true")
    assert mistake.startswith("trash.keep: ")


def test_what_is_said_of_a_trash_that_there_is_not_is_a_mistake(tmp_path: Path) -> None:
    mistakes = mistakes_of(tmp_path, f"{STORE}replaced = true\ncount_in_quotas = true")
    assert [mistake.partition(":")[0] for mistake in mistakes] == ["trash.replaced", "trash.count_in_quotas"]
