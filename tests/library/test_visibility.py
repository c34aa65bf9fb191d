"""What is known in memory of the visibility of originals."""

import random
from collections import defaultdict
from itertools import permutations

import pytest

from was_daemon.library.visibility import KEY_BYTES, Entries, Gathering, Statement, Verdict, Visibility

KEY = bytes(KEY_BYTES)


def known(said: dict[str, list[Statement]], hides_unknown: bool = True) -> Visibility:
    """What is known after these statements about originals, by their names."""
    visibility, gathering = Visibility(KEY, hides_unknown), Gathering()
    for name, statements in said.items():
        for statement in statements:
            gathering.add(visibility.hash_of("main", "", name), statement)
    visibility.replace(KEY, gathering.entries(), {})
    return visibility


@pytest.mark.parametrize(
    ("statements", "verdict"),
    [
        ([], None),
        ([Statement.PUBLIC], False),
        ([Statement.PRIVATE], True),
        ([Statement.UNDECIDED], None),
        ([Statement.PUBLIC, Statement.PRIVATE], True),
        ([Statement.PUBLIC, Statement.UNDECIDED], None),
        ([Statement.PUBLIC, Statement.UNDECIDED, Statement.PRIVATE], True),
        ([Statement.PRIVATE, Statement.PUBLIC_BY_HAND], False),
        ([Statement.PUBLIC, Statement.PRIVATE_BY_HAND], True),
    ],
)
def test_the_strictest_record_counts_and_a_decision_by_hand_more(statements: list[Statement], verdict: Verdict) -> None:
    for order in permutations(statements):
        visibility = known({"a.jpg": list(order)})
        assert visibility.find(visibility.hash_of("main", "", "a.jpg")) is verdict


@pytest.mark.parametrize("hides_unknown", [True, False])
def test_what_nobody_has_said_anything_about_is_as_the_setting_says(hides_unknown: bool) -> None:
    visibility = known({"a.jpg": [Statement.PUBLIC], "b.jpg": [Statement.PRIVATE]}, hides_unknown)
    found = [visibility.is_private("main", "", name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    assert found == [False, True, hides_unknown]


def test_before_anything_was_learnt_everything_is_private() -> None:
    visibility = Visibility(KEY, hides_unknown=False)
    assert visibility.is_private("main", "", "a.jpg")
    visibility.replace(KEY, Entries(), {})
    assert not visibility.is_private("main", "", "a.jpg")


def test_stores_collections_and_names_are_told_apart_by_every_byte() -> None:
    visibility = known({"a.jpg": [Statement.PUBLIC]})
    others = [("Main", "", "a.jpg"), ("main", "Fish", "a.jpg"), ("main", "", "A.jpg"), ("main", "", "a.jpg ")]
    assert not visibility.is_private("main", "", "a.jpg")
    assert all(visibility.is_private(*other) for other in others)


def test_whoever_does_not_have_the_key_cannot_make_a_hash() -> None:
    other = Visibility(bytes([1] * KEY_BYTES))
    assert other.hash_of("main", "", "a.jpg") != Visibility(KEY).hash_of("main", "", "a.jpg")


def test_changes_count_at_once_and_only_real_ones_are_told() -> None:
    visibility = known({"a.jpg": [Statement.PUBLIC], "b.jpg": [Statement.PRIVATE]})
    a, b, c = (visibility.hash_of("main", "", name) for name in ("a.jpg", "b.jpg", "c.jpg"))
    assert visibility.learn([(a, True), (b, True), (c, False)]) == {a: True, c: False}
    assert (visibility.private, visibility.public) == (2, 1)
    assert visibility.learn([(a, None), (c, None)]) == {a: None, c: None}
    assert [visibility.find(each) for each in (a, b, c)] == [None, True, None]
    assert (visibility.private, visibility.public) == (1, 0)


def test_of_many_originals_each_is_known() -> None:
    chance = random.Random(7)
    said: dict[str, list[Statement]] = defaultdict(list)
    for _ in range(20_000):
        said[f"{chance.randrange(10_000)}.jpg"].append(chance.choice(list(Statement)))
    visibility = known(said)
    verdicts = {name: max(statements).verdict for name, statements in said.items()}
    assert {name: visibility.find(visibility.hash_of("main", "", name)) for name in said} == verdicts
    assert visibility.private == sum(verdict is True for verdict in verdicts.values())
    assert visibility.public == sum(verdict is False for verdict in verdicts.values())
    assert not any(visibility.find(visibility.hash_of("main", "", f"{each}.png")) for each in range(10_000))
