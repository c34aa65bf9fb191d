"""Owner of a PNG thumbnail: the original's name, in a chunk of its own.

Needs no image library: the daemon imports it.
"""

OWNER_CHUNK = b"waSr"
"""Type of the chunk: ancillary, private, safe to copy; programs that do not know it skip it (PNG, section 5.4)."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png_owner(head: bytes) -> str | None:
    """Return the owner that a worker recorded in a PNG, or None; `head` is the first 600 bytes or more."""
    if not head.startswith(_SIGNATURE):
        return None
    at = len(_SIGNATURE)
    while at + 8 <= len(head):
        size = int.from_bytes(head[at : at + 4], "big")
        chunk_type = head[at + 4 : at + 8]
        if chunk_type == OWNER_CHUNK and at + 8 + size <= len(head):
            return head[at + 8 : at + 8 + size].decode(errors="replace")
        if chunk_type == b"IDAT":
            return None
        at += 12 + size
    return None
