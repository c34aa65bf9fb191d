"""nginx's configuration: the dump that `nginx -T` prints, parsed, and what a request meets in it."""

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

import attrs

_FILE = re.compile(r"^# configuration file (.+):$", re.MULTILINE)
_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
    | (?P<mark>[;{}])
    | "(?P<double>(?:[^"\\]|\\.)*)"
    | '(?P<single>(?:[^'\\]|\\.)*)'
    | (?P<word>(?:\$\{\w+\}|\\.|[^\s;{}"'\\])(?:\$\{\w+\}|\\.|[^\s;{}\\])*)""",
    re.VERBOSE | re.DOTALL,
)
_DEEPEST = 20
"""Depth of blocks and includes, more than any configuration has."""

_SIZE = re.compile(r"([0-9]+)([kKmMgG]?)")
_POWERS = {"": 0, "k": 10, "m": 20, "g": 30}
_TIME = re.compile(r"([0-9]+)(ms|[smhdwMy]?)")
_SECONDS = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000, "y": 31536000}


@attrs.frozen
class Directive:
    """A directive of `file` with its arguments, and the directives in its block."""

    name: str
    arguments: tuple[str, ...]
    file: str
    block: tuple["Directive", ...] = ()

    @property
    def first(self) -> str:
        """The first argument; empty without one."""
        return self.arguments[0] if self.arguments else ""


@attrs.frozen
class Proxy:
    """A place that passes requests on to `target`; `blocks` are those around it, from the outermost to its own."""

    target: str
    blocks: tuple[Directive, ...]

    @property
    def file(self) -> str:
        """The file in which the place is."""
        return self.blocks[-1].file

    @property
    def server(self) -> Directive | None:
        """The block `server`."""
        return next((block for block in self.blocks if block.name == "server"), None)

    @property
    def names(self) -> list[str]:
        """Names of the server."""
        return [name for each in self._in_server("server_name") for name in each.arguments]

    def _in_server(self, name: str) -> Iterator[Directive]:
        yield from (each for each in (self.server.block if self.server else ()) if each.name == name)

    def value(self, name: str, default: str) -> str:
        """Return the first argument of a directive that a block inherits from those around it."""
        for block in reversed(self.blocks):
            for each in reversed(block.block):
                if each.name == name:
                    return each.first
        return default

    def headers(self) -> Mapping[str, str]:
        """Return the headers of requests that are set, by their names in lower case: those of the innermost block."""
        for block in reversed(self.blocks):
            found = {each.first.lower(): each.arguments[-1] for each in block.block if each.name == "proxy_set_header"}
            if found:
                return found
        return {}


@attrs.frozen
class NginxConfig:
    """Configuration of nginx: the directives outside of all blocks, with includes put in their places."""

    directives: tuple[Directive, ...]

    def walk(self) -> Iterator[tuple[Directive, tuple[Directive, ...]]]:
        """Yield all directives, each with the blocks around it."""
        root = Directive("main", (), "", self.directives)
        yield from _walk(root, (root,))

    def proxies(self) -> Iterator[Proxy]:
        """Yield the places that pass requests on by HTTP."""
        for directive, blocks in self.walk():
            if directive.name == "proxy_pass":
                yield Proxy(directive.first, blocks)

    def targets_of(self, proxy: Proxy) -> list[str]:
        """Return the addresses `HOST:PORT`, or `unix:PATH`, at which a proxy's requests arrive."""
        rest = proxy.target.partition("://")[2] or proxy.target
        if rest.startswith("unix:"):
            return [rest.split(":/", 1)[0] + ":/" + rest.split(":/", 1)[1].partition(":")[0]]
        host = rest.split("/", 1)[0].split("$", 1)[0]
        for directive, _ in self.walk():
            if directive.name == "upstream" and directive.first == host:
                return [each.first for each in directive.block if each.name == "server"]
        return [host if re.search(r":[0-9]+$", host) else f"{host}:{443 if proxy.target.startswith('https') else 80}"]


def _walk(block: Directive, blocks: tuple[Directive, ...]) -> Iterator[tuple[Directive, tuple[Directive, ...]]]:
    for each in block.block:
        yield each, blocks
        yield from _walk(each, (*blocks, each))


def parse_dump(dump: str) -> NginxConfig:
    """Return the configuration that `nginx -T` has printed; raises ValueError for something else."""
    pieces = _FILE.split(dump)
    files = dict(zip(pieces[1::2], pieces[2::2], strict=True))
    if not files:
        raise ValueError("nginx has printed no configuration")
    parsed = {name: tuple(_parse(name, text)) for name, text in files.items()}
    main = next(iter(files))
    return NginxConfig(tuple(_with_includes(parsed[main], parsed, str(PurePosixPath(main).parent), 0)))


def _with_includes(
    directives: Sequence[Directive], files: Mapping[str, tuple[Directive, ...]], prefix: str, depth: int
) -> Iterator[Directive]:
    if depth > _DEEPEST:
        return
    for each in directives:
        if each.name == "include":
            pattern = str(PurePosixPath(prefix) / each.first)
            for name in [name for name in files if fnmatch.fnmatchcase(name, pattern)]:
                yield from _with_includes(files[name], files, prefix, depth + 1)
        else:
            yield attrs.evolve(each, block=tuple(_with_includes(each.block, files, prefix, depth + 1)))


def _parse(file: str, text: str) -> list[Directive]:
    """Return the directives of a file; what follows a mistake is left out."""
    blocks: list[list[Directive]] = [[]]
    heads: list[list[str]] = []
    words: list[str] = []
    for match in _TOKEN.finditer(text):
        mark = match["mark"]
        if match["comment"] is not None:
            continue
        if mark is None:
            words.append(next(each for each in (match["double"], match["single"], match["word"]) if each is not None))
        elif mark == "{":
            heads.append(words)
            blocks.append([])
            words = []
        else:
            if mark == ";" and words:
                blocks[-1].append(Directive(words[0], tuple(words[1:]), file))
            elif mark == "}" and heads:
                head, block = heads.pop(), blocks.pop()
                if head:
                    blocks[-1].append(Directive(head[0], tuple(head[1:]), file, tuple(block)))
            words = []
    return blocks[0]


def size_in(text: str) -> int | None:
    """Return the bytes in a size such as "10m"; None for another text."""
    match = _SIZE.fullmatch(text)
    return int(match[1]) << _POWERS[match[2].lower()] if match else None


def seconds_in(text: str) -> float | None:
    """Return the seconds in a time such as "1m 30s"; None for another text."""
    parts = [_TIME.fullmatch(part) for part in text.split()]
    if not parts or not all(parts):
        return None
    return sum(int(part[1]) * _SECONDS[part[2]] for part in parts if part)
