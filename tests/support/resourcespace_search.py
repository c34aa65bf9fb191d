"""The index and the search of a pretended ResourceSpace, which are by words."""

_SEPARATORS = "/_.;-()'\"\\?,: \u2019\u201c"
_IGNORED = {"", "a", "the", "this", "then", "another", "is", "with", "in", "and", "where", "how", "on", "of", "to"}


def words(text: str) -> list[str]:
    """The words of a text as an index has them: signs that are no separators are dropped."""
    spaced = "".join(" " if sign in _SEPARATORS else sign for sign in text.lower())
    return "".join(sign for sign in spaced if sign.isalnum() or sign == " ").split()


def has_phrase(value: str, phrase: str) -> bool:
    """Whether the words of `phrase` follow each other in `value`, apart from those that no index has."""
    wanted, there = words(phrase), words(value)
    spans = (there[start : start + len(wanted)] for start in range(len(there) - len(wanted) + 1))
    return any(all(a == b or a in _IGNORED for a, b in zip(wanted, span, strict=True)) for span in spans)
