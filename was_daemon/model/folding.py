"""Texts without regard to case, for searches and comparisons."""

import unicodedata

FOLDED_BYTES = 1000
"""Bytes of a folded text that a database has in its index: names are shorter, few paths are longer."""


def folded(text: str) -> str:
    """Return a text that is the same for texts which differ in case, or in the form of Unicode, only.

    Accents matter: "É" is "é", and not "e".
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def beginning(folded_text: str) -> str:
    """Return what of a folded text is in the index."""
    return folded_text.encode(errors="replace")[:FOLDED_BYTES].decode(errors="ignore")
