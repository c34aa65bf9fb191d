"""Stores of the configuration that are made of other stores."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from was_daemon.config.settings import StoreSettings
from was_daemon.config.structure import Mistakes
from was_daemon.model.composition import IComposedStorePlugin, IKeepsKinds, INeedsKinds
from was_daemon.model.interfaces import IStorePlugin


def part_names(plugin: IStorePlugin, options: Any) -> Iterator[str]:
    """Yield the names of the stores that a store with `options` is made of."""
    if IComposedStorePlugin.providedBy(plugin):
        for names in IComposedStorePlugin(plugin).parts(options).values():
            yield from names


def check_composition(stores: Mapping[str, StoreSettings], names: Collection[str] | None, mistakes: Mistakes) -> None:
    """Report stores that are made of unknown stores, of themselves, of one twice, or of one that takes no writes.

    `names` are those of all tables, if they are known.
    """
    for name, store in stores.items():
        if IComposedStorePlugin.providedBy(store.plugin) and store.options is not None:
            plugin = IComposedStorePlugin(store.plugin)
            needed = plugin.parts(store.options)
            _check_parts(name, needed, stores, names, mistakes)
            if not store.read_only:
                _check_written(name, needed, plugin.writes_all, stores, mistakes)
                _check_kinds(name, plugin, needed, stores, mistakes)


def _check_parts(
    name: str,
    needed: Mapping[str, Collection[str]],
    stores: Mapping[str, StoreSettings],
    names: Collection[str] | None,
    mistakes: Mistakes,
) -> None:
    seen: set[str] = set()
    for option, parts in needed.items():
        key = f"stores.{name}.{option}"
        for part in parts:
            if part in seen:
                mistakes.add(key, f'names "{part}" twice')
            elif names is not None and part not in names:
                mistakes.add(key, f'no store is called "{part}"; there are {", ".join(names)}')
            elif part == name:
                mistakes.add(key, "names this store")
            elif name in below(part, stores):
                mistakes.add(key, f'"{part}" is made of this store itself')
            seen.add(part)
    if not seen:
        mistakes.add(f"stores.{name}", "names no store")


def _check_written(
    name: str,
    needed: Mapping[str, Collection[str]],
    writes_all: bool,
    stores: Mapping[str, StoreSettings],
    mistakes: Mistakes,
) -> None:
    """Report parts that are read-only although what is uploaded goes there."""
    parts = [(option, part) for option, parts in needed.items() for part in parts]
    for option, part in parts if writes_all else parts[:1]:
        if part in stores and stores[part].read_only:
            mistakes.add(f"stores.{name}.{option}", f'"{part}" is read_only, and what is uploaded goes there')


def _check_kinds(
    name: str,
    plugin: IStorePlugin,
    needed: Mapping[str, Collection[str]],
    stores: Mapping[str, StoreSettings],
    mistakes: Mistakes,
) -> None:
    """Report a first part that cannot keep what the store keeps there besides originals."""
    first = next(((option, part) for option, parts in needed.items() for part in parts), None)
    if first is None or not INeedsKinds.providedBy(plugin):
        return
    option, part = first
    written = _written_part(part, stores)
    if written is None or not IKeepsKinds.providedBy(stores[written].plugin):
        return
    kept_by = IKeepsKinds(stores[written].plugin)
    if not set(INeedsKinds(plugin).needed_kinds) <= set(kept_by.kinds):
        mistakes.add(
            f"stores.{name}.{option}",
            f'"{written}" cannot be where uploads go: {stores[written].plugin.name} keeps no notes of what is deleted',
        )


def _written_part(name: str, stores: Mapping[str, StoreSettings]) -> str | None:
    """Return the name of the store that takes what is written to a store; None if that is a mistake of its own."""
    seen: set[str] = set()
    while name in stores and name not in seen and stores[name].options is not None:
        seen.add(name)
        first = next(part_names(stores[name].plugin, stores[name].options), None)
        if first is None:
            return None if IComposedStorePlugin.providedBy(stores[name].plugin) else name
        name = first
    return None


def below(name: str, stores: Mapping[str, StoreSettings]) -> set[str]:
    """Return the names of a store and of all stores that it is made of."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each not in found and each in stores and stores[each].options is not None:
            found.add(each)
            waiting += part_names(stores[each].plugin, stores[each].options)
    return found
