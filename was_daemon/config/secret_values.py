"""Secrets in the configuration: the values of fields with `repr=False`, also in tables within a table."""

import re
from collections.abc import Iterable
from typing import Any, get_args

import attrs

_DISTINCT_LENGTH = 8
"""Characters; a shorter secret may also be part of a word in a message."""


SECRET_UNLESS_FILLED_IN = {"secret": "unless filled in"}
"""Metadata of a field whose values may be templates: one with a placeholder takes its secret from a file."""


def secrets_in(table: Any, cls: type, key: str, templates: bool = True) -> dict[str, str]:
    """Return the secrets in a table of the attrs class `cls` by their keys; `key` is the name of the table.

    Without `templates`, those are left out that take their secret from elsewhere.
    """
    found: dict[str, str] = {}
    for field in attrs.fields(attrs.resolve_types(cls)) if isinstance(table, dict) else ():
        value, place = table.get(field.name), f"{key}.{field.name}"
        inner = next((each for each in (field.type, *get_args(field.type)) if attrs.has(each)), None)
        if not field.repr:
            values = _values(value, place)
            if field.metadata == SECRET_UNLESS_FILLED_IN and not templates:
                values = {where: text for where, text in values.items() if "{" not in text}
            found |= values
        elif inner:
            for item_place, item in _items(value, place):
                found |= secrets_in(item, inner, item_place, templates)
    return found


def _values(value: Any, key: str) -> dict[str, str]:
    """Return all values in `value` by their keys."""
    if isinstance(value, dict):
        return {place: text for name, each in value.items() for place, text in _values(each, f"{key}.{name}").items()}
    if isinstance(value, list):
        return {place: text for inner, item in _items(value, key) for place, text in _values(item, inner).items()}
    return {} if value is None else {key: str(value)}


def _items(value: Any, key: str) -> list[tuple[str, Any]]:
    """Return the items of a list with their keys, or `value` itself."""
    if not isinstance(value, list):
        return [(key, value)]
    return [(f"{key}[{index}]", item) for index, item in enumerate(value)]


def redact(secrets: Iterable[str], line: str) -> str:
    """Return a line of a mistake, which begins with the key of a setting, without secrets."""
    key, separator, reason = line.partition(": ")
    for secret in filter(str.strip, secrets):
        pattern = re.escape(secret)
        if len(secret) < _DISTINCT_LENGTH:
            # As a value, and unlike a word, it stands between punctuation marks.
            pattern = rf"(?<=[^\w\s]){pattern}(?=[^\w\s])"
        reason = re.sub(pattern, "...", reason)
    return key + separator + reason
