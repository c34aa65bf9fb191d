"""Search for storage plugins."""

import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import ModuleInfo, iter_modules
from types import ModuleType

from twisted.logger import Logger
from twisted.python.failure import Failure

import storage_plugins
from was_daemon.config.structure import Mistakes
from was_daemon.model.interfaces import IStorePlugin

PLUGIN_DIRECTORY = storage_plugins.__name__
"""The directory on the plugin path that holds plugins."""

_log = Logger()


def _log_problem(file: Path, problem: str) -> None:
    # Critical events are printed at once: the log may not have begun.
    _log.critical("{problem}", problem=problem)


def find_plugins(
    paths: Iterable[Path] = (), debug: bool = False, tell: Callable[[Path, str], object] = _log_problem
) -> Mapping[str, IStorePlugin]:
    """Return the plugins on the plugin path, by their names in the configuration.

    `paths` are directories that hold a `storage_plugins` directory. A plugin found there replaces the daemon's own of
    the same name. A file that cannot be imported is left out. `tell` is called with it and with a sentence that says
    why; by default, the log says so. With `debug`, the log has a traceback, too.
    """
    for path in paths:
        directory = str(path / PLUGIN_DIRECTORY)
        if directory not in storage_plugins.__path__:
            storage_plugins.__path__.append(directory)
    return _Plugins(storage_plugins.__path__, debug, tell)


def why_lacking(name: object, available: Mapping[str, IStorePlugin], left_out: Mapping[Path, str]) -> str:
    """Return that no plugin has that name, and the problems of the files `left_out` that it may be in, or of its own.

    They are sentences such as `find_plugins` tells.
    """
    own = [problem for file, problem in left_out.items() if file.stem == str(name).replace("-", "_")]
    if own:
        return f'no plugin is called "{name}": {own[0]}'
    others = "".join(f"; {problem}" for problem in left_out.values())
    return f'no plugin is called "{name}"; there are {", ".join(sorted(available))}{others}'


def warn_of_left_out(left_out: Mapping[Path, str], mistakes: Mistakes) -> None:
    """Add the problems of files that are left out as warnings, but for those that a mistake tells."""
    for problem in left_out.values():
        if not any(problem in line for line in mistakes.lines):
            mistakes.warn(problem)


def plugin_path_problem(path: Path) -> str | None:
    """Return what is wrong with a directory that is to hold a `storage_plugins` directory, and what to write."""
    # By functions of `os.path`: a Path raises where this user may not look.
    if os.path.isdir(path / PLUGIN_DIRECTORY):  # noqa: PTH112
        return None
    above = next((each.parent for each in (path, *path.parents) if each.name == PLUGIN_DIRECTORY), None)
    if above and os.path.exists(path):  # noqa: PTH110
        return f'{path}: the directory above {PLUGIN_DIRECTORY} is needed: "{above}"'
    if os.path.isfile(path):  # noqa: PTH113
        return f'{path} is a file: put it into "{path.parent / PLUGIN_DIRECTORY}", and write "{path.parent}" here'
    if not os.path.isdir(path):  # noqa: PTH112
        return f"{path}: there is no such directory"
    return f"{path} has no directory {PLUGIN_DIRECTORY}: put the plugins into {path / PLUGIN_DIRECTORY}"


class _Plugins(Mapping[str, IStorePlugin]):
    """Plugins in `directories`, by their names.

    Unlike `twisted.plugin`, this reports a broken file in one line, and imports the daemon's own plugins only when they
    are asked for: SSH and HTTP take most of the time of its start.
    """

    def __init__(self, directories: Iterable[str], debug: bool, tell: Callable[[Path, str], object]) -> None:
        self._debug = debug
        self._tell = tell
        self._found: dict[str, IStorePlugin] = {}
        self._waiting: dict[str, Path] = {}
        own = str(Path(storage_plugins.__file__).parent)
        for directory in directories:
            for module in _modules(directory):
                file = Path(directory, f"{module.name}.py")
                if directory == own:
                    self._waiting[module.name] = file
                else:
                    self._add(file)

    def _add(self, file: Path) -> None:
        """Add the plugins in a file of the operator's."""
        for name, plugin in self._plugins_in(file).items():
            if name in self._found:
                self._tell(file, f'{file} is left out: another file has a plugin called "{name}", too')
            else:
                self._found[name] = plugin

    def _plugins_in(self, file: Path) -> dict[str, IStorePlugin]:
        module = self._module_in(file)
        plugins = {}
        for value in vars(module).values() if module else ():
            if not IStorePlugin.providedBy(value):
                continue
            if not isinstance(getattr(value, "name", None), str):
                self._tell(file, f"{file}: a plugin without a name is left out")
            else:
                plugins[value.name] = value
        return plugins

    def _module_in(self, file: Path) -> ModuleType | None:
        path = str(file)
        try:
            loaded = import_module(f"{storage_plugins.__name__}.{file.stem}")
        except (Exception, SystemExit) as error:
            self._tell(file, f"{path} is left out, it cannot be imported: {_reason(error, path)}")
            if self._debug:
                _log.failure("{path}", Failure(), path=path)
            return None
        if loaded.__file__ != path:
            self._tell(file, f"{path} is left out: {loaded.__file__} has the same name")
            return None
        return loaded

    def _import(self, names: Iterable[str]) -> None:
        for name in names:
            self._found = self._plugins_in(self._waiting.pop(name)) | self._found

    def __getitem__(self, name: str) -> IStorePlugin:
        if name not in self._found:
            # The file of a plugin called "asset-server" has a name that Python can import.
            self._import({name.replace("-", "_")} & self._waiting.keys())
        if name not in self._found:
            self._import(list(self._waiting))
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        self._import(list(self._waiting))
        return iter(self._found)

    def __len__(self) -> int:
        self._import(list(self._waiting))
        return len(self._found)


def _modules(directory: str) -> Iterable[ModuleInfo]:
    return (each for each in iter_modules([directory]) if not each.ispkg)


def _reason(error: BaseException, path: str) -> str:
    """Return the error in one line, with the line of the file that raised it."""
    text = " ".join(traceback.format_exception_only(error)[-1].split())
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    line = error.lineno if isinstance(error, SyntaxError) else next(reversed(lines), None)
    return f"{text} (line {line})" if line else text
