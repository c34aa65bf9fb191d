"""Media types of texts: an extension that fits them decides between those that their bytes do not tell apart."""

import codecs
import re
from typing import BinaryIO

from was_daemon.model.media import media_type, type_of_extension

SAMPLE = 1 << 16
"""First bytes by which a text is told from other data."""

CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_TEXTS = frozenset({"application/yaml", "application/javascript", "application/sql", "model/obj", "model/stl"})
_PROLOGUE = re.compile(r"\s*(?:<\?.*?\?>|<!--.*?-->)", re.DOTALL)
_ROOT = re.compile(r"\s*<(?:!doctype\s+)?(?:[\w.-]+:)?([\w.-]+)[\s>/]", re.IGNORECASE)
_ROOTS = {"html": ".html", "svg": ".svg", "kml": ".kml", "gpx": ".gpx", "rss": ".rss"}


def text_type_of(source: BinaryIO, name: str) -> str | None:
    """Return the type of the text `source`, which is called `name`; None for other data, and for an empty file."""
    source.seek(0)
    data = source.read(SAMPLE)
    claimed = media_type(name)
    text = _decoded(data, is_sure=_is_textual(claimed))
    if not text:
        return None
    return _marked_up(text, claimed) if text.lstrip().startswith("<") else _plain(claimed)


def _decoded(data: bytes, is_sure: bool) -> str | None:
    """Return a text in UTF-8 or UTF-16, and with `is_sure`, where a name says that it is one, in older encodings."""
    if data.startswith(_UTF16):
        return data.decode("utf-16", "replace")
    if CONTROLS.search(data):
        return None
    try:
        # The sample may end within a character.
        return codecs.getincrementaldecoder("utf-8-sig")().decode(data, final=len(data) < SAMPLE)
    except UnicodeDecodeError:
        return data.decode("latin-1") if is_sure else None


def _is_textual(kind: str) -> bool:
    return kind.startswith("text/") or kind.endswith(("+json", "+xml", "/json", "/xml")) or kind in _TEXTS


def _is_markup(kind: str) -> bool:
    return kind.endswith(("+xml", "/xml"))


def _plain(claimed: str) -> str:
    return claimed if _is_textual(claimed) and not _is_markup(claimed) else type_of_extension(".txt")


def _marked_up(text: str, claimed: str) -> str:
    """Return the type of a text that begins as HTML and XML do."""
    is_declared = text.lstrip().startswith("<?xml")
    while prologue := _PROLOGUE.match(text):
        text = text[prologue.end() :]
    root = _ROOT.match(text)
    found = _ROOTS.get(root[1].lower()) if root else None
    if found:
        return _choice_of_markup(claimed, found)
    if _is_markup(claimed):
        return claimed
    return type_of_extension(".xml") if is_declared else _plain(claimed)


def _choice_of_markup(claimed: str, extension: str) -> str:
    xhtml = type_of_extension(".xhtml")
    return xhtml if extension == ".html" and claimed == xhtml else type_of_extension(extension)
