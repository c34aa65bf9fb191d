"""The keys of assets, and the paths and names made from them: pure values, no I/O.

A name from outside becomes an `AssetKey` once, when the request is parsed; the parts of an `AssetKey` are safe path
segments (contract, section 4).
"""

import enum
import hashlib
import re
from posixpath import splitext

import attrs

from was_daemon.model.errors import AssetNotFound, BadName

MAX_NAME_BYTES = 255

_DISPLAYABLE = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".avif"})
"""Extensions whose files a browser shows in an <img>; the thumbnails of all others are PNG."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_SHORTENED = re.compile(r"~[0-9a-f]{16}\Z")
"""The end of a shortened root; a root that ends like this by itself is shortened too, so that it cannot be forged."""


THUMBNAIL_NAME = re.compile(r"(?P<root>.+)_(?P<scale>[1-9][0-9]{0,8})(?P<extension>\.[^.]+)", re.DOTALL)
MAX_DIGITS = 9
"""Most digits of a scale in the name of a thumbnail."""

PYRAMID_NAME = re.compile(r".+_[1-9][0-9]{0,8}\.zip", re.DOTALL)
MAX_PAGE = 4096
"""The largest number of a page that is shown: all numbers are tried when the pyramids of an original are removed."""


class Kind(enum.Enum):
    """The kind of an asset; the value is the directory that holds it in the official layout."""

    ORIGINAL = "originals"
    THUMBNAIL = "thumbnails"
    # With a dot: no collection can have a directory of this name, also none of an existing store.
    PYRAMID = ".pyramids"
    TRASH = ".trash"
    LAYERS = ".layers"


_KINDS = frozenset(kind.value for kind in Kind)


def check_name(name: str) -> str:
    """Return `name` when it is one safe path segment of at most 255 bytes of UTF-8, else raise `BadName`."""
    if _size_of_segment(name) > MAX_NAME_BYTES:
        raise BadName(f"the name is longer than {MAX_NAME_BYTES} bytes")
    return name


def _size_of_segment(name: str) -> int:
    """Return how many bytes of UTF-8 a safe path segment has; raise `BadName` for anything else."""
    if not name:
        raise BadName("the name is empty")
    if name.startswith("."):
        raise BadName("the name starts with a dot")
    if "/" in name or "\\" in name:
        raise BadName("the name contains a path separator")
    if _CONTROL.search(name):
        raise BadName("the name contains control characters")
    try:
        return len(name.encode())
    except UnicodeEncodeError:
        raise BadName("the name is not valid UTF-8") from None


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
    """The key of one asset in a store.

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
        """Return the key of this original's thumbnail that fits a box of `scale` x `scale` pixels."""
        return ThumbnailAddress.of(self, scale).key

    def pyramid(self, page: int) -> "AssetKey":
        """Return the key of the pyramid of a page of this original; the first page is 1."""
        ending = f"_{page}.zip"
        name = _shorten(self.name, MAX_NAME_BYTES - len(ending.encode())) + ending
        return AssetKey(self.collection, Kind.PYRAMID, name)


@attrs.frozen
class ThumbnailAddress:
    """The address of a thumbnail for clients: the root of its original's name, the scale, and its extension.

    A file's name has 255 bytes at most, so that a thumbnail of an original with a long name is stored under a shortened
    name (`key`). An address has no such limit: it always names the original.
    """

    collection: str
    root: str
    scale: int
    extension: str

    @classmethod
    def of(cls, original: AssetKey, scale: int) -> "ThumbnailAddress":
        """Return the address of the thumbnail of `original` that fits a box of `scale` x `scale` pixels."""
        return cls(original.collection, splitext(original.name)[0], scale, original.thumbnail_extension)

    @classmethod
    def parse(cls, path: str) -> "ThumbnailAddress":
        """Return the address with this path; raises `AssetNotFound` when no address has it, `BadName` when none may."""
        directory, _, name = path.rpartition("/")
        collection, _, kind = directory.rpartition("/")
        if kind != Kind.THUMBNAIL.value:
            raise AssetNotFound("no such asset")
        check_directory(collection)
        _size_of_segment(name)
        match = THUMBNAIL_NAME.fullmatch(name)
        if not match or _thumbnail_extension(match["extension"]) != match["extension"]:
            raise AssetNotFound("no such asset")
        return cls(collection, check_name(match["root"]), int(match["scale"]), match["extension"])

    @property
    def path(self) -> str:
        """The path in the flat layout, whatever its length."""
        segments = [self.collection] if self.collection else []
        return "/".join([*segments, Kind.THUMBNAIL.value, f"{self.root}_{self.scale}{self.extension}"])

    @property
    def key(self) -> AssetKey:
        """The key under which the thumbnail is stored."""
        ending = f"_{self.scale}{self.extension}"
        name = _shorten(self.root, MAX_NAME_BYTES - len(ending.encode())) + ending
        return AssetKey(self.collection, Kind.THUMBNAIL, name)


def _thumbnail_extension(extension: str) -> str:
    return extension if extension.lower() in _DISPLAYABLE else ".png"


class Layout(enum.Enum):
    """The arrangement of assets in paths (contract, section 4); the value is the word in the configuration."""

    FLAT = "flat"
    SHARDED = "sharded"

    def path(self, key: AssetKey) -> str:
        """Return the path of `key` relative to the store's root, with forward slashes."""
        segments = [key.collection] if key.collection else []
        return "/".join([*segments, key.kind.value, *self.directories(key.name), key.name])

    def directories(self, name: str) -> list[str]:
        """Return the directories between that of the kind and an asset of this name."""
        return [_shard(name[0:2]), _shard(name[2:4])] if self is Layout.SHARDED else []

    def parse(self, path: str) -> AssetKey:
        """Return the key whose path is `path`; raises `AssetNotFound` when no key has it, `BadName` when none may."""
        depth = 2 if self is Layout.FLAT else 4
        segments = path.split("/")
        if len(segments) < depth or segments[-depth] not in _KINDS:
            raise AssetNotFound("no such asset")
        key = AssetKey("/".join(segments[:-depth]), Kind(segments[-depth]), segments[-1])
        if self.path(key) != path:
            raise AssetNotFound("no such asset")
        return key


def _shard(part: str) -> str:
    """Return the directory for two characters of a name; fewer, or two dots, are replaced by a legal name."""
    return "__" if part == ".." else part.ljust(2, "_")


def _shorten(root: str, size: int) -> str:
    """Return `root` cut to `size` bytes; the end is replaced by a hash, so that roots stay distinct."""
    encoded = root.encode()
    if len(encoded) <= size and not _SHORTENED.search(root):
        return root
    mark = "~" + hashlib.sha256(encoded).hexdigest()[:16]
    return encoded[: size - len(mark)].decode(errors="ignore") + mark


def is_shortened(root: str) -> bool:
    """Return whether a root in the stored name of a thumbnail is the shortened root of its original."""
    return bool(_SHORTENED.search(root))
