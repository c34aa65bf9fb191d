"""The stores that settings describe, made by their plugins."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from was_daemon.config.composition import part_names
from was_daemon.config.load import ConfigError
from was_daemon.config.secret_files import SecretFile
from was_daemon.config.settings import Settings, StoreSettings
from was_daemon.daemon.reusable_parts import ReusableParts
from was_daemon.library.redirects import RULES
from was_daemon.model.composition import IComposedStorePlugin
from was_daemon.model.interfaces import IAssetStore, IAssetStorePlugin
from was_daemon.stores.layers.observed import observed
from was_daemon.stores.layers.read_only import read_only
from was_daemon.telemetry.metrics import Metrics


def build_stores(settings: Settings, parts: ReusableParts, metrics: Metrics) -> dict[str, IAssetStore]:
    """Return the stores by name, taken over from `parts` or not connected yet; those made of others come after them.

    Raises `ConfigError` when one cannot do what is asked of it.
    """
    stores: dict[str, IAssetStore] = {}
    for name in settings.stores:
        _add_store(name, settings.stores, stores, parts, metrics)
    mistakes: list[str] = []
    for name, store in stores.items():
        redirect = settings.stores[name].redirect
        if redirect and not RULES[redirect].needs.providedBy(store):
            plugin = settings.stores[name].plugin.name
            mistakes.append(f'stores.{name}.redirect: the plugin "{plugin}" has no {RULES[redirect].lacking}')
    if mistakes:
        raise ConfigError(mistakes)
    return stores


def _add_store(
    name: str,
    settings: Mapping[str, StoreSettings],
    stores: dict[str, IAssetStore],
    parts: ReusableParts,
    metrics: Metrics,
) -> None:
    """Add a store to `stores`, after the stores it is made of."""
    if name in stores:
        return
    plugin, options, is_read_only = settings[name].plugin, settings[name].options, settings[name].read_only
    needed = list(part_names(plugin, options))
    for each in needed:
        _add_store(each, settings, stores, parts, metrics)
    known = {each: stores[each] for each in needed}

    def create() -> IAssetStore:
        if IComposedStorePlugin.providedBy(plugin):
            store = IComposedStorePlugin(plugin).compose(options, name, known)
        else:
            store = IAssetStorePlugin(plugin).create(options)
        return read_only(store) if is_read_only else store

    origin = (plugin, options, is_read_only, *known.values(), *_files_named_by(options))
    stores[name] = parts.take(f"store {name}", origin, lambda: observed(create(), metrics=metrics, name=name))


def _files_named_by(options: Any) -> list[tuple[Path, int, int]]:
    """Return the files with secrets, and those named by options that end in `_file`, with modification time and inode.

    The value changes when a password is replaced. Other paths are not visited: they may be on a mount that hangs.
    """
    found = []
    for name, value in attrs.asdict(options, recurse=False).items():
        for path in value.values() if isinstance(value, dict) else [value]:
            is_file = isinstance(path, SecretFile) or (name.endswith("_file") and isinstance(path, Path))
            if is_file and path.is_file():
                status = path.stat()
                found.append((path, status.st_mtime_ns, status.st_ino))
    return found
