"""Finding the storage plugins."""

from collections.abc import Iterable
from pathlib import Path

from twisted.plugin import getPlugins

import storage_plugins
from was_daemon.interfaces import IAssetStorePlugin


def find_plugins(paths: Iterable[Path] = ()) -> dict[str, IAssetStorePlugin]:
    """The plugins on the plugin path, by the name the config knows them under.

    `paths` are directories that hold a `storage_plugins` directory. One that is a plugin of the daemon's own name takes
    its place; one that cannot be imported is logged and left out.
    """
    for path in paths:
        directory = str(path / "storage_plugins")
        if directory not in storage_plugins.__path__:
            storage_plugins.__path__.append(directory)
    return {plugin.name: plugin for plugin in getPlugins(IAssetStorePlugin, storage_plugins)}
