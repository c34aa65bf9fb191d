"""Rows of a table in a dump of MySQL or MariaDB, read in pieces, whatever the length of its statements."""

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

_TOKEN = re.compile(
    rb"""\s+ | --[^\n]* | \#[^\n]* | /\*.*?\*/
    | '[^'\\]*(?:(?:\\.|'')[^'\\]*)*' | "[^"\\]*(?:(?:\\.|"")[^"\\]*)*" | `[^`]*(?:``[^`]*)*` | [\w.+$-]+ | .""",
    re.DOTALL | re.VERBOSE,
)
_QUOTES = (b"'", b'"', b"`")
_COMMENTS = (b"--", b"#", b"/*")
_PIECE = 1 << 20
"""Bytes that are read at a time, and that a token has at most, but for texts."""

_ESCAPED = re.compile(rb"\\(.)|''|\"\"|``", re.DOTALL)
_ESCAPES = {b"0": b"\0", b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"Z": b"\x1a"}
_VALUES = (b"VALUES", b"VALUE")

Row = Mapping[str, str | None]


class BadDump(ValueError):
    """The file is no dump, or has no such table."""


def rows_of_dump(file: BinaryIO, table: str, usual_columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a table, by the names of its columns: `usual_columns` where the dump does not tell them.

    Raises `BadDump`.
    """
    tokens = _Tokens(file)
    columns, is_there = list(usual_columns), False
    for token in tokens:
        statement = token.upper()
        if statement not in (b"CREATE", b"INSERT", b"REPLACE"):
            continue
        name, stop = _head(tokens)
        if name != table:
            continue
        is_there = True
        if statement == b"CREATE":
            columns = _created_columns(tokens) or columns
        else:
            named = _list(tokens) if stop == b"(" else columns
            for values in _value_lists(tokens):
                if len(values) != len(named):
                    raise BadDump(f"a row of {table} has {len(values)} values for {len(named)} columns")
                yield dict(zip(named, values, strict=True))
    if not is_there:
        raise BadDump(f"there is no table {table} in it")


class _Tokens:
    """Tokens of SQL, without white space and comments."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._data = b""
        self._position = 0
        self._is_whole = False

    def __iter__(self) -> "_Tokens":
        return self

    def __next__(self) -> bytes:
        while True:
            if len(self._data) - self._position < _PIECE:
                self._read()
            match = _TOKEN.match(self._data, self._position)
            if not match:
                raise StopIteration
            token = match[0]
            if token in _QUOTES:
                # The rest of a long text has not been read.
                if self._is_whole:
                    raise BadDump("it ends within a text")
                self._read()
                continue
            self._position = match.end()
            if not token[:1].isspace() and not token.startswith(_COMMENTS):
                return token

    def _read(self) -> None:
        if not self._is_whole:
            try:
                piece = self._file.read(max(_PIECE, len(self._data)))
            except (EOFError, OSError, zlib.error) as error:
                # A compressed file that was cut off, or is damaged.
                raise BadDump(f"it cannot be read: {error}") from error
            self._data, self._position = self._data[self._position :] + piece, 0
            self._is_whole = not piece


def _head(tokens: _Tokens) -> tuple[str, bytes]:
    """Return the name of the table that a statement is about, and the token behind it."""
    name = b""
    for token in tokens:
        if token in (b"(", b";") or token.upper() in _VALUES:
            # The name of its database may come before it.
            return _text(name).rpartition(".")[2], token
        name = token
    return "", b""


def _created_columns(tokens: _Tokens) -> list[str]:
    """Return the names of the columns of a statement that creates a table; keys and constraints are none."""
    columns: list[str] = []
    depth, is_first = 1, True
    for token in tokens:
        if is_first and token.startswith(b"`"):
            columns.append(_text(token))
        depth += (token == b"(") - (token == b")")
        if not depth:
            break
        is_first = token == b"," and depth == 1
    return columns


def _value_lists(tokens: _Tokens) -> Iterator[list[str | None]]:
    """Yield the values of each row, up to the end of the statement."""
    for token in tokens:
        if token == b";":
            return
        if token == b"(":
            yield [_value(each) for each in _tokens_of_list(tokens)]
    raise BadDump("it ends within a statement")


def _list(tokens: _Tokens) -> list[str]:
    return [_text(token) for token in _tokens_of_list(tokens)]


def _tokens_of_list(tokens: _Tokens) -> Iterator[bytes]:
    """Yield the tokens up to a closing bracket, without commas, and without what tells the encoding of a text."""
    for token in tokens:
        if token == b")":
            return
        if token != b"," and not token.startswith(b"_"):
            yield token
    raise BadDump("it ends within a statement")


def _value(token: bytes) -> str | None:
    if token.upper() == b"NULL":
        return None
    if token[:2] in (b"0x", b"0X"):
        try:
            return bytes.fromhex(token[2:].decode()).decode(errors="replace")
        except ValueError:
            raise BadDump(f"{token.decode(errors='replace')[:80]} is no value") from None
    return _text(token)


def _text(token: bytes) -> str:
    if token[:1] in _QUOTES:
        token = _ESCAPED.sub(_unescaped, token[1:-1])
    return token.decode(errors="replace")


def _unescaped(match: re.Match[bytes]) -> bytes:
    escaped = match[1]
    return match[0][:1] if escaped is None else _ESCAPES.get(escaped, escaped)
