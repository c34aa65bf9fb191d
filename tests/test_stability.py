"""What docs/stability.md promises to keep: a released name that is gone would break what others have built."""

import json

import pytest

from tests.support.stable import STABLE, names

_KEPT = json.loads(STABLE.read_text("utf-8"))


@pytest.mark.parametrize("kind", _KEPT)
def test_what_was_released_is_still_there(kind: str) -> None:
    gone = set(_KEPT[kind]) - set(names()[kind])
    assert sorted(gone) == [], "only a new generation may remove these, after a year (docs/stability.md)"
    assert _KEPT[kind]
