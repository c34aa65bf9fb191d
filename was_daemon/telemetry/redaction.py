"""Texts for the log, without what would let their reader in."""

import re
from re import Match


def _either_way(letter: str) -> str:
    """A pattern for a letter of ASCII in both cases, as it is or percent-encoded."""
    forms = {form for case in (letter.lower(), letter.upper()) for form in (re.escape(case), f"%{ord(case):02x}")}
    return f"(?:{'|'.join(sorted(forms))})"


_HEX = "(?:[0-9a-f]|%3[0-9]|%[46][1-6])"
_DIGIT = "(?:[0-9]|%3[0-9])"
_TOKEN = re.compile(f"{_HEX}{{32}}(?::|%3a){_DIGIT}{{1,15}}", re.IGNORECASE)
"""A token (contract, section 2), wherever it stands."""

_FIELD = re.compile(f"([?&;]{''.join(map(_either_way, 'token'))}(?:=|%3d))[^&#\\s]+", re.IGNORECASE)
"""What is given as a token in an address, whether or not it is one."""

_HINT = re.compile("[:%]|token", re.IGNORECASE)
"""What every text has in which there is a token or such a field; most have not."""

_USERINFO = re.compile(r"(\w://)[^/?#\s'\"]*@")
_QUERY = re.compile(r"(\w://[^?\s'\"]*\?)[^\s'\"]+")
_CREDENTIALS = re.compile(r"\b((?:Basic|Bearer) +)[^\s'\"]{6,}", re.IGNORECASE)


def without_tokens(text: str) -> str:
    """`text` with every token, and every value of a field of that name, replaced by three dots."""
    return _TOKEN.sub("...", _FIELD.sub(r"\1...", text)) if _HINT.search(text) else text


def without_secrets(text: str) -> str:
    """`text`, of whatever origin, without tokens and logins, and without the queries of absolute URLs."""
    for pattern in (_USERINFO, _QUERY, _CREDENTIALS):
        text = pattern.sub(_hidden, text)
    return without_tokens(text)


def _hidden(match: Match[str]) -> str:
    return f"{match[1]}...@" if match.re is _USERINFO else f"{match[1]}..."
