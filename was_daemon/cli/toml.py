"""Quoting of texts and keys in TOML: configurations are templates, with more comments than values."""

import json
import re

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def text(value: object) -> str:
    """Return a basic string; raise `UnicodeEncodeError` for lone surrogates, which names of files may have."""
    quoted = json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    quoted.encode()
    return quoted


def name(value: str) -> str:
    """Return a key, with quotation marks where it needs them."""
    return value if _BARE.fullmatch(value) else text(value)


def texts(values: list[str]) -> str:
    """Return an array of strings."""
    return f"[{', '.join(map(text, values))}]"
