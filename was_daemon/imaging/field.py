"""Field of metadata."""

from typing import NamedTuple


class Field(NamedTuple):
    """Field of a group, with its value as text."""

    group: str
    name: str
    text: str
