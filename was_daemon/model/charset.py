"""Encoding of texts, which a browser has to be told."""

import codecs
import re

from was_daemon.model.media import is_text

_MOST_CHARACTER = 4
"""Bytes of the longest character in UTF-8."""

TEXT_SAMPLE = (1 << 16) + _MOST_CHARACTER - 1
"""Number of first bytes by which `text_type` judges a text: 64 KiB, and the rest of a character that begins in them."""

_UTF8 = "utf-8"
_UTF8_MARK = codecs.BOM_UTF8
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
"""Marks of an encoding that no browser knows; the first begins as one of UTF-16."""

_NOT_ASCII = (b"\0", b"\x1b")
"""Bytes of texts that are not what their ASCII characters say: of UTF-16 without a mark, and of ISO-2022-JP."""

_DECLARATION_BYTES = 1024
"""Number of first bytes in which browsers look for a declaration (HTML standard, 13.2.3.2)."""

_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_XML_DECLARATION = rb"\A\s*<\?xml\s[^>]*?\bencoding\s*=\s*[\"']\s*([\w.:-]+)"
_META = rb"<meta[\s/][^>]*?\bcharset\s*=\s*[\"']?\s*([\w.:-]+)"
_DECLARATIONS = {
    "text/css": re.compile(rb"\A@charset \"([^\"]*)\";"),
    "text/html": re.compile(_META + b"|" + _XML_DECLARATION, re.IGNORECASE),
    "text/xml": re.compile(_XML_DECLARATION, re.IGNORECASE),
}
"""How a text of these types declares its encoding itself."""


def text_type(media_type: str, beginning: bytes) -> str:
    """Return the media type of a text with its encoding: UTF-8, or UTF-16 by its mark; unchanged if it is neither.

    `beginning` is the whole text, or its first `TEXT_SAMPLE` bytes. Browsers show UTF-8 that they are not told of in
    the encoding that is usual in their country. What they are told takes precedence over what the text declares.
    """
    charset = _charset(media_type, beginning) if is_text(media_type) else None
    return f"{media_type}; charset={charset}" if charset else media_type


def _charset(media_type: str, beginning: bytes) -> str | None:
    if beginning.startswith(_UTF32_MARKS):
        return None
    if beginning.startswith(_UTF16_MARKS):
        return "utf-16"
    if not beginning.startswith(_UTF8_MARK) and _declared(media_type, beginning) not in (None, _UTF8):
        return None
    # A longer text is cut, maybe within a character.
    is_whole = len(beginning) < TEXT_SAMPLE
    try:
        text = codecs.getincrementaldecoder(_UTF8)().decode(beginning, final=is_whole)
    except UnicodeDecodeError:
        return None
    if text.isascii():
        # The rest may be in any encoding.
        return _UTF8 if is_whole and not any(byte in beginning for byte in _NOT_ASCII) else None
    return None if "\0" in text else _UTF8


def _declared(media_type: str, beginning: bytes) -> str | None:
    """Return the encoding that a text declares, in lower case; None when it declares none."""
    declaration = _DECLARATIONS.get(media_type)
    if declaration is None:
        return None
    found = declaration.search(_COMMENT.sub(b"", beginning[:_DECLARATION_BYTES]))
    if found is None:
        return None
    name = next(filter(None, found.groups()), b"").decode("ascii", "replace").lower()
    return _UTF8 if name == "utf8" else name
