"""What an expression in a Python file is, told without executing it.

Literals, names, texts put together, arithmetic, decisions, and the few functions that settings use.
"""

import ast
import operator
import os.path
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
    ast.Mult: lambda left, right: _factor(left) * _factor(right),
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
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

_FAULTS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
_COMPUTED = "it is computed when the server starts"
_LARGEST_FACTOR = 1 << 64


def _factor(value: Any) -> Any:
    """A number that multiplies no text, and makes no number of a million digits."""
    if not isinstance(value, int | float) or abs(value) > _LARGEST_FACTOR:
        raise Unread(_COMPUTED)
    return value


class Unread(Exception):
    """Part of the file cannot be told by looking; the message says why."""


class Expressions:
    """Those of the file at `path`.

    `names` are the values of the names that are known so far, `imported` what imported names stand for, `environ` is
    what is known of the environment; the variables that are asked for and not known are added to `defaults`.
    """

    def __init__(self, path: Path, environ: Mapping[str, str], names: dict[str, Any], defaults: list[str]) -> None:
        self.names = names
        self.imported: dict[str, str] = {}
        self._path = path
        self._environ = environ
        self._defaults = defaults

    def value(self, node: ast.expr) -> Any:
        """What the expression is; raises `Unread`."""
        try:
            return self._look(node)
        except _FAULTS as error:
            raise Unread(f"it makes an error, {type(error).__name__}") from None

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
        raise Unread(_COMPUTED)

    def _name(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            if node.id == "__file__":
                return str(self._path.resolve())
            if node.id in self.names:
                return self.names[node.id]
        raise Unread(f"{ast.unparse(node)} is not known")

    def _formatted(self, form: Any, values: Any) -> str:
        if not isinstance(form, str) or not _PLAIN_FORMAT.fullmatch(form):
            raise Unread(_COMPUTED)
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
        function = self._dotted(node.func)
        arguments, options = self.arguments(node)
        if function in ("os.environ.get", "os.getenv"):
            return self._variable(*arguments, **options)
        if function in _FUNCTIONS:
            return _FUNCTIONS[function](*arguments, **options)
        if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            target = self._look(node.func.value)
            if isinstance(target, str | dict):
                return getattr(target, node.func.attr)(*arguments, **options)
        raise Unread(f"{ast.unparse(node.func)}() is not called here")

    def arguments(self, node: ast.Call) -> tuple[list[Any], dict[str, Any]]:
        """What a function is called with; raises `Unread`, and what wrong expressions raise."""
        if any(keyword.arg is None for keyword in node.keywords):
            raise Unread(_COMPUTED)
        arguments = [self._look(argument) for argument in node.args]
        return arguments, {str(keyword.arg): self._look(keyword.value) for keyword in node.keywords}

    def _variable(self, key: str, default: Any = None) -> Any:
        self._note_variable(key)
        return self._environ.get(key, default)

    def _required_variable(self, name: str) -> str:
        if name not in self._environ:
            raise Unread(f"the variable {name} of the environment is not known")
        return self._environ[name]

    def _note_variable(self, name: str) -> None:
        if name not in self._environ and name not in self._defaults:
            self._defaults.append(name)

    def _is_environ(self, node: ast.expr) -> bool:
        return self._dotted(node) == "os.environ"

    def _dotted(self, node: ast.expr) -> str:
        """What a function is called by its module; "" for what is none."""
        match node:
            case ast.Name(id=name):
                return self.imported.get(name, name)
            case ast.Attribute(value=value, attr=attribute):
                start = self._dotted(value)
                return f"{start}.{attribute}" if start else ""
        return ""
