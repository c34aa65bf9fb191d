"""Removal of tokens, logins and other secrets from texts for the log."""

import re
from re import Match


def _letter_pattern(letter: str) -> str:
    """Return a pattern for an ASCII letter in both cases, as it is or percent-encoded."""
    forms = {form for case in (letter.lower(), letter.upper()) for form in (re.escape(case), f"%{ord(case):02x}")}
    return f"(?:{'|'.join(sorted(forms))})"


_HEX = "(?:[0-9a-f]|%3[0-9]|%[46][1-6])"
_DIGIT = "(?:[0-9]|%3[0-9])"
_TOKEN = re.compile(f"{_HEX}{{32}}(?::|%3a){_DIGIT}{{1,15}}", re.IGNORECASE)
"""Pattern of a token (contract, section 2)."""

_FIELD = re.compile(f"([?&;]{''.join(map(_letter_pattern, 'token'))}(?:2|%32)?(?:=|%3d))[^&#\\s]+", re.IGNORECASE)
"""Pattern of the parameter `token` in an address, and of `token2` in that of the viewer, whatever its value."""

_CAPABILITY = re.compile(f"((?:;|%3b){_DIGIT}+)(?:\\.|%2e)(?:[\\w-]|%[0-9a-f]{{2}}){{8,}}", re.IGNORECASE | re.ASCII)
"""Pattern of the capability in the address of a picture (`web.capabilities`), also of one that was copied badly."""

_HINT = re.compile("[:;%]|token", re.IGNORECASE)
"""Pattern that matches in every text with a token, such a parameter or a capability, and in few others; it is faster.
"""

_USERINFO = re.compile(r"(\w://)[^/?#\s'\"]*@")
_QUERY = re.compile(r"(\w://[^?\s'\"]*\?)[^\s'\"]+")
_CREDENTIALS = re.compile(r"\b((?:Basic|Bearer) +)[^\s'\"]{6,}", re.IGNORECASE)


def without_tokens(text: str) -> str:
    """Return `text` with tokens, values of parameters of that name, and capabilities replaced by three dots."""
    if not _HINT.search(text):
        return text
    return _CAPABILITY.sub(r"\1...", _TOKEN.sub("...", _FIELD.sub(r"\1...", text)))


def without_secrets(text: str) -> str:
    """Return `text` without tokens and logins, and without the queries of absolute URLs."""
    for pattern in (_USERINFO, _QUERY, _CREDENTIALS):
        text = pattern.sub(_redact, text)
    return without_tokens(text)


def _redact(match: Match[str]) -> str:
    return f"{match[1]}...@" if match.re is _USERINFO else f"{match[1]}..."
