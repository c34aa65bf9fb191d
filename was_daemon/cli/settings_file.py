"""Read a Python settings file without executing it: literals, names, `environ.get` and `join`.

A setting that is assigned, or may be changed, in any other way has no value, and the line that does so is told instead.
"""

import ast
import posixpath
import re
from collections.abc import Iterator, Mapping
from importlib.util import decode_source
from pathlib import Path
from typing import Any

import attrs

from was_daemon.telemetry.redaction import without_secrets

_ENVIRON_GET = frozenset({"environ.get", "os.environ.get", "getenv", "os.getenv"})
_JOIN = frozenset({"join", "path.join", "os.path.join"})
_MODULES = frozenset({"os", "os.path"})
"""Modules whose names mean what they mean everywhere."""

_REACHES_EVERYTHING = frozenset({"exec", "eval", "globals", "locals", "vars", "setattr"})
"""Functions that may assign any setting."""

_EVERYTHING = "*"
_CONTAINERS = dict, list, set
_LONGEST_QUOTE = 100
_KEY = re.compile(r"\bKEY\b")


@attrs.frozen
class SettingsFile:
    """Settings in a Python file, by name.

    `values` are those that could be read, `unread` the lines that assign or change the others. `assumed` has the
    environment variables that a value was made of, and that were taken as not set because they are not known.
    """

    values: dict[str, Any] = attrs.field(factory=dict)
    unread: dict[str, str] = attrs.field(factory=dict)
    assumed: dict[str, tuple[str, ...]] = attrs.field(factory=dict)

    def unread_line(self, name: str) -> str | None:
        """Return the line that keeps a setting from being read; None when it was read, or is not in the file."""
        return None if name in self.values else self.unread.get(name, self.unread.get(_EVERYTHING))


def read_settings(path: Path, environ: Mapping[str, str]) -> SettingsFile:
    """Return the settings in the file at `path`; raises OSError, and `SyntaxError` or `ValueError` for no Python 3.

    `environ` is what is known of the environment of the server that the settings are for.
    """
    source = decode_source(path.read_bytes())
    reader = _Reader(source, environ)
    try:
        reader.read(ast.parse(source))
    except (RecursionError, MemoryError):
        raise ValueError("the file is nested too deeply") from None
    return reader.found


class _UnreadableError(Exception):
    """An expression of another kind than those that are read."""


class _Reader:
    """Reader of the statements of one file, from top to bottom."""

    def __init__(self, source: str, environ: Mapping[str, str]) -> None:
        self.found = SettingsFile()
        self._lines = source.split("\n")
        self._environ = environ
        self._assumed: list[str] = []
        """Unknown environment variables in the statement being read."""

    def read(self, module: ast.Module) -> None:
        for statement in module.body:
            match statement:
                case ast.Import(names=names) if all(each.name in _MODULES and not each.asname for each in names):
                    pass
                case ast.ImportFrom(module=name, names=names) if name in _MODULES and not any(n.asname for n in names):
                    pass
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._assign(statement, name, value)
                case _:
                    self._leave_out(statement)
        for node in ast.walk(module):
            # A function may assign these whenever it is called.
            if isinstance(node, ast.Global):
                self._leave_out(node)

    def _assign(self, statement: ast.Assign, name: str, value: ast.expr) -> None:
        self._assumed = []
        try:
            read = self._value(value)
        except (_UnreadableError, TypeError, ValueError):
            self._leave_out(statement)
        else:
            self.found.values[name] = read
            self.found.unread.pop(name, None)
            self.found.assumed[name] = tuple(self._assumed)

    def _value(self, node: ast.expr) -> Any:
        """Return the value of an expression; raises `_UnreadableError`, or TypeError or ValueError for a wrong one."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Tuple(elts=items):
                return tuple(map(self._value, items))
            case ast.List(elts=items):
                return list(map(self._value, items))
            case ast.Set(elts=items):
                return set(map(self._value, items))
            case ast.Dict(keys=keys, values=values) if None not in keys:
                return {self._value(key): self._value(value) for key, value in zip(keys, values, strict=True) if key}
            case ast.Name(id=name) if name in self.found.values:
                return self._named(name)
            case ast.Call(func=function, args=arguments, keywords=[]):
                return self._called(ast.unparse(function), [self._value(each) for each in arguments])
        raise _UnreadableError

    def _named(self, name: str) -> Any:
        value = self.found.values[name]
        if isinstance(value, (*_CONTAINERS, tuple)):
            # Whatever changes it by one of its names would have to be followed for the other.
            raise _UnreadableError
        self._assumed += self.found.assumed[name]
        return value

    def _called(self, function: str, arguments: list[Any]) -> Any:
        module = function.partition(".")[0]
        if module in self.found.values or self.found.unread_line(module):
            raise _UnreadableError
        if function in _JOIN:
            return posixpath.join(*arguments)
        if function in _ENVIRON_GET and len(arguments) in (1, 2) and isinstance(arguments[0], str):
            variable, default = arguments[0], arguments[-1] if len(arguments) > 1 else None
            if variable not in self._environ:
                self._assumed.append(variable)
            return self._environ.get(variable, default)
        raise _UnreadableError

    def _leave_out(self, node: ast.stmt) -> None:
        """Record that the names that a statement assigns or may change cannot be read."""
        names = set(self._changed(node))
        if _EVERYTHING in names:
            names |= self.found.values.keys()
        for name in names:
            self.found.values.pop(name, None)
            self.found.unread[name] = self._quoted(node)

    def _changed(self, statement: ast.stmt) -> Iterator[str]:
        """Yield the names that a statement assigns or may change, `_EVERYTHING` where it may be any."""
        for node in ast.walk(statement):
            match node:
                case ast.Name(id=name) if name in _REACHES_EVERYTHING:
                    yield _EVERYTHING
                case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                    yield name
                case ast.Name(id=name) if isinstance(self.found.values.get(name), _CONTAINERS):
                    yield name
                case ast.alias(name=name, asname=called):
                    yield called or name.partition(".")[0]
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    yield name
                case ast.Global(names=names):
                    yield from names

    def _quoted(self, node: ast.stmt) -> str:
        """Return the number of a statement's line, and its text unless the key may be in it."""
        lines = self._lines[node.lineno - 1 : node.end_lineno]
        if any(map(_KEY.search, lines)):
            return f"line {node.lineno}"
        line = without_secrets(lines[0].strip())
        return f"line {node.lineno}: {line if len(line) <= _LONGEST_QUOTE else line[:_LONGEST_QUOTE] + '...'}"
