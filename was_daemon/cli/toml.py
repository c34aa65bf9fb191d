"""Texts and names as TOML writes them, for configurations with comments, which no library writes."""

import json
import re

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def text(value: object) -> str:
    """A basic string; raises `UnicodeEncodeError` for what is not Unicode, such as some names of files."""
    quoted = json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    quoted.encode()
    return quoted


def name(value: str) -> str:
    """A key, with quotation marks where it needs them."""
    return value if _BARE.fullmatch(value) else text(value)


def texts(values: list[str]) -> str:
    """A list of texts."""
    return f"[{', '.join(map(text, values))}]"
