"""The settings of a REST store, each checked by itself; `options` checks what they must be together."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from was_daemon.config.secret_files import SecretFile
from was_daemon.config.secret_values import SECRET_UNLESS_FILLED_IN
from was_daemon.config.validators import FieldValidator, at_least, one_of
from was_daemon.model.places import Place
from was_daemon.stores.http.auth import FixedLogin, Login, PasswordLogin
from was_daemon.stores.http.urls import place_at, url_problem
from was_daemon.stores.rest.matching import Matching
from was_daemon.stores.rest.templates import RequestTemplate, origin
from was_daemon.stores.rest.values import Checksum, Condition, Pointer

NO_MORE, LINK_HEADER = "none", "Link"
"""Values of `next` that are no pointer: one answer has all results; the header `Link` (RFC 8288) has the next page."""

METHODS = {
    "get": "GET",
    "info": "GET",
    "search": "GET",
    "list": "GET",
    "check": "GET",
    "put": "PUT",
    "replace": "PUT",
    "delete": "DELETE",
    "begin": "POST",
    "commit": "POST",
    "abort": "DELETE",
}
"""The settings that are requests, with their methods where a template has none."""

Texts = list[str]
"""The type of a setting: in the class below, `list` is a setting itself."""


def _no_texts() -> Texts:
    return []


def _problem(parse: Callable[[str], object]) -> Callable[[str | None], str | None]:
    """Return a function that tells why `parse` fails on a text; None if it does not, or if there is no text."""

    def find_problem(text: str | None) -> str | None:
        try:
            if text is not None:
                parse(text)
        except ValueError as error:
            return str(error)
        return None

    return find_problem


_IS_REQUEST = FieldValidator(_problem(RequestTemplate.parse))
_IS_POINTER = FieldValidator(_problem(Pointer))
_ARE_CONDITIONS = FieldValidator(_problem(Condition.parse), each=True)
_IS_CHECKSUM = FieldValidator(_problem(Checksum.parse))


def _next_problem(text: str | None) -> str | None:
    return None if text in (NO_MORE, LINK_HEADER) else _problem(Pointer)(text)


def _origin_problem(url: str) -> str | None:
    problem = url_problem(url)
    return problem or ("expected an address without a path" if urlsplit(url).path.strip("/") else None)


@attrs.frozen(slots=False)
class RestSettings:
    """Settings of `[stores.NAME]` with `plugin = "rest"`.

    docs/rest.md explains each. `get` to `check` are templates of requests; `items`, `id`, `size`, `version`,
    `modified`, `created` and `message` are JSON pointers; `ready`, `missing`, `no_results` and `failed` are conditions
    on answers. `delay` and `timeout` are in seconds.
    """

    url: str = attrs.field(validator=FieldValidator(url_problem))
    get: str = attrs.field(validator=_IS_REQUEST)
    list: str = attrs.field(validator=_IS_REQUEST)
    match: dict[str, str]
    put: str | None = attrs.field(default=None, validator=_IS_REQUEST)
    delete: str | None = attrs.field(default=None, validator=_IS_REQUEST)
    search: str | None = attrs.field(default=None, validator=_IS_REQUEST)
    info: str | None = attrs.field(default=None, validator=_IS_REQUEST)
    begin: str | None = attrs.field(default=None, validator=_IS_REQUEST)
    commit: str | None = attrs.field(default=None, validator=_IS_REQUEST)
    abort: str | None = attrs.field(default=None, validator=_IS_REQUEST)
    replace: str | None = attrs.field(default=None, validator=_IS_REQUEST)
    check: str | None = attrs.field(default=None, validator=_IS_REQUEST)
    headers: dict[str, str] = attrs.field(factory=dict, repr=False, metadata=SECRET_UNLESS_FILLED_IN)
    put_headers: dict[str, str] = attrs.field(factory=dict, repr=False, metadata=SECRET_UNLESS_FILLED_IN)
    put_form: dict[str, str] = attrs.field(factory=dict, repr=False, metadata=SECRET_UNLESS_FILLED_IN)
    secrets: dict[str, SecretFile] = attrs.field(factory=dict)
    user: str | None = None
    password_file: SecretFile | None = None
    items: str = attrs.field(default="", validator=_IS_POINTER)
    next: str | None = attrs.field(default=None, validator=FieldValidator(_next_problem))
    first_page: int = attrs.field(default=1, validator=at_least(0))
    id: str | None = attrs.field(default=None, validator=_IS_POINTER)
    size: str | None = attrs.field(default=None, validator=_IS_POINTER)
    version: str | None = attrs.field(default=None, validator=_IS_POINTER)
    modified: str | None = attrs.field(default=None, validator=_IS_POINTER)
    created: str | None = attrs.field(default=None, validator=_IS_POINTER)
    checksum: str | None = attrs.field(default=None, validator=_IS_CHECKSUM)
    ready: Texts = attrs.field(factory=_no_texts, validator=_ARE_CONDITIONS)
    missing: Texts = attrs.field(factory=lambda: ["404", "410"], validator=_ARE_CONDITIONS)
    no_results: Texts = attrs.field(factory=_no_texts, validator=_ARE_CONDITIONS)
    failed: Texts = attrs.field(factory=_no_texts, validator=_ARE_CONDITIONS)
    message: str | None = attrs.field(default=None, validator=_IS_POINTER)
    delay: float = attrs.field(default=30.0, validator=at_least(0))
    duplicates: str = attrs.field(default="newest", validator=one_of("newest", "refuse"))
    origins: Texts = attrs.field(factory=_no_texts, validator=FieldValidator(_origin_problem, each=True))
    ca_file: Path | None = None
    allow_http: bool = False
    timeout: float = attrs.field(default=30.0, validator=at_least(0.001))

    def place(self) -> Place:
        """Return where the files are: the same if also the requests are."""
        return place_at(self.url, *(f"{name} {getattr(self, name)}" for name in METHODS))

    @cached_property
    def requests(self) -> dict[str, RequestTemplate]:
        """The templates of the requests that are configured."""
        texts = {name: getattr(self, name) for name in METHODS}
        return {name: RequestTemplate.parse(text, METHODS[name]) for name, text in texts.items() if text}

    @cached_property
    def matching(self) -> Matching:
        """The comparison of items with assets."""
        return Matching.of(self.match)

    @property
    def has_documents(self) -> bool:
        """Whether the server describes an asset in JSON, in answers to `search` or `info`."""
        return self.search is not None or self.info is not None

    @property
    def replaces_in_place(self) -> bool:
        """Whether an asset keeps its id or its address when it gets new bytes."""
        return self.search is None or self.replace is not None

    def may_be_asked(self, url: str) -> bool:
        """Return whether the store may send requests to an absolute address."""
        return origin(url) in {origin(each) for each in (self.url, *self.origins)}

    def login(self) -> Login:
        """Return the login, its password read from its file; raises what `SecretFile.text` does."""
        if self.user is None or self.password_file is None:
            return FixedLogin(None)
        return PasswordLogin(self.user, self.password_file.text(), unasked=urlsplit(self.url).scheme == "https")
