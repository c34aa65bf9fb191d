"""The stores that settings describe, made by their plugins."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from was_daemon.config.load import ConfigError
from was_daemon.config.settings import Settings, StoreSettings
from was_daemon.library.redirects import RULES
from was_daemon.model.interfaces import IAssetStore
from was_daemon.stores.layers.observed import observed
from was_daemon.telemetry.metrics import Metrics


@attrs.frozen
class BuiltStore:
    """A store, and everything that made it what it is."""

    store: IAssetStore
    origin: tuple[object, ...]


def build_stores(settings: Settings, before: Mapping[str, BuiltStore], metrics: Metrics) -> dict[str, BuiltStore]:
    """Return the stores by name, not connected yet; those of `before` that would come out the same stay.

    Raises `ConfigError` when one cannot do what is asked of it.
    """
    built = {
        name: _build_store(store, before.get(name), partial(observed, metrics=metrics, name=name))
        for name, store in settings.stores.items()
    }
    mistakes: list[str] = []
    for name, each in built.items():
        redirect = settings.stores[name].redirect
        if redirect and not RULES[redirect].needs.providedBy(each.store):
            plugin = settings.stores[name].plugin.name
            mistakes.append(f'stores.{name}.redirect: the plugin "{plugin}" has no {RULES[redirect].lacking}')
    if mistakes:
        raise ConfigError(mistakes)
    return built


def _build_store(
    settings: StoreSettings, before: BuiltStore | None, watched: Callable[[IAssetStore], IAssetStore]
) -> BuiltStore:
    origin = (settings.plugin, settings.options, *_files_named_by(settings.options))
    if before and before.origin == origin:
        return before
    return BuiltStore(watched(settings.plugin.create(settings.options)), origin)


def _files_named_by(options: Any) -> list[tuple[Path, int, int]]:
    """Return the files that a store's options called `..._file` name, with what changes when a password is replaced.

    No others are looked at: a store's directory may be on a mount that hangs.
    """
    found = []
    for name, path in attrs.asdict(options, recurse=False).items():
        if name.endswith("_file") and isinstance(path, Path) and path.is_file():
            status = path.stat()
            found.append((path, status.st_mtime_ns, status.st_ino))
    return found
