"""Values of the metadata field that holds our names, and searches for them.

An original in the collection "" has its own name as its value, if ResourceSpace keeps that. Signs that it would change
are percent-encoded: a slash, of which PHP keeps what follows; spaces at the beginning; quotes; and the tilde, with
which translations begin. A value always ends with an extension that ResourceSpace can keep.
"""

import re
from urllib.parse import unquote

from was_daemon.model.errors import BadName
from was_daemon.model.keys import AssetKey, Kind

_ENCODED = re.compile("(?:%[0-9A-F]{2})+")
_CHANGED = re.compile(r'%(?=[0-9A-F]{2})|["/~]|\A +')

_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")
"""The column for extensions has ten characters."""

_SUBSTITUTE = ".noext"
"""The extension of values of names without one: ResourceSpace would choose one, or refuse the file."""

_INDEXED = 400
"""Characters of a value that are searched for: ResourceSpace indexes the first 500."""

_KINDS = {kind.value: kind for kind in Kind}


def value_of(key: AssetKey) -> str:
    """Return the value of the field for the asset `key`; no other asset has the same."""
    folder = [key.collection] if key.collection else []
    if key.kind is not Kind.ORIGINAL:
        folder.append(key.kind.value)
    path = "/".join([*folder, key.name])
    if not _EXTENSION.search(path) or path.endswith(_SUBSTITUTE):
        path += _SUBSTITUTE
    return _CHANGED.sub(lambda found: "".join(f"%{ord(sign):02X}" for sign in found[0]), path)


def key_of(value: str) -> AssetKey | None:
    """Return the asset whose value this is, None if it is that of no asset."""
    path = _ENCODED.sub(lambda found: unquote(found[0]), value).removesuffix(_SUBSTITUTE)
    *folder, name = path.split("/")
    kind = Kind.ORIGINAL
    if folder and folder[-1] in _KINDS:
        kind = _KINDS[folder.pop()]
    try:
        key = AssetKey("/".join(folder), kind, name)
    except BadName:
        return None
    return key if value_of(key) == value else None


def adopted_name(value: str, extension: str) -> str:
    """Return the name of a resource that others have put there, of the value of a field and its file's extension.

    A catalogue number is followed by the extension, which a file's name has already.
    """
    if not extension or value.lower().endswith(f".{extension.lower()}"):
        return value
    return f"{value}.{extension}"


def phrase(field: str, value: str) -> str:
    """Return a search for resources whose `field` has the words of `value` one after the other.

    It may find more than those with that value. Left out is what means something in a search, and nothing in an index.
    """
    words = value[:_INDEXED]
    if len(value) > _INDEXED and " " in re.sub(r"[\W_]", " ", words):
        words = re.sub(r"[^\W_]*\Z", "", words)
    words = re.sub(r'[\s:\\"]', " ", re.sub("[*@!]", "", words))
    words = " ".join(re.sub(r"(?:(?<= )|^)-+", " ", words).split())
    return f'"{field}:{words}"'
