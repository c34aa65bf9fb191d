"""Comparison of items in a server's results with the keys of assets: pure functions."""

from collections.abc import Mapping
from typing import Any

import attrs

from was_daemon.model.errors import BadName
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.media import media_type
from was_daemon.stores.rest.templates import Template, Values
from was_daemon.stores.rest.values import Pointer

_NAMING = frozenset({"name", "path"})
_FOLDER = frozenset({"collection", "kind", "folder"})
_MARK = "\0"
"""Stands for the name of any asset: no name has it."""


def folder_variables(collection: str, kind: Kind) -> dict[str, Any]:
    """Return the variables that all assets of a kind in a collection share."""
    return {"collection": collection, "kind": kind.value, "folder": f"{collection}/{kind.value}".lstrip("/")}


def asset_variables(key: AssetKey) -> dict[str, Any]:
    """Return the variables of one asset."""
    return _named(folder_variables(key.collection, key.kind), key.name) | {"type": media_type(key.name)}


def _named(variables: dict[str, Any], name: str) -> dict[str, Any]:
    return variables | {"name": name, "path": f"{variables['folder']}/{name}"}


@attrs.frozen
class Matching:
    """Templates of the values that the item of an asset has, by their pointers.

    One of them has the name, so that it can be told from an item. Values are compared exactly: a search may find more.
    """

    _name: tuple[Pointer, Template]
    _others: tuple[tuple[Pointer, Template], ...]

    @classmethod
    def of(cls, match: Mapping[str, str]) -> "Matching":
        """Return the comparison that the setting `match` describes. Raises ValueError."""
        pairs = [(Pointer(pointer), Template(text)) for pointer, text in match.items()]
        names = [pair for pair in pairs if pair[1].placeholders & _NAMING]
        unknown = {each for _, template in pairs for each in template.placeholders} - {*_NAMING, *_FOLDER}
        if unknown:
            raise ValueError(f"match: there is no {{{min(unknown)}}} here")
        if len(names) != 1 or names[0][1].fill(Values(_named(dict.fromkeys(_FOLDER, ""), _MARK))).count(_MARK) != 1:
            raise ValueError('match: one value needs {name} or {path} once, such as { "/filename" = "{name}" }')
        return cls(names[0], tuple(pair for pair in pairs if pair is not names[0]))

    def key_of(self, item: Any, collection: str, kind: Kind) -> AssetKey | None:
        """Return the key of an item of this kind in this collection; None for another item."""
        name = self._name_in(item, collection, kind)
        try:
            return None if name is None else AssetKey(collection, kind, name)
        except BadName:
            return None

    def _name_in(self, item: Any, collection: str, kind: Kind) -> str | None:
        variables = folder_variables(collection, kind)
        if any(_text(pointer, item) != template.fill(Values(variables)) for pointer, template in self._others):
            return None
        pointer, template = self._name
        before, _, after = template.fill(Values(_named(variables, _MARK))).partition(_MARK)
        text = _text(pointer, item)
        if text is None or len(text) < len(before + after) or not (text.startswith(before) and text.endswith(after)):
            return None
        return text[len(before) : len(text) - len(after)]

    @property
    def name_pointer(self) -> Pointer:
        """Where an item has its name."""
        return self._name[0]


def _text(pointer: Pointer, item: Any) -> str | None:
    value = pointer.find(item)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value)
