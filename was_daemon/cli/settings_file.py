"""Reads a Python file of settings without executing it: what it assigns, as far as that can be said by looking.

Assignments, changes of dictionaries, decisions, and files beside it. Everything else is left unread, with the reason.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from was_daemon.cli.settings_values import Expressions, Unread

_COMPUTED = "it is computed when the server starts"
_NOT_SIMPLE = "the assignment is not a simple one"
_FOLLOWED = frozenset({"update", "pop", "setdefault", "clear"})
"""What may be done to a dictionary after it was assigned."""

_READING = frozenset({"get", "items", "keys", "values", "copy", "index", "count"})
_HARMLESS = frozenset({"print"})


@attrs.frozen
class SettingsFile:
    """What was found.

    `values` are the values of the names that the file assigns, `unread` the reasons for those that have none,
    `defaults` the variables of the environment that the file asks for and that are not known.
    """

    values: dict[str, Any] = attrs.field(factory=dict)
    unread: dict[str, str] = attrs.field(factory=dict)
    defaults: list[str] = attrs.field(factory=list)


def read_settings(path: Path, environ: Mapping[str, str]) -> SettingsFile:
    """Read the file at `path`; raises OSError, and `SyntaxError` or `ValueError` when it is no Python.

    `environ` is what is known of the environment that the file's server runs in.
    """
    found = SettingsFile()
    _Reader(path, environ, found, set()).read()
    return found


class _Reader:
    """Reads one file, from its top to its bottom."""

    def __init__(self, path: Path, environ: Mapping[str, str], found: SettingsFile, open_files: set[Path]) -> None:
        self._path = path
        self._environ = environ
        self._found = found
        self._open_files = open_files | {path}
        self._expressions = Expressions(path, environ, found.values, found.defaults)

    def read(self) -> None:
        try:
            self._run(ast.parse(self._path.read_bytes()).body)
        except (RecursionError, MemoryError):
            raise ValueError("the file is nested too deeply") from None

    def _run(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            match statement:
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._assign(target, value)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    self._assign(target, value)
                case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
                    self._assign(target, ast.BinOp(ast.Name(name, ast.Load(), lineno=target.lineno), op, value))
                case ast.Import(names=names):
                    for alias in names:
                        name = alias.name if alias.asname else alias.name.partition(".")[0]
                        self._expressions.imported[alias.asname or name] = name
                case ast.ImportFrom(module=str(module), names=names):
                    self._import_from(module, names)
                case ast.If(test=test, body=body, orelse=orelse):
                    self._decide(statement, test, body, orelse)
                case ast.Try(body=body):
                    self._run(body)
                case ast.Expr(value=value):
                    self._change(statement, value)
                case ast.Delete(targets=targets):
                    for target in targets:
                        self._delete(target)
                case _:
                    self._leave_out(statement, _COMPUTED)

    # -- assignments ---------------------------------------------------------------------------------------------------

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        match target:
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                for each, part in zip(targets, self._parts(value, len(targets)), strict=True):
                    self._set(each, part)
            case _:
                self._set(target, self._told(value))

    def _told(self, value: ast.expr) -> Any:
        """What an expression is, or why that cannot be told."""
        try:
            return self._expressions.value(value)
        except Unread as error:
            return error

    def _parts(self, value: ast.expr, number: int) -> list[Any]:
        """The parts of what is assigned to so many names at once, each as `_told`."""
        if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == number:
            return [self._told(part) for part in value.elts]
        told = self._told(value)
        if isinstance(told, tuple | list) and len(told) == number:
            return list(told)
        return [told if isinstance(told, Unread) else Unread(_NOT_SIMPLE)] * number

    def _set(self, target: ast.expr, told: Any) -> None:
        match target:
            case ast.Name() if isinstance(told, Unread):
                self._leave_out(target, str(told))
            case ast.Name(id=name):
                self._found.values[name] = told
                self._found.unread.pop(name, None)
            case ast.Subscript(value=ast.Name(id=name), slice=key) if isinstance(self._found.values.get(name), dict):
                try:
                    if isinstance(told, Unread):
                        raise told
                    self._found.values[name][self._expressions.value(key)] = told
                except (Unread, TypeError):
                    self._leave_out(target, "an entry of it cannot be told")
            case _:
                self._leave_out(target, _NOT_SIMPLE)

    # -- changes -------------------------------------------------------------------------------------------------------

    def _change(self, statement: ast.stmt, value: ast.expr) -> None:
        """Follow what a statement does to a dictionary, such as `DIRECTORIES.update(...)`."""
        match value:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if (
                method in _FOLLOWED and isinstance(self._found.values.get(name), dict)
            ):
                try:
                    arguments, options = self._expressions.arguments(value)
                    getattr(self._found.values[name], method)(*arguments, **options)
                except (Unread, TypeError, ValueError, LookupError):
                    self._leave_out(statement, f".{method}() changes it when the server starts")
            case ast.Call(func=ast.Name(id=name)) if name in _HARMLESS:
                pass
            case _:
                self._leave_out(statement, "it may be changed when the server starts")

    def _delete(self, target: ast.expr) -> None:
        match target:
            case ast.Name(id=name):
                self._found.values.pop(name, None)
                self._found.unread.pop(name, None)
            case ast.Subscript(value=ast.Name(id=name), slice=key) if isinstance(self._found.values.get(name), dict):
                try:
                    del self._found.values[name][self._expressions.value(key)]
                except (Unread, TypeError, LookupError):
                    self._leave_out(target, "which entries of it are deleted cannot be told")
            case _:
                self._leave_out(target, _COMPUTED)

    # -- other files, decisions ----------------------------------------------------------------------------------------

    def _import_from(self, module: str, names: list[ast.alias]) -> None:
        """Take names over from a file beside this one, such as `secret_key`; functions are known by their names."""
        path = self._path.with_name(f"{module}.py")
        if not path.is_file() or path in self._open_files:
            for alias in names:
                called = alias.asname or alias.name
                self._expressions.imported[called] = f"{module}.{alias.name}"
                self._found.values.pop(called, None)
                self._found.unread[called] = f"it comes from {module}, which is not beside the file"
            return
        other = SettingsFile(defaults=self._found.defaults)
        _Reader(path, self._environ, other, self._open_files).read()
        wanted = {alias.name: alias.asname or alias.name for alias in names}
        if "*" in wanted:
            wanted = {name: name for name in (*other.values, *other.unread) if not name.startswith("_")}
        for name, called in wanted.items():
            if name in other.values:
                self._found.values[called] = other.values[name]
                self._found.unread.pop(called, None)
            else:
                self._found.values.pop(called, None)
                self._found.unread[called] = other.unread.get(name, f"{module}.py does not assign it")

    def _decide(self, statement: ast.If, test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt]) -> None:
        is_so = self._told(test)
        if isinstance(is_so, Unread):
            self._leave_out(statement, f"it is decided when the server starts: {is_so}")
        else:
            self._run(body if is_so else orelse)

    def _leave_out(self, node: ast.AST, reason: str) -> None:
        """All that the node assigns, or may change, cannot be told."""
        for name in (*_assigned(node), *self._changeable(node)):
            self._found.values.pop(name, None)
            self._found.unread[name] = f"line {getattr(node, 'lineno', 1)}: {reason}"

    def _changeable(self, node: ast.AST) -> Iterator[str]:
        """The names in `node` of what can be changed without being assigned, but for those that are only read."""
        read = {id(part) for each in ast.walk(node) for part in _read(each)}
        for each in ast.walk(node):
            if not isinstance(each, ast.Name) or id(each) in read:
                continue
            if isinstance(self._found.values.get(each.id), dict | list | set):
                yield each.id


def _read(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of `node` that it only looks at."""
    match node:
        case ast.Subscript(value=value, ctx=ast.Load()):
            yield value
        case ast.Attribute(value=value, attr=method) if method in _READING:
            yield value
        case ast.For(iter=items) | ast.comprehension(iter=items):
            yield items


def _assigned(node: ast.AST) -> Iterator[str]:
    """The names that `node` assigns or deletes, or entries of them."""
    for each in ast.walk(node):
        if not isinstance(each, ast.Name | ast.Subscript) or isinstance(each.ctx, ast.Load):
            continue
        changed: ast.expr = each
        while isinstance(changed, ast.Subscript):
            changed = changed.value
        if isinstance(changed, ast.Name):
            yield changed.id
