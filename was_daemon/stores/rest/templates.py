"""Templates of requests, and the requests made of them: pure functions, no I/O.

A template is one line: method, address, and a body where one is needed. Placeholders are `{name}` for a variable and
`{/pointer}` for a value in a JSON document that the server sent before.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

import attrs

from was_daemon.model.errors import StoreFailed
from was_daemon.stores.http.urls import as_sent
from was_daemon.stores.rest.values import MISSING, Pointer

_PLACEHOLDER = re.compile(r'\{([a-z][a-z0-9_]*|/[^{}"\s]*)\}', re.ASCII)
_LINE = re.compile(
    r"(?:(?P<method>GET|HEAD|POST|PUT|PATCH|DELETE)\s+)?(?P<address>\S+)(?:\s+(?P<body>\S.*))?", re.DOTALL
)
_ADDRESS = re.compile(r"(?:/|\?|https?://[^/?#{}]+(?:[/?]|$)|\{(?:location|/[^{}]*)\})")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")

_PATHS = frozenset({"path", "folder", "collection"})
"""Variables whose slashes separate the segments of an address's path."""


@attrs.frozen
class Values:
    """Values of placeholders: of variables by name, and of pointers in `document`."""

    variables: Mapping[str, Any] = attrs.field(repr=False)
    document: Any = MISSING

    def find(self, placeholder: str) -> Any:
        """Return the value of a placeholder. Raises `StoreFailed` when the server has not told it."""
        if not placeholder.startswith("/"):
            if self.variables[placeholder] is None:
                raise StoreFailed("the store gave no proper answer", f"{{{placeholder}}} is not known")
            return self.variables[placeholder]
        pointer = Pointer(placeholder)
        value = pointer.find(self.document)
        return (
            value if isinstance(value, int | float) and not isinstance(value, bool) else pointer.text_in(self.document)
        )


@attrs.frozen
class Template:
    """Text with placeholders."""

    text: str

    @property
    def placeholders(self) -> frozenset[str]:
        """The names and pointers between braces."""
        return frozenset(_PLACEHOLDER.findall(self.text))

    def fill(self, values: Values, encode: Callable[[str, str], str] = lambda _placeholder, text: text) -> str:
        """Return the text with `encode(placeholder, value)` for each placeholder."""
        return _PLACEHOLDER.sub(lambda match: encode(match[1], str(values.find(match[1]))), self.text)

    def value(self, values: Values) -> Any:
        """Return what `fill` does, but a number where the template is nothing but the placeholder of a number."""
        match = _PLACEHOLDER.fullmatch(self.text)
        return values.find(match[1]) if match else self.fill(values)


@attrs.frozen
class Request:
    """Request as it is sent; `content_type` is that of the body."""

    method: str
    url: str = attrs.field(repr=False)
    body: bytes | None = attrs.field(default=None, repr=False)
    content_type: str | None = None


@attrs.frozen
class RequestTemplate:
    """Template of a request. A body is JSON, whose texts have placeholders, or the fields of a form."""

    method: str
    address: Template
    json: Any = MISSING
    form: tuple[tuple[str, Template], ...] = ()

    @classmethod
    def parse(cls, text: str, method: str = "GET") -> "RequestTemplate":
        """Return the template in a line of text; `method` is for lines without. Raises ValueError."""
        match = _LINE.fullmatch(text.strip())
        if not match or not _ADDRESS.match(match["address"]):
            raise ValueError(f'expected a request such as "{method} /assets/{{path}}", got "{text}"')
        address, body = Template(match["address"]), match["body"]
        if "{" in _PLACEHOLDER.sub("", address.text) or "#" in address.text:
            raise ValueError(f'the address in "{text}" has a brace without a placeholder, or a #')
        address = Template(_NOT_ASCII.sub(lambda found: quote(found[0]), address.text))
        method = match["method"] or method
        if not body:
            return cls(method, address)
        if body[0] in "{[":
            try:
                return cls(method, address, json=json.loads(body))
            except ValueError as error:
                raise ValueError(f'the body in "{text}" is no JSON: {error}') from None
        fields = [field.partition("=") for field in body.split("&")]
        if not all(name and equals for name, equals, _ in fields):
            raise ValueError(f'the body in "{text}" is neither JSON nor fields such as "a=1&b=2"')
        return cls(method, address, form=tuple((name, Template(value)) for name, _, value in fields))

    @property
    def placeholders(self) -> frozenset[str]:
        """All names and pointers between braces."""
        templates = [self.address, *(template for _, template in self.form), *_templates_in(self.json)]
        return frozenset().union(*(template.placeholders for template in templates))

    @property
    def has_body(self) -> bool:
        """Whether the template has a body."""
        return self.json is not MISSING or bool(self.form)

    @property
    def path_placeholders(self) -> frozenset[str]:
        """Placeholders in the path of the address, which is logged."""
        return Template(self.address.text.partition("?")[0]).placeholders

    def fill(self, values: Values, base: str) -> Request:
        """Return the request for `values`; addresses that are not absolute are below `base`.

        Raises `StoreFailed` when a value that the server has sent cannot be used.
        """
        url = self._url(values, base)
        if self.form:
            fields = [(name, template.fill(values)) for name, template in self.form]
            return Request(self.method, url, urlencode(fields).encode(), "application/x-www-form-urlencoded")
        if self.json is not MISSING:
            document = json.dumps(_filled(self.json, values), ensure_ascii=False)
            return Request(self.method, url, document.encode(), "application/json")
        return Request(self.method, url)

    def _url(self, values: Values, base: str) -> str:
        start, rest = "", self.address.text
        match = _PLACEHOLDER.match(rest)
        if match:
            # The server has told the address itself, or the beginning of it.
            start, rest = absolute(base, str(values.find(match[1]))), rest[match.end() :]
        elif rest.startswith(("/", "?")):
            start = base.rstrip("/")
        path, question_mark, query = rest.partition("?")
        if question_mark and "?" in start:
            question_mark = "&"
        return start + Template(path).fill(values, _in_path) + question_mark + Template(query).fill(values, _in_query)


def absolute(base: str, address: str) -> str:
    """Return an address that the server has sent as an absolute one. Raises `StoreFailed` for none by HTTP."""
    try:
        url = as_sent(urljoin(base, address))
    except ValueError:
        url = ""
    if not url.startswith(("http://", "https://")):
        raise StoreFailed("the store gave no proper answer", "an address in it is none")
    return url


def origin(url: str) -> str:
    """Return scheme, host and port of an absolute address, as one text for each server."""
    parts = urlsplit(as_sent(url))
    return f"{parts.scheme}://{parts.hostname}:{parts.port or {'http': 80, 'https': 443}[parts.scheme]}"


def _in_path(placeholder: str, value: str) -> str:
    if value in (".", ".."):
        # They would lead to another address, however they are encoded.
        raise StoreFailed("the store gave no proper answer", f"{placeholder} is {value}")
    return quote(value, "/" if placeholder in _PATHS else "")


def _in_query(_placeholder: str, value: str) -> str:
    return quote(value, "")


def _templates_in(document: Any) -> Iterator[Template]:
    if isinstance(document, str):
        yield Template(document)
    elif isinstance(document, dict | list):
        for each in document.values() if isinstance(document, dict) else document:
            yield from _templates_in(each)


def _filled(document: Any, values: Values) -> Any:
    if isinstance(document, str):
        return Template(document).value(values)
    if isinstance(document, dict):
        return {name: _filled(each, values) for name, each in document.items()}
    return [_filled(each, values) for each in document] if isinstance(document, list) else document
