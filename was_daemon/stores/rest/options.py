"""The settings of a REST store together: whether nothing is missing, and nothing contradicts anything else."""

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import attrs

from was_daemon.stores.rest.settings import LINK_HEADER, NO_MORE, RestSettings
from was_daemon.stores.rest.templates import Template

FILE = "file"
"""The variable that stands for the file, in one value of `put_form`."""

PAGING = frozenset({"cursor", "page", "offset", "after"})
"""Variables by which one page after the other is asked for."""

_ASSET = frozenset({"collection", "kind", "folder", "path", "name", "type"})
_STEP = _ASSET | {"size", "location"}
_VARIABLES: Mapping[str, frozenset[str]] = {
    "get": _ASSET | {"id"},
    "info": _ASSET | {"id"},
    "delete": _ASSET | {"id"},
    "replace": _ASSET | {"id", "size"},
    "search": _ASSET | PAGING,
    "list": frozenset({"collection", "kind", "folder", "prefix"}) | PAGING,
    "begin": _ASSET | {"size"},
    "put": _STEP,
    "commit": _STEP,
    "abort": _STEP,
    "check": frozenset(),
}
"""The variables of each request, besides the secrets."""

_OF_ITEM = frozenset({"get", "delete", "replace"})
_OF_UPLOAD = frozenset({"put", "commit", "abort"})
"""Requests that follow another answer, and may have pointers into it."""


@attrs.frozen(slots=False)
class RestOptions(RestSettings):
    """`[stores.NAME]` with `plugin = "rest"`; ValueError when the settings contradict each other."""

    def __attrs_post_init__(self) -> None:
        for check in _CHECKS:
            check(self)


def _check_secrets(options: RestSettings) -> None:
    reserved = frozenset().union(*_VARIABLES.values()) | {FILE}
    for name in options.secrets:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name, re.ASCII) or name in reserved:
            raise ValueError(f"secrets.{name}: expected another name, of small letters, digits and _")
    if (options.user is None) != (options.password_file is None):
        raise ValueError("user goes with password_file")
    has_secrets = options.user is not None or options.secrets or "authorization" in map(str.lower, options.headers)
    if has_secrets and not options.allow_http and urlsplit(options.url).scheme == "http":
        raise ValueError("url: a secret over plain http needs allow_http = true")


def _check_placeholders(options: RestSettings) -> None:
    secrets = frozenset(options.secrets)
    for name, template in options.requests.items():
        pointers = {each for each in template.placeholders if each.startswith("/")}
        if pointers and name not in _OF_ITEM | _OF_UPLOAD:
            raise ValueError(f"{name}: there is no answer before it in which to find {{{min(pointers)}}}")
        _check_known(name, template.placeholders - pointers, _VARIABLES[name] | secrets)
        if template.path_placeholders & secrets:
            raise ValueError(f"{name}: a secret in the path of an address would be logged; it may be a header")
    tables = {"headers": frozenset[str](), "put_headers": _ASSET | {"size"}, "put_form": _ASSET | {"size", FILE}}
    for field, known in tables.items():
        for name, text in getattr(options, field).items():
            _check_known(f"{field}.{name}", Template(text).placeholders, known | secrets)
            if field != "put_form" and not re.fullmatch(r"[A-Za-z0-9_.-]+", name, re.ASCII):
                raise ValueError(f"{field}.{name}: is no name of a header")
    files = [text for text in options.put_form.values() if FILE in Template(text).placeholders]
    if options.put_form and files != [f"{{{FILE}}}"]:
        # Values of forms may be secrets, and are taken out of messages.
        raise ValueError("put_form: one value has to be the file, which is the word file in braces")


def _check_known(setting: str, found: frozenset[str], known: frozenset[str]) -> None:
    if found - known:
        names = ", ".join(f"{{{name}}}" for name in sorted(known))
        raise ValueError(f"{setting}: there is no {{{min(found - known)}}} here" + (f", but {names}" if names else ""))


def _check_addresses(options: RestSettings) -> None:
    for name, template in options.requests.items():
        address = template.address.text
        if address.startswith(("http://", "https://")) and not options.may_be_asked(address.partition("{")[0]):
            raise ValueError(f"{name}: its server is another than that of url, and not in origins")
        if not options.allow_http and urlsplit(options.url).scheme == "https" and address.startswith("http://"):
            raise ValueError(f"{name}: plain http needs allow_http = true")


def _check_paging(options: RestSettings) -> None:
    for name in ("search", "list"):
        if name not in options.requests:
            continue
        variables = options.requests[name].placeholders & PAGING
        if not variables and options.next is None:
            raise ValueError(
                f"{name}: {{cursor}}, {{page}}, {{offset}} or {{after}} is needed to get all pages of results, or the "
                f'pointer next to the address of the next page; next = "{NO_MORE}" if there is only one page'
            )
        if len(variables) > 1:
            raise ValueError(f"{name}: only one of {{cursor}}, {{page}}, {{offset}} and {{after}} can be used")
        if variables and options.next in (NO_MORE, LINK_HEADER):
            raise ValueError(f'{name}: next = "{options.next}" goes without {{{min(variables)}}}')
        if "cursor" in variables and options.next is None:
            raise ValueError(f"{name}: {{cursor}} needs the pointer next to the cursor of the next page")


def _check_description(options: RestSettings) -> None:
    by_id = [name for name, template in options.requests.items() if "id" in template.placeholders]
    if by_id and options.id is None:
        raise ValueError(f"{by_id[0]}: {{id}} needs the pointer id")
    if options.search is not None and options.id is None:
        raise ValueError("search needs the pointer id")
    if "info" in by_id and options.search is None:
        raise ValueError("info: {id} needs search")
    of_item = [
        name
        for name in _OF_ITEM & options.requests.keys()
        if any(each == "id" or each.startswith("/") for each in options.requests[name].placeholders)
    ]
    if of_item and not options.has_documents:
        raise ValueError(f"{min(of_item)}: search or info is needed to find the asset by its name")
    documented = [name for name in ("version", "checksum") if getattr(options, name) is not None]
    if documented and not options.has_documents:
        raise ValueError(f"{documented[0]} is found in answers to search or info, and there are none")
    if options.version is not None and options.size is None:
        raise ValueError("version needs size: otherwise both are asked for by HEAD")
    if options.has_documents and options.size is not None and options.version is None and options.replaces_in_place:
        raise ValueError("version is needed to tell versions of an asset apart")


def _check_uploads(options: RestSettings) -> None:
    if options.requests["get"].method != "GET":
        raise ValueError("get: its method has to be GET")
    if options.replace is not None and options.search is None:
        raise ValueError("replace needs search: put replaces what has an address made of its name")
    for name in ("put", "replace"):
        if name in options.requests and options.requests[name].has_body:
            raise ValueError(f"{name}: its body is the file; fields beside it have their place in put_form")
    steps = [name for name in ("begin", "commit", "abort", "replace", "put_form", "created") if getattr(options, name)]
    if options.put is None:
        if steps:
            raise ValueError(f"{steps[0]} needs put")
        return
    if "location" in options.requests["put"].placeholders and options.begin is None:
        raise ValueError("put: {location} needs begin")
    if options.begin is None and any(each.startswith("/") for each in options.requests["put"].placeholders):
        raise ValueError("put: a pointer needs begin")
    if options.created is not None and options.search is None:
        raise ValueError("created needs search")
    if options.search is not None and options.delete is None:
        raise ValueError("put needs delete: otherwise versions that are replaced would stay")
    if options.search is not None and options.modified is None:
        raise ValueError("put needs the pointer modified: a name that is found twice has its newest asset")


def _check_match(options: RestSettings) -> None:
    # Made here for its mistakes.
    _ = options.matching


_CHECKS: tuple[Callable[[RestSettings], None], ...] = (
    _check_secrets,
    _check_placeholders,
    _check_addresses,
    _check_paging,
    _check_description,
    _check_uploads,
    _check_match,
)
