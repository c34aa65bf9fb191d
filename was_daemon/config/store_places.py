"""Checks that stores which have the same files keep them in places of their own."""

from collections.abc import Iterator, Mapping
from itertools import combinations, product

import attrs

from was_daemon.config.composition import below, part_names
from was_daemon.config.settings import CollectionsSettings, StoreSettings
from was_daemon.config.structure import Mistakes
from was_daemon.model.composition import IComposedStorePlugin
from was_daemon.model.places import Place

_WHY = "what is deleted from one would be gone from the other"

Stores = Mapping[str, StoreSettings]


def check_places(stores: Stores, collections: CollectionsSettings, default_store: str, mistakes: Mistakes) -> None:
    """Report stores that are made of one place twice, and warn of collections that use a part of a mirror by itself.

    Of a mirror, no part may be in the directory of another one either: a deletion in one would hurt the other, which
    may be the only one that is left.
    """
    shared = _Shared(stores)
    for name, store in stores.items():
        is_composed = IComposedStorePlugin.providedBy(store.plugin) and store.options is not None
        # One that is made of itself is a mistake by itself.
        if is_composed and not any(name in below(part, stores) for part in part_names(store.plugin, store.options)):
            _check_parts(name, IComposedStorePlugin(store.plugin), store, shared, mistakes)
    mirrors = [name for name, store in stores.items() if _is_mirror(store)]
    for first, second in combinations(mirrors, 2):
        if first not in below(second, stores) and second not in below(first, stores):
            for one, other in shared.places(first, second):
                told = f"{shared.told(one, other)}, and stores.{first} has files there, too"
                mistakes.add(f"stores.{second}", f"{told}: {_WHY}")
    for key, name in _used(collections, default_store):
        for mirror in mirrors:
            if name in stores and any(shared.places(mirror, name, apart_from=mirror)):
                mistakes.warn(
                    f"{key} is {name}, where files of the mirror {mirror} are: what is uploaded there does not reach "
                    "its copies, nor does what is deleted"
                )


def _check_parts(
    name: str, plugin: IComposedStorePlugin, store: StoreSettings, shared: "_Shared", mistakes: Mistakes
) -> None:
    parts = [(option, part) for option, names in plugin.parts(store.options).items() for part in names]
    for (_, first), (option, second) in combinations(parts, 2):
        for one, other in shared.places(first, second) if first != second else ():
            if _is_mirror(store) or shared.is_same(one, other):
                why = f": {_WHY}" if _is_mirror(store) else ""
                mistakes.add(f"stores.{name}.{option}", f"{shared.told(one, other)}{why}")


def _is_mirror(store: StoreSettings) -> bool:
    """Return whether all parts of a store get what is written to it."""
    return IComposedStorePlugin.providedBy(store.plugin) and IComposedStorePlugin(store.plugin).writes_all


def _used(collections: CollectionsSettings, default_store: str) -> Iterator[tuple[str, str]]:
    """Yield the stores that collections are in, each with the setting that says so."""
    if collections.mode != "map" or any(each.store is None for each in collections.map.values()):
        yield "collections.store", default_store
    for name, each in collections.map.items():
        if each.store is not None:
            yield f"collections.map.{name}.store", each.store


class _Shared:
    """The places that stores share."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._places: dict[str, Place | None] = {}

    def places(self, first: str, second: str, apart_from: str | None = None) -> list[tuple[str, str]]:
        """Return which stores without parts, in these two, share a place; not those in `apart_from` of the second."""
        pairs = product(self._leaves(first, None), self._leaves(second, apart_from))
        return [(one, other) for one, other in pairs if one == other or self._overlap(one, other)]

    def is_same(self, one: str, other: str) -> bool:
        """Return whether two stores that share a place have all of it in common."""
        return one == other or self._place(one) == self._place(other)

    def told(self, one: str, other: str) -> str:
        """Return what two stores have to do with each other that share a place."""
        if one == other:
            return f'"{other}" is used twice'
        if self.is_same(one, other):
            return f'"{other}" is the same place as "{one}"'
        first, second = self._place(one), self._place(other)
        is_inside = first and second and len(second.parts) > len(first.parts)
        return f'"{other}" is inside of "{one}"' if is_inside else f'"{one}" is inside of "{other}"'

    def _leaves(self, name: str, apart_from: str | None) -> Iterator[str]:
        # A store that is made of itself is a mistake, which is reported elsewhere.
        waiting, seen = [name], {apart_from}
        while waiting:
            each = waiting.pop(0)
            store = self._stores.get(each)
            if store is None or store.options is None or each in seen:
                continue
            seen.add(each)
            if IComposedStorePlugin.providedBy(store.plugin):
                waiting += part_names(store.plugin, store.options)
            else:
                yield each

    def _overlap(self, one: str, other: str) -> bool:
        first, second = self._place(one), self._place(other)
        if first and second:
            return first.overlaps(second)
        options = [self._stores[each].options for each in (one, other)]
        plugins = {self._stores[each].plugin.name for each in (one, other)}
        # A plugin without options makes stores that have nothing in common, such as those in memory.
        return len(plugins) == 1 and options[0] == options[1] and bool(attrs.fields(type(options[0])))

    def _place(self, name: str) -> Place | None:
        if name not in self._places:
            place = getattr(self._stores[name].options, "place", None)
            self._places[name] = place() if callable(place) else None
        return self._places[name]
