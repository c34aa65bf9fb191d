"""Which key has signed what."""

import pytest

from was_daemon.web.keyring import Keyring

OWN = {"Fish": "fish", "Birds": "birds"}


def test_a_collection_without_a_key_of_its_own_has_the_servers() -> None:
    keyring = Keyring("server", OWN)
    assert [list(keyring.keys_of(coll)) for coll in ("Fish", "Birds", "Plants", "fish", "", None)] == [
        ["fish"],
        ["birds"],
        *[["server"]] * 4,
    ]
    assert set(keyring.all_keys()) == {"server", "fish", "birds"}


@pytest.mark.parametrize("coll", ["Plants", "", None])
def test_without_a_key_of_the_server_nobody_signs_for_what_has_none(coll: str | None) -> None:
    keyring = Keyring(None, OWN)
    assert len(keyring.keys_of(coll)) == 1
    assert not {*keyring.keys_of(coll)} & {"fish", "birds", ""}
    assert {"fish", "birds"} < set(keyring.all_keys())


def test_a_server_that_is_open_asks_for_the_keys_that_there_are() -> None:
    keyring = Keyring(None, OWN, is_open=True)
    assert list(keyring.keys_of("Fish")) == ["fish"]
    assert list(keyring.keys_of("Plants")) == list(keyring.all_keys()) == []


def test_one_key_for_everything_is_known_before_the_collection() -> None:
    assert Keyring("server").has_single_key
    assert not Keyring("server", OWN).has_single_key


def test_keys_are_in_no_representation() -> None:
    assert "fish" not in repr(Keyring("server", OWN))
    assert "server'" not in repr(Keyring("server", OWN))
