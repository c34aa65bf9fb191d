"""Where an asset is: pure values, no I/O.

A name that came from outside becomes an `AssetKey` once, at the door; whoever holds an `AssetKey` may rely on its
parts being safe path segments (contract, section 4).
"""

import enum
import hashlib
import re
from posixpath import splitext

import attrs

from was_daemon.errors import AssetNotFound, BadName

MAX_NAME_BYTES = 255

_DISPLAYABLE = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".avif"})
"""Extensions whose files a browser shows in an <img>; the thumbnails of all others are PNG."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_SHORTENED = re.compile(r"~[0-9a-f]{16}\Z")
"""The end of a shortened root; one that looks like it by itself is shortened too, so that nobody can forge it."""


class Kind(enum.Enum):
    """What an asset is; the value is the directory that holds it in the official layout."""

    ORIGINAL = "originals"
    THUMBNAIL = "thumbnails"


_KINDS = frozenset(kind.value for kind in Kind)


def check_name(name: str) -> str:
    """Return `name` when it is one safe path segment of at most 255 bytes of UTF-8, else raise `BadName`."""
    if not name:
        raise BadName("the name is empty")
    if name.startswith("."):
        raise BadName("the name starts with a dot")
    if "/" in name or "\\" in name:
        raise BadName("the name contains a path separator")
    if _CONTROL.search(name):
        raise BadName("the name contains control characters")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise BadName("the name is not valid UTF-8") from None
    if size > MAX_NAME_BYTES:
        raise BadName(f"the name is longer than {MAX_NAME_BYTES} bytes")
    return name


def check_directory(directory: str) -> str:
    """Return `directory`, the relative path of a collection ("" for the store's root), or raise `BadName`."""
    if directory.startswith("/"):
        raise BadName("the directory of a collection is relative to its store")
    if directory:
        for segment in directory.split("/"):
            check_name(segment)
            if segment in _KINDS:
                raise BadName("a collection's directory has the name of a kind of assets")
    return directory


@attrs.frozen
class AssetKey:
    """One asset in a store.

    `collection` is the collection's directory, "" when the store holds a single collection; `name` is one path
    segment. Raises `BadName` for anything else.
    """

    collection: str = attrs.field(validator=lambda _self, _attribute, value: check_directory(value))
    kind: Kind
    name: str = attrs.field(validator=lambda _self, _attribute, value: check_name(value))

    @property
    def thumbnail_extension(self) -> str:
        """The extension of this original's thumbnails (contract, section 4)."""
        return _thumbnail_extension(splitext(self.name)[1])

    def thumbnail(self, scale: int) -> "AssetKey":
        """The key of this original's thumbnail that fits a box of `scale` x `scale` pixels."""
        root, extension = splitext(self.name)
        ending = f"_{scale}{_thumbnail_extension(extension)}"
        return AssetKey(self.collection, Kind.THUMBNAIL, _shorten(root, MAX_NAME_BYTES - len(ending.encode())) + ending)


def _thumbnail_extension(extension: str) -> str:
    return extension if extension.lower() in _DISPLAYABLE else ".png"


class Layout(enum.Enum):
    """How a store that thinks in paths arranges its assets (contract, section 4); the value is the config's word."""

    FLAT = "flat"
    SHARDED = "sharded"

    def path(self, key: AssetKey) -> str:
        """The path of `key` relative to the store's root, with forward slashes."""
        segments = [key.collection] if key.collection else []
        segments.append(key.kind.value)
        if self is Layout.SHARDED:
            segments += [_shard(key.name[0:2]), _shard(key.name[2:4])]
        return "/".join([*segments, key.name])

    def parse(self, path: str) -> AssetKey:
        """The key whose path is `path`; raises `AssetNotFound` when none has it and `BadName` when none may."""
        depth = 2 if self is Layout.FLAT else 4
        segments = path.split("/")
        if len(segments) < depth or segments[-depth] not in _KINDS:
            raise AssetNotFound("no such asset")
        key = AssetKey("/".join(segments[:-depth]), Kind(segments[-depth]), segments[-1])
        if self.path(key) != path:
            raise AssetNotFound("no such asset")
        return key


def _shard(part: str) -> str:
    """The directory for two characters of a name; what is shorter, or would lead upwards, becomes a legal name."""
    return "__" if part == ".." else part.ljust(2, "_")


def _shorten(root: str, size: int) -> str:
    """Fit `root` into `size` bytes; what is cut off is replaced by a hash, so that roots stay distinct."""
    encoded = root.encode()
    if len(encoded) <= size and not _SHORTENED.search(root):
        return root
    mark = "~" + hashlib.sha256(encoded).hexdigest()[:16]
    return encoded[: size - len(mark)].decode(errors="ignore") + mark


def shortened_from(root: str) -> str | None:
    """How the names begin whose thumbnails have this shortened root; None when it was not shortened."""
    return _SHORTENED.sub("", root) if _SHORTENED.search(root) else None
