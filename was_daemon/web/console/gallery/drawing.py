"""The drawing that stands where a file has no thumbnail."""

from posixpath import splitext

from markupsafe import Markup

_MOST_LETTERS = 6

_DRAWING = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 256 256" width="256" height="256" fill="none" '
    'stroke="#7d8881" stroke-width="6" stroke-linejoin="round">'
    '<path d="M72 36h76l40 40v144H72z"/><path d="M148 36v40h40"/>'
    '<g fill="#7d8881" stroke="none" font-family="system-ui,sans-serif" text-anchor="middle">'
    '<text x="130" y="150" font-size="28" font-weight="600">{}</text><text x="128" y="246" font-size="15">{}</text>'
    "</g></svg>"
)


def drawing(name: str, words: str) -> str:
    """Return a sheet of paper as SVG, with the extension of a file's name, and some words on it."""
    return _DRAWING.format(splitext(name)[1][1 : _MOST_LETTERS + 1].upper(), words)
