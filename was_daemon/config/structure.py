"""Conversion of tables to attrs classes by cattrs, strictly, with every mistake reported with its key.

The hooks here refuse values that cattrs would convert (`"12"` is no integer, `1` is no boolean).
"""

import enum
import json
import math
import re
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import attrs
from cattrs import BaseValidationError, Converter
from cattrs.cols import is_sequence, list_structure_factory
from cattrs.errors import (
    AttributeValidationNote,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
)
from cattrs.gen import make_dict_structure_fn, override

from was_daemon.config.paths import PathResolver
from was_daemon.config.secret_files import SecretFile, check_permissions
from was_daemon.config.secret_values import redact, secrets_in
from was_daemon.config.validators import FieldValidator, InvalidValue
from was_daemon.model.durations import seconds_in

T = TypeVar("T")

_SIZE = re.compile(r"([0-9]+)\s*(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)?")
_UNITS = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}


_NOTHING = object()


class UnexpectedValue(ValueError):
    """A value of another kind than `expected`; the message quotes it, if it is given."""

    def __init__(self, expected: str, value: Any = _NOTHING) -> None:
        super().__init__(f"expected {expected}" + ("" if value is _NOTHING else f", got {_quoted(value)}"))
        self.expected = expected


class Size(int):
    """Number of bytes, in a table also a text such as "4 GiB"."""


class Rate(int):
    """Number of bytes a second, in a table also a text such as "20 MiB/s"."""


class Duration(float):
    """Number of seconds, in a table also a text such as "90 days"."""


@attrs.frozen
class Mistakes:
    """Mistakes in a configuration, a line each, and warnings.

    `weak_keys` are mistakes that do not keep the daemon from starting: it would lock out Specify, which has those keys.
    """

    lines: list[str] = attrs.field(factory=list)
    weak_keys: list[str] = attrs.field(factory=list)
    warnings: list[str] = attrs.field(factory=list)

    def add(self, key: str, reason: str) -> None:
        """Add that the value of `key` is wrong."""
        self.lines.append(f"{key}: {reason}")

    def are_about(self, key: str) -> bool:
        """Return whether the value of `key`, or an item of it, is wrong, so that its default stands for it."""
        return any(line.startswith((f"{key}: ", f"{key}[")) for line in self.lines)

    def warn(self, reason: str) -> None:
        """Add a warning, unless it is there already."""
        if reason not in self.warnings:
            self.warnings.append(reason)


def structure(table: Any, cls: type[T], key: str, paths: PathResolver, mistakes: Mistakes) -> T | None:
    """Return an instance of the attrs class `cls`; add wrong values in `table` to `mistakes` and leave them out.

    Return None when no instance can be made without them. `key` is the name of the table.
    """
    converter = _converter(paths, mistakes)
    secrets = list(secrets_in(table, cls, key).values())
    rest = table
    while rest is not _NOTHING:
        try:
            return converter.structure(rest, cls)
        except (BaseValidationError, ValueError) as error:
            # Later rounds only miss the values that were left out, which are reported already.
            if rest is table:
                found = Mistakes()
                _report(error, key, found)
                # The messages of validators quote the value.
                mistakes.lines.extend(redact(secrets, line) for line in found.lines)
            rest = _without_mistakes(rest, error)
    return None


def _without_mistakes(value: Any, error: Exception) -> Any:
    """Return `value` without the wrong parts, or `_NOTHING` when all of it is wrong, or something is missing."""
    # A list is kept or left out as a whole: mistakes in it are reported by index.
    if not isinstance(error, ClassValidationError | IterableValidationError) or not isinstance(value, dict):
        return _NOTHING
    located, others = error.group_exceptions()
    wrong = {note.name if isinstance(note, AttributeValidationNote) else note.index: inner for inner, note in located}
    for other in others:
        if not isinstance(other, ForbiddenExtraKeysError):
            return _NOTHING
        wrong |= dict.fromkeys(other.extra_fields, other)
    if any(isinstance(inner, KeyError) for inner in wrong.values()):
        return _NOTHING
    rests = {key: _without_mistakes(inner, wrong[key]) if key in wrong else inner for key, inner in value.items()}
    return {key: rest for key, rest in rests.items() if rest is not _NOTHING}


def _report(error: Exception, key: str, mistakes: Mistakes, is_secret: bool = False) -> None:
    """Add what is wrong with the value of `key`, which is not quoted if it is a secret, or has secrets in it."""
    if isinstance(error, ClassValidationError):
        located, others = error.group_exceptions()
        for inner, attribute in located:
            # Secrets are kept out of logs as out of reprs.
            is_hidden = is_secret or not attrs.fields_dict(error.cl)[attribute.name].repr
            _report(inner, f"{key}.{attribute.name}", mistakes, is_hidden)
        for other in others:
            _report(other, key, mistakes, is_secret)
    elif isinstance(error, IterableValidationError):
        for inner, item in error.group_exceptions()[0]:
            place = f"{key}[{item.index}]" if isinstance(item.index, int) else f"{key}.{item.index}"
            _report(inner, place, mistakes, is_secret)
    elif isinstance(error, ForbiddenExtraKeysError):
        for name in sorted(error.extra_fields):
            mistakes.add(f"{key}.{name}", "unknown key")
    elif isinstance(error, KeyError):
        mistakes.add(key, "is missing")
    elif is_secret:
        mistakes.add(key, f"expected {error.expected}" if isinstance(error, UnexpectedValue) else "is not valid")
    elif isinstance(error, InvalidValue):
        for place, reason in error.problems:
            mistakes.add(f"{key}{place}", reason)
    else:
        # The validators of attrs put a sentence first, and the attribute and the value behind it.
        mistakes.add(key, str(error.args[0]) if error.args else type(error).__name__)


def _converter(paths: PathResolver, mistakes: Mistakes) -> Converter:
    converter = Converter()
    for cls, name in [(bool, "true or false"), (int, "an integer"), (str, "a text")]:
        converter.register_structure_hook(cls, _exactly(cls, name))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(Size, _size)
    converter.register_structure_hook(Rate, _rate)
    converter.register_structure_hook(Duration, _duration)
    converter.register_structure_hook(Path, lambda value, _: paths.resolve(_text(value)))
    converter.register_structure_hook(SecretFile, lambda value, cls: _secret_file(cls, _text(value), paths, mistakes))
    converter.register_structure_hook(IPv4Network | IPv6Network, _network)
    converter.register_structure_hook(bool | Literal["private"], _truth_or_word)
    converter.register_structure_hook_func(lambda cls: isinstance(cls, type) and issubclass(cls, enum.Enum), _member)
    converter.register_structure_hook_factory(attrs.has, lambda cls: _table_hook(cls, converter))
    # A text is iterable too, and would become a list of its letters.
    converter.register_structure_hook_factory(is_sequence, lambda cls: _list_hook(cls, converter))
    return converter


def _exactly(cls: type, name: str) -> Callable[[Any, Any], Any]:
    def convert(value: Any, _: Any) -> Any:
        if type(value) is not cls:
            raise UnexpectedValue(name, value)
        return value

    return convert


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise UnexpectedValue("a text", value)
    return value


def _secret_file(cls: type[SecretFile], text: str, paths: PathResolver, mistakes: Mistakes) -> SecretFile:
    path = cls(paths.resolve(text))
    warning = check_permissions(path)
    if warning:
        mistakes.warn(warning)
    return path


def _number(value: Any, _: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise UnexpectedValue("a number", value)
    return float(value)


def _size(value: Any, _: Any) -> Size:
    match = _SIZE.fullmatch(str(value).strip()) if type(value) in (int, str) else None
    if not match:
        raise UnexpectedValue('a size such as "4 GiB"', value)
    return Size(int(match[1]) * _UNITS[match[2] or "B"])


def _rate(value: Any, _: Any) -> Rate:
    try:
        return Rate(_size(value.removesuffix("/s") if type(value) is str else value, None))
    except ValueError:
        raise ValueError(f'expected a rate such as "20 MiB/s", got {_quoted(value)}') from None


def _duration(value: Any, _: Any) -> Duration:
    with suppress(ValueError):
        if type(value) in (int, float, str):
            return Duration(seconds_in(str(value), unit="s"))
    raise ValueError(f'expected a time such as "90 days", "5 min" or "30 s", got {_quoted(value)}')


def _network(value: Any, _: Any) -> IPv4Network | IPv6Network:
    try:
        return ip_network(_text(value))
    except ValueError:
        raise UnexpectedValue("an address or network", value) from None


def _truth_or_word(value: Any, cls: Any) -> bool | str:
    (word,) = get_args(get_args(cls)[1])
    if isinstance(value, bool):
        return value
    if value == word:
        return str(word)
    raise ValueError(f"expected true, false or {_quoted(word)}, got {_quoted(value)}")


def _member(value: Any, cls: type[enum.Enum]) -> enum.Enum:
    for member in cls:
        if member.value == value:
            return member
    known = " or ".join(_quoted(member.value) for member in cls)
    raise UnexpectedValue(known, value)


def _table_hook(cls: type, converter: Converter) -> Callable[[Any, Any], Any]:
    validated: dict[str, Any] = {
        field.name: override(struct_hook=_validated_hook(field, converter))
        for field in attrs.fields(cls)
        if isinstance(field.validator, FieldValidator)
    }
    convert: Callable[[Any, Any], Any] = make_dict_structure_fn(
        cls, converter, _cattrs_forbid_extra_keys=True, **validated
    )

    def structured(value: Any, type_: Any) -> Any:
        if not isinstance(value, dict):
            # The value is not quoted: it may be a secret.
            raise UnexpectedValue("a table")
        return convert(value, type_)

    return structured


def _validated_hook(field: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    """Return a hook that validates a value by itself: the class' `__init__` would stop at the first mistake."""

    def structured(value: Any, type_: Any) -> Any:
        result = converter.structure(value, type_)
        field.validator(None, field, result)
        return result

    return structured


def _list_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    convert = list_structure_factory(cls, converter)

    def structured(value: Any, type_: Any) -> Any:
        if not isinstance(value, list):
            raise UnexpectedValue("a list", value)
        return convert(value, type_)

    return structured


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
