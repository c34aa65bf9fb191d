"""Reads a Python file of settings without executing it: what it assigns, as far as that can be said by looking.

Literals, names, texts put together, decisions, and the few functions that settings use. Everything else is left unread,
with the reason.
"""

import ast
import operator
import os.path
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "os.path.join": os.path.join,
    "os.path.dirname": os.path.dirname,
    "os.path.abspath": os.path.normpath,
    "os.path.normpath": os.path.normpath,
    "str": str,
    "int": int,
    "bool": bool,
    "dict": dict,
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}
_METHODS = frozenset(
    {"lower", "upper", "strip", "lstrip", "rstrip", "startswith", "endswith", "replace", "split", "get"}
)
_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.BitOr: operator.or_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, container: item in container,
    ast.NotIn: lambda item, container: item not in container,
}
_PLAIN_FORMAT = re.compile(r"(?:[^%]|%[sd%])*")
"""Formats that cannot ask for a gigabyte of spaces."""

_FAULTS = (ValueError, TypeError, LookupError, AttributeError, OverflowError)


class _Unread(Exception):
    """Part of the file cannot be told by looking; the message says why."""


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
        self._imported: dict[str, str] = {}

    def read(self) -> None:
        try:
            self._run(ast.parse(self._path.read_bytes()).body)
        except (RecursionError, MemoryError):
            raise ValueError("the file is nested too deeply") from None

    # -- statements ----------------------------------------------------------------------------------------------------

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
                        self._imported[alias.asname or name] = name
                case ast.ImportFrom(module=str(module), names=names):
                    self._import_from(module, names)
                case ast.If(test=test, body=body, orelse=orelse):
                    self._decide(statement, test, body, orelse)
                case ast.Try(body=body):
                    self._run(body)
                case _:
                    self._leave_out(statement, "it is computed when the server starts")

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        match target:
            case ast.Name(id=name):
                try:
                    self._found.values[name] = self._value(value)
                    self._found.unread.pop(name, None)
                except _Unread as error:
                    self._leave_out(target, str(error))
            case ast.Subscript(value=ast.Name(id=name), slice=key) if isinstance(self._found.values.get(name), dict):
                try:
                    self._found.values[name][self._value(key)] = self._value(value)
                except (_Unread, TypeError):
                    self._leave_out(target, "an entry of it cannot be told")
            case _:
                self._leave_out(target, "the assignment is not a simple one")

    def _import_from(self, module: str, names: list[ast.alias]) -> None:
        """Take names over from a file beside this one, such as `secret_key`; functions are known by their names."""
        path = self._path.with_name(f"{module}.py")
        if not path.is_file() or path in self._open_files:
            for alias in names:
                called = alias.asname or alias.name
                self._imported[called] = f"{module}.{alias.name}"
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
        try:
            is_so = self._value(test)
        except _Unread as error:
            self._leave_out(statement, f"it is decided when the server starts: {error}")
            return
        self._run(body if is_so else orelse)

    def _leave_out(self, node: ast.AST, reason: str) -> None:
        for name in _assigned(node):
            self._found.values.pop(name, None)
            self._found.unread[name] = f"line {getattr(node, 'lineno', 1)}: {reason}"

    # -- expressions ---------------------------------------------------------------------------------------------------

    def _value(self, node: ast.expr) -> Any:
        try:
            return self._look(node)
        except _FAULTS as error:
            raise _Unread(f"it makes an error, {type(error).__name__}") from None

    def _look(self, node: ast.expr) -> Any:
        look = self._look
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name() | ast.Attribute():
                return self._name(node)
            case ast.Tuple(elts=items):
                return tuple(map(look, items))
            case ast.List(elts=items):
                return list(map(look, items))
            case ast.Set(elts=items):
                return set(map(look, items))
            case ast.Dict(keys=keys, values=values) if all(keys):
                return {look(key): look(value) for key, value in zip(keys, values, strict=True) if key}
            case ast.JoinedStr(values=parts):
                return "".join(str(look(part)) for part in parts)
            case ast.FormattedValue(value=value, format_spec=None):
                return look(value)
            case ast.BinOp(left=left, op=ast.Mod(), right=right):
                return self._formatted(look(left), look(right))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](look(left), look(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
                return self._compared(op, left, right)
            case ast.BoolOp(op=op, values=values):
                return self._combined(isinstance(op, ast.And), values)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not look(operand)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -look(operand)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return look(body) if look(test) else look(orelse)
            case ast.Subscript(value=value, slice=key) if self._is_environ(value):
                return self._required_variable(look(key))
            case ast.Subscript(value=value, slice=key):
                return look(value)[look(key)]
            case ast.Call():
                return self._called(node)
        raise _Unread("it is computed when the server starts")

    def _name(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            if node.id == "__file__":
                return str(self._path.resolve())
            if node.id in self._found.values:
                return self._found.values[node.id]
        raise _Unread(f"{ast.unparse(node)} is not known")

    def _formatted(self, form: Any, values: Any) -> str:
        if not isinstance(form, str) or not _PLAIN_FORMAT.fullmatch(form):
            raise _Unread("it is computed when the server starts")
        return str(form % values)

    def _compared(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> Any:
        if isinstance(op, ast.In | ast.NotIn) and self._is_environ(right):
            name = self._look(left)
            self._note_variable(name)
            return (name in self._environ) == isinstance(op, ast.In)
        return _OPERATORS[type(op)](self._look(left), self._look(right))

    def _combined(self, is_and: bool, values: list[ast.expr]) -> Any:
        result = None
        for value in values:
            result = self._look(value)
            if bool(result) != is_and:
                break
        return result

    def _called(self, node: ast.Call) -> Any:
        if any(keyword.arg is None for keyword in node.keywords):
            raise _Unread("it is computed when the server starts")
        function = self._dotted(node.func)
        arguments = [self._look(argument) for argument in node.args]
        options = {str(keyword.arg): self._look(keyword.value) for keyword in node.keywords}
        if function in ("os.environ.get", "os.getenv"):
            return self._variable(*arguments, **options)
        if function in _FUNCTIONS:
            return _FUNCTIONS[function](*arguments, **options)
        if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            target = self._look(node.func.value)
            if isinstance(target, str | dict):
                return getattr(target, node.func.attr)(*arguments, **options)
        raise _Unread(f"{ast.unparse(node.func)}() is not called here")

    def _variable(self, key: str, default: Any = None) -> Any:
        self._note_variable(key)
        return self._environ.get(key, default)

    def _required_variable(self, name: str) -> str:
        if name not in self._environ:
            raise _Unread(f"the variable {name} of the environment is not known")
        return self._environ[name]

    def _note_variable(self, name: str) -> None:
        if name not in self._environ and name not in self._found.defaults:
            self._found.defaults.append(name)

    def _is_environ(self, node: ast.expr) -> bool:
        return self._dotted(node) == "os.environ"

    def _dotted(self, node: ast.expr) -> str:
        """What a function is called by its module; "" for what is none."""
        match node:
            case ast.Name(id=name):
                return self._imported.get(name, name)
            case ast.Attribute(value=value, attr=attribute):
                start = self._dotted(value)
                return f"{start}.{attribute}" if start else ""
        return ""


def _assigned(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            yield each.id
        elif isinstance(each, ast.Subscript) and isinstance(each.ctx, ast.Store) and isinstance(each.value, ast.Name):
            yield each.value.id
