"""Validators for the fields of settings, which no instance gets past.

`structure` runs them value by value, so that all mistakes are reported at once, each with its key.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import attrs


class InvalidValue(ValueError):
    """A value that a setting must not have.

    `problems` are pairs of a place in the value, such as "[1]" for an item of a list or "" for all of it, and a reason.
    """

    def __init__(self, name: str, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}{place}: {reason}" for place, reason in problems))
        self.problems = problems


@attrs.frozen
class FieldValidator:
    """Validator of a field, or with `each` of every item of a list, that knows no other field.

    `find_problem` returns what is wrong with a value, None if nothing is.
    """

    find_problem: Callable[[Any], str | None]
    each: bool = False

    def __call__(self, instance: object, attribute: Any, value: Any) -> None:
        """Raise `InvalidValue` if there is something wrong with `value`."""
        items = [(f"[{index}]", item) for index, item in enumerate(value)] if self.each else [("", value)]
        problems = [(place, problem) for place, item in items if (problem := self.find_problem(item))]
        if problems:
            raise InvalidValue(attribute.name, problems)


def at_least(least: float, each: bool = False) -> FieldValidator:
    """Return a validator of numbers that are not smaller than `least`."""
    return FieldValidator(lambda value: f"must be at least {least}, got {value}" if value < least else None, each)


def in_range(least: int, most: int) -> FieldValidator:
    """Return a validator of numbers from `least` to `most`."""
    return FieldValidator(
        lambda value: None if least <= value <= most else f"must be from {least} to {most}, got {value}"
    )


def optional(validator: FieldValidator) -> FieldValidator:
    """Return a validator of values that are None, or that `validator` accepts."""
    return FieldValidator(lambda value: None if value is None else validator.find_problem(value))


def one_of(*choices: str) -> FieldValidator:
    """Return a validator of two or more texts."""
    *first, last = (f'"{choice}"' for choice in choices)
    expected = f"{', '.join(first)} or {last}"
    return FieldValidator(lambda value: None if value in choices else f'expected {expected}, got "{value}"')


def matching(pattern: str, description: str) -> FieldValidator:
    """Return a validator of texts that match `pattern` as a whole, in ASCII."""
    compiled = re.compile(pattern, re.ASCII)
    return FieldValidator(lambda value: None if compiled.fullmatch(value) else f'expected {description}, got "{value}"')


def _problem_of_database(url: str | None, schemes: Sequence[str]) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme not in schemes:
        return f'expected an address such as "{schemes[0]}://was@db.example.org/was" or "{schemes[1]}://..."'
    try:
        parts.port  # noqa: B018  # it raises
    except ValueError as error:
        return str(error).lower()
    if not parts.hostname or not parts.path.strip("/"):
        return "names no host, or no database"
    return "has a password: write it into a file, and its path as password_file" if parts.password else None


database_url = FieldValidator(partial(_problem_of_database, schemes=("postgresql", "mariadb", "mysql")))
"""Validator of addresses of databases, or None; a password is not a part of them."""

specify_url = FieldValidator(partial(_problem_of_database, schemes=("mariadb", "mysql")))
"""Validator of addresses of databases of Specify, or None, in the same form."""

not_empty = FieldValidator(lambda value: None if value else "is empty")
"""Validator of texts and lists that are not empty."""
