"""Kinds of values that the official server expects in its settings."""

from typing import Any

_LARGEST_PORT = 65535


def is_flag(value: Any) -> bool:
    """Return whether a value can be one of yes or no."""
    return isinstance(value, bool | int) or value is None


def is_text(value: Any) -> bool:
    """Return whether a value is a text."""
    return isinstance(value, str)


def is_text_or_none(value: Any) -> bool:
    """Return whether a value is a text, or None."""
    return isinstance(value, str) or value is None


def is_port(value: Any) -> bool:
    """Return whether a value is the number of a TCP port, maybe in a text."""
    text = str(value).strip()
    return text.isascii() and text.isdigit() and 0 < int(text) <= _LARGEST_PORT


def is_window(value: Any) -> bool:
    """Return whether a value is a time in seconds, or None."""
    return value is None or (isinstance(value, int | float) and value > 0)


def is_map(value: Any) -> bool:
    """Return whether a value is a map, or None."""
    return isinstance(value, dict) or value is None
