"""What can be read of a file that is no TOML."""

import re
import tomllib
from typing import Any

_LINE = re.compile(r"at line ([0-9]+), column")
_MOST_MISTAKES = 50


def rest_of(text: str) -> dict[str, Any]:
    """Return the document without the lines that are wrong; empty if nothing can be read.

    Where the name of a table is wrong, all of the table is left out: its keys would be taken for those of another one.
    """
    lines = text.splitlines()
    for _ in range(_MOST_MISTAKES):
        try:
            return tomllib.loads("\n".join(lines))
        except tomllib.TOMLDecodeError as error:
            match = _LINE.search(str(error))
            # An error at the end is about a value that has no end, in the last line with anything in it.
            wrong = int(match[1]) - 1 if match else _last(lines)
            if not 0 <= wrong < len(lines):
                return {}
            _drop(lines, wrong)
    return {}


def _last(lines: list[str]) -> int:
    return max((at for at, line in enumerate(lines) if line.strip()), default=-1)


def _drop(lines: list[str], wrong: int) -> None:
    is_header = lines[wrong].lstrip().startswith("[")
    lines[wrong] = ""
    for at in range(wrong + 1, len(lines) if is_header else 0):
        if lines[at].lstrip().startswith("["):
            return
        lines[at] = ""
