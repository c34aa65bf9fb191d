"""Pieces of HTML, made of texts that are escaped."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias
from urllib.parse import quote, urlencode

from markupsafe import Markup

from was_daemon.model.moments import shown

Piece: TypeAlias = str | Markup
"""Text, or HTML, which is taken as it is."""

NOTHING = Markup("")


def address(path: str, fields: Mapping[str, str]) -> str:
    """Return an address with those fields of the query that are not empty."""
    query = urlencode({name: value for name, value in fields.items() if value}, quote_via=quote)
    return f"{path}?{query}" if query else path


def link(target: str, text: Piece) -> Markup:
    """Return a link."""
    return Markup('<a href="{}">{}</a>').format(target, text)


def moment(seconds: float | None) -> Markup:
    """Return a Unix time as people and programs read it."""
    if seconds is None:
        return NOTHING
    iso = datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
    return Markup('<time datetime="{}">{}</time>').format(iso, shown(seconds))


def isolated(text: str | None) -> Markup:
    """Return a text from elsewhere, whose direction of writing has no effect on what is around it."""
    return Markup("<bdi>{}</bdi>").format(text) if text else NOTHING


def code(text: str | None) -> Markup:
    """Return a text that is to be read character by character."""
    return Markup("<code>{}</code>").format(text) if text else NOTHING


def badge(kind: str, text: str) -> Markup:
    """Return a word that stands out, in the colour of `kind`: "good", "warn" or "bad"."""
    return Markup('<span class="badge {}">{}</span>').format(kind, text)


def notice(kind: str, text: Piece) -> Markup:
    """Return a sentence that stands out: with the kind "bad" it is a problem, and read out at once."""
    style, role = ("problem", "alert") if kind == "bad" else (f"note {kind}".strip(), "status")
    return Markup('<p class="{}" role="{}">{}</p>\n').format(style, role, text)


def problem(beginning: str, why: str) -> Markup:
    """Return a notice of a problem: what is wrong, and why, in one sentence."""
    return notice("bad", f"{beginning}: {why}{'' if why.endswith(('.', '?', '!')) else '.'}")


def facts(pairs: Iterable[tuple[str, Piece]]) -> Markup:
    """Return a list of names and values, without those that have none."""
    items = [Markup("<dt>{}</dt><dd>{}</dd>").format(name, value) for name, value in pairs if value]
    return Markup('<dl class="facts">\n{}\n</dl>\n').format(Markup("\n").join(items)) if items else NOTHING


def table(name: str, head: Sequence[str], rows: Iterable[Sequence[Piece]]) -> Markup:
    """Return a table, whose cells stand below each other on a phone; `name` says to screen readers what it is."""
    titles = Markup("").join(Markup('<th scope="col">{}</th>').format(title) for title in head)
    body = Markup("\n").join(Markup("<tr>{}</tr>").format(_cells(head, row)) for row in rows)
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}">\n<table class="stacked">\n'
        "<thead><tr>{}</tr></thead>\n<tbody>\n{}\n</tbody>\n</table>\n</div>\n"
    ).format(name, titles, body)


def _cells(head: Sequence[str], row: Sequence[Piece]) -> Markup:
    titled, untitled = Markup('<td data-label="{0}">{1}</td>'), Markup("<td>{1}</td>")
    cells = zip(head, row, strict=True)
    return Markup("").join((titled if title else untitled).format(title, value) for title, value in cells)


def section(identifier: str, title: str, content: Markup) -> Markup:
    """Return a part of a page with a heading, to which a link can lead."""
    return Markup('<section id="{}" aria-labelledby="{}-title">\n<h2 id="{}-title">{}</h2>\n{}</section>\n').format(
        identifier, identifier, identifier, title, content
    )


def hidden(fields: Mapping[str, str]) -> Markup:
    """Return hidden fields of a form."""
    return Markup("").join(
        Markup('<input type="hidden" name="{}" value="{}">\n').format(name, value) for name, value in fields.items()
    )
