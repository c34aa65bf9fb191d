"""The hashed password of the console."""

import pytest

from tests.support.console import PASSWORD, hashed
from tests.support.slow import slow_after
from was_daemon.model.passwords import NotHashed, check_hashed, hash_password, is_password, new_password


def test_a_password_is_known_by_its_hash_and_no_other_is() -> None:
    line = hash_password("größer als fünf")
    assert is_password("größer als fünf", line)
    assert not is_password("grosser als funf", line)
    assert not is_password("", line)
    assert "fünf" not in line


def test_the_same_password_has_another_hash_each_time() -> None:
    assert hashed(PASSWORD) == hashed(PASSWORD)
    assert hash_password(PASSWORD) != hash_password(PASSWORD)


def test_new_passwords_differ_and_can_be_typed() -> None:
    passwords = {new_password() for _ in range(100)}
    assert len(passwords) == 100
    assert all(
        len(each) == 23 and each.islower() and each.isascii() and not set(each) & set("01lio") for each in passwords
    )


@pytest.mark.parametrize(
    "line",
    slow_after(
        4,
        [
            "",
            PASSWORD,
            hashed()[:-1],
            hashed().replace("$2$1$1$", "$1073741824$8$1$"),
            hashed().replace("$2$1$1$", "$3$1$1$"),
            hashed().replace("$2$1$1$", "$2$0$1$"),
            hashed() + "\n" + hashed(),
            hashed().replace("scrypt", "md5"),
        ],
    ),
)
def test_what_is_no_hash_is_refused_before_anything_is_computed(line: str) -> None:
    with pytest.raises(NotHashed):
        check_hashed(line)
    with pytest.raises(NotHashed):
        is_password(PASSWORD, line)
