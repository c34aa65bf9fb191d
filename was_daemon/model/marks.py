"""Marks: the version of the original that a derivative shows, written behind its content.

Several daemons may use one store. One of them may store a derivative just after another has replaced the original, or
be killed then: the time of the file proves nothing. Therefore each derivative ends with a mark of the version, in the
form of a box that ISO media files may end with (ISO/IEC 14496-12, section 8.1.2); readers of the other formats do not
look behind the content. Thumbnails of other servers have no mark.
"""

from hashlib import sha256

from was_daemon.model.interfaces import AssetStat

_DIGEST_SIZE = 16
"""Bytes of a digest."""

MARK_SIZE = 12 + 2 * _DIGEST_SIZE
_HEAD = MARK_SIZE.to_bytes(4, "big") + b"free" + b"waSr"
_NO_DIGEST = bytes(_DIGEST_SIZE)


def mark_of(original: AssetStat) -> bytes:
    """Return the bytes that end a derivative of this version."""
    return _HEAD + _digest(original.etag) + _size_and_time(original)


def _size_and_time(original: AssetStat) -> bytes:
    """Return a digest of size and time: a restored backup keeps these, but not the inodes that etags contain.

    Return zeros for a time in whole seconds, which two versions may share.
    """
    return _digest(f"{original.size} {original.modified!r}") if original.modified % 1 else _NO_DIGEST


def _digest(text: str) -> bytes:
    return sha256(text.encode(errors="surrogatepass")).digest()[:_DIGEST_SIZE]


def is_mark_of(end: bytes, original: AssetStat) -> bool:
    """Return whether `end`, the last `MARK_SIZE` bytes of a file, is the mark of a derivative of this version."""
    etag, size_and_time = end[-2 * _DIGEST_SIZE : -_DIGEST_SIZE], end[-_DIGEST_SIZE:]
    is_same = etag == _digest(original.etag) or (
        size_and_time != _NO_DIGEST and size_and_time == _size_and_time(original)
    )
    return is_mark(end) and is_same


def is_mark(end: bytes) -> bool:
    """Return whether `end`, the last `MARK_SIZE` bytes of a file, is a mark."""
    return len(end) == MARK_SIZE and end.startswith(_HEAD)
