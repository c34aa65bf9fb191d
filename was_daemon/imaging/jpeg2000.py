"""Structure of a JPEG 2000 codestream (ISO/IEC 15444-1, annex A)."""

_START, _CODING_STYLE = b"\xff\x4f\xff\x51", b"\xff\x52"
_MARKER = 2
_LEVELS = 9
"""Offset of the number of decomposition levels in the segment of the coding style."""


def decomposition_levels(data: bytes) -> int | None:
    """Return how often a codestream, or the first in a file, can be halved in size; None when its header is damaged."""
    at = data.find(_START) + _MARKER
    if at < _MARKER:
        return None
    while data[at : at + 1] == b"\xff" and at + _LEVELS < len(data):
        if data[at : at + _MARKER] == _CODING_STYLE:
            return data[at + _LEVELS]
        at += _MARKER + int.from_bytes(data[at + _MARKER : at + 2 * _MARKER], "big")
    return None
