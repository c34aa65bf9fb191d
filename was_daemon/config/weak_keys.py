"""Detection of attachment keys that are easy to guess.

With one token, keys can be tried without asking the server, as fast as a machine computes HMAC-MD5.
"""

import unicodedata

LEAST_CHARACTERS = 8

GOOD_KEY_COMMAND = "openssl rand -hex 32"
"""Command that prints a key that nobody guesses."""

_EXAMPLES = frozenset(
    {
        # The official server: its settings.py, and the compose file of its README, as Specify's guide has it, too.
        "testattachmentkey",
        "yourassetserveraccesskey",
        "yourassetserverkey",
        "assetserverkey",
        # Specify 7's compose file, where it stands beside the key.
        "changethistosomeuniquerandomstring",
        # Our own guides.
        "thekeythatspecifyknows",
        "thekeythatspecifyknowstoo",
    }
)
"""Keys that documentation shows, by their letters and digits: people change the marks, not the words."""


def weakness(key: str) -> str | None:
    """Return the weakness of `key` as a phrase that follows "the key", None if it has none."""
    visible = "".join(character for character in key if not _is_invisible(character))
    if not visible:
        return "is nothing but white space"
    if len(visible) < LEAST_CHARACTERS:
        return f"has fewer than {LEAST_CHARACTERS} characters, white space not counted"
    if "".join(filter(str.isalnum, key.casefold())) in _EXAMPLES:
        return "is an example in public documentation"
    return None


def _is_invisible(character: str) -> bool:
    """Return whether a character is white space, a control character, or one without a glyph, as U+200B."""
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cf", "Cn", "Mn")


def advice(subject: str, weakness: str) -> str:
    """Return a sentence on the key that is called `subject`: its weakness, and how to make a better one."""
    return f"{subject} {weakness}; `{GOOD_KEY_COMMAND}` prints a good one, which Specify has to be given, too"
