"""Finding the storage plugins."""

import traceback
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from pkgutil import ModuleInfo, iter_modules
from types import ModuleType

from twisted.logger import Logger
from twisted.python.failure import Failure

import storage_plugins
from was_daemon.interfaces import IAssetStorePlugin

_log = Logger()


def find_plugins(paths: Iterable[Path] = (), debug: bool = False) -> dict[str, IAssetStorePlugin]:
    """The plugins on the plugin path, by the name the config knows them under.

    `paths` are directories that hold a `storage_plugins` directory. One that is a plugin of the daemon's own name takes
    its place; a file that cannot be imported is left out, and the log says why, with a traceback if `debug`.
    """
    for path in paths:
        directory = str(path / "storage_plugins")
        if directory not in storage_plugins.__path__:
            storage_plugins.__path__.append(directory)
    # Not twisted.plugin's getPlugins: a file with a mistake gets a long traceback there.
    files = [
        Path(directory, f"{each.name}.py") for directory in storage_plugins.__path__ for each in _modules(directory)
    ]
    modules = [_load(file, debug) for file in files]
    found = [value for module in modules if module for value in vars(module).values()]
    return {plugin.name: plugin for plugin in found if IAssetStorePlugin.providedBy(plugin)}


def _modules(directory: str) -> Iterable[ModuleInfo]:
    return (each for each in iter_modules([directory]) if not each.ispkg)


def _load(file: Path, debug: bool) -> ModuleType | None:
    path = str(file)
    try:
        loaded = import_module(f"{storage_plugins.__name__}.{file.stem}")
    except Exception as error:
        # Critical lines are printed at once: the log may not have begun when the configuration is read.
        _log.critical("{path} is left out, it cannot be imported: {reason}", path=path, reason=_reason(error, path))
        if debug:
            _log.failure("{path}", Failure(), path=path)
        return None
    if loaded.__file__ != path:
        _log.critical("{path} is left out: {other} has the same name", path=path, other=loaded.__file__)
        return None
    return loaded


def _reason(error: Exception, path: str) -> str:
    """The error in a line, and the place in the file where it came from."""
    text = " ".join(traceback.format_exception_only(error)[-1].split())
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    line = error.lineno if isinstance(error, SyntaxError) else next(reversed(lines), None)
    return f"{text} (line {line})" if line else text
