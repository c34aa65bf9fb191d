"""Tokens (contract, section 2): whoever holds the key, and nobody else, may act, for a while."""

import hashlib

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from was_daemon.model import tokens

patiently = settings(deadline=None)

KEY = "test attachment key"
NAME = "4ee6b5a6-6f0c-4b44-9d53-8c9c3f4d9f1e.jpg"
NOW = 1_753_000_000
WINDOW = 150

# HMAC fills short keys up with zeros (RFC 2104), so that "a" and "a\0" are one key.
secrets = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
names = st.text(min_size=1, max_size=40)
timestamps = st.integers(0, 10**12)


def hmac_md5(key: bytes, message: bytes) -> str:
    """RFC 2104, written out."""
    block = (hashlib.md5(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.md5(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.md5(bytes(byte ^ 0x5C for byte in block) + inner).hexdigest()


def accepted(key: str, name: str, token: str, now: int = NOW, window: int = WINDOW) -> bool:
    return tokens.verify(key, name, token, now, window) is None


def test_the_written_out_hmac_agrees_with_the_examples_of_rfc_2202() -> None:
    assert hmac_md5(b"\x0b" * 16, b"Hi There") == "9294727a3638bb1c13f48ef8158bfc9d"
    assert hmac_md5(b"Jefe", b"what do ya want for nothing?") == "750c783e6ab0b503eaa86e310a5db738"
    assert hmac_md5(b"\xaa" * 80, b"Test Using Larger Than Block-Size Key - Hash Key First") == (
        "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"
    )


@pytest.mark.parametrize("name", [NAME, "Käfer.jpg", "標本.tiff", "two words.jpg", "sp6123.att.jpg"])
@pytest.mark.parametrize("key", [KEY, "Schlüssel", "k" * 100])
def test_a_token_is_the_mac_of_timestamp_and_name_and_the_timestamp(key: str, name: str) -> None:
    expected = f"{hmac_md5(key.encode(), f'{NOW}{name}'.encode())}:{NOW}"
    assert tokens.sign(key, name, NOW) == expected
    assert accepted(key, name, expected)


@patiently
@given(secrets, names, timestamps)
def test_what_was_signed_is_accepted(key: str, name: str, timestamp: int) -> None:
    assert accepted(key, name, tokens.sign(key, name, timestamp), now=timestamp)


@patiently
@given(secrets, secrets, names, timestamps)
def test_another_key_is_refused(key: str, other: str, name: str, timestamp: int) -> None:
    assume(key != other)
    assert not accepted(other, name, tokens.sign(key, name, timestamp), now=timestamp)


@patiently
@given(secrets, names, names, timestamps)
def test_another_name_is_refused(key: str, name: str, other: str, timestamp: int) -> None:
    assume(name != other)
    assert not accepted(key, other, tokens.sign(key, name, timestamp), now=timestamp)


@patiently
@given(secrets, names, timestamps, st.integers(-WINDOW, WINDOW))
def test_another_timestamp_is_refused_even_within_the_window(
    key: str, name: str, timestamp: int, difference: int
) -> None:
    assume(difference and timestamp + difference >= 0)
    mac = tokens.sign(key, name, timestamp).partition(":")[0]
    assert not accepted(key, name, f"{mac}:{timestamp + difference}", now=timestamp)


@patiently
@given(secrets, names, timestamps, st.integers(0, 31), st.sampled_from("0123456789abcdef"))
def test_another_mac_is_refused(key: str, name: str, timestamp: int, position: int, digit: str) -> None:
    token = tokens.sign(key, name, timestamp)
    assume(token[position] != digit)
    assert not accepted(key, name, token[:position] + digit + token[position + 1 :], now=timestamp)


@patiently
@given(st.text(st.characters(exclude_categories=())) | st.from_regex(r"[0-9a-f]{31,33}:[0-9]{1,20}", fullmatch=True))
def test_nothing_else_is_accepted_and_nothing_breaks_it(token: str) -> None:
    assume(token != tokens.sign(KEY, NAME, NOW))
    for window in (WINDOW, 0):
        reason = tokens.verify(KEY, NAME, token, NOW, window)
        assert reason
        assert reason.isprintable()
        assert len(token) < 4 or token not in reason


@patiently
@given(timestamps, st.integers(-400, 400), st.integers(1, 300))
def test_a_token_is_valid_within_the_window_and_not_outside(timestamp: int, difference: int, window: int) -> None:
    token = tokens.sign(KEY, NAME, timestamp)
    assert accepted(KEY, NAME, token, timestamp + difference, window) == (abs(difference) <= window)


@pytest.mark.parametrize("difference", [-(10**9), -151, 0, 151, 10**9])
def test_a_window_of_zero_switches_the_check_of_the_time_off(difference: int) -> None:
    assert accepted(KEY, NAME, tokens.sign(KEY, NAME, NOW), NOW + difference, window=0)


@pytest.mark.parametrize("difference", [-150, 150])
def test_the_window_includes_its_ends(difference: int) -> None:
    assert accepted(KEY, NAME, tokens.sign(KEY, NAME, NOW), NOW + difference)


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        " ",
        f" {NOW}",
        f"{NOW} ",
        f"{NOW}\n",
        f"+{NOW}",
        f"-{NOW}",
        "1_753_000_000",
        f"{NOW}.0",
        "1.753e9",
        hex(NOW),
        "١٧٥٣٠٠٠٠٠٠",
        "１７５３００００００",
        "¹²³",
        f"{NOW}:{NOW}",
        "now",
        "9" * 5000,
    ],
)
def test_only_ascii_digits_make_a_timestamp_even_when_the_mac_fits(timestamp: str) -> None:
    token = f"{hmac_md5(KEY.encode(), f'{timestamp}{NAME}'.encode())}:{timestamp}"
    for window in (WINDOW, 0):
        assert not accepted(KEY, NAME, token, window=window)


@pytest.mark.parametrize(
    "token", ["", ":", "a", "a:b", "a:b:c", f":{NOW}", f"{NOW}", f"{'0' * 32}:{NOW}", "é:1", "\0:\0"]
)
def test_what_is_no_token_is_refused_with_a_reason(token: str) -> None:
    assert tokens.verify(KEY, NAME, token, NOW, WINDOW)


def test_a_token_with_anything_around_it_is_refused() -> None:
    token = tokens.sign(KEY, NAME, NOW)
    assert accepted(KEY, NAME, token)
    for changed in (f" {token}", f"{token} ", f"{token}\n", f"{token}:", f"{token}:{NOW}", token.replace(":", ":0", 1)):
        assert not accepted(KEY, NAME, changed), changed


def test_names_of_different_unicode_normal_forms_have_different_tokens() -> None:
    composed, decomposed = "K\u00e4fer.jpg", "Ka\u0308fer.jpg"
    token = tokens.sign(KEY, composed, NOW)
    assert accepted(KEY, composed, token)
    assert not accepted(KEY, decomposed, token)
