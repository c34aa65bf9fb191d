"""The first page of the gallery: a form for searches, and small pictures of what is found."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.search_texts import BadSearch
from was_daemon.model.sizes import readable
from was_daemon.web.console.frame import Page
from was_daemon.web.console.gallery.asked import Asked
from was_daemon.web.console.gallery.holdings import Exhibit, Holdings
from was_daemon.web.console.gallery.markup import NOTHING, address, badge, isolated, link, moment, notice

TITLE = "Gallery"

_WITHOUT_CATALOGUE = Markup(
    "The gallery shows what the catalogue has: turn it on by <code>path</code> or <code>url</code> in the section "
    "<code>[catalogue]</code> of the configuration, restart the daemon, and enter what is stored already with "
    "<code>was-daemon catalogue rebuild</code>."
)

_FIELDS = (
    ("name", "Name", "*.tif, or 6e0c*"),
    ("file_name", "Original name", "IMG_80??.jpg"),
    ("captured", "Taken", "2024-05, or 2023..2024-05"),
    ("stored", "Uploaded", "2024-05-31.."),
    ("type", "Type", "image/, or video/mp4"),
    ("size", "Size", "10 MB..2 GB"),
    ("near", "Place", "12.11,-68.93,5 km"),
    ("sha256", "SHA-256", "64 digits"),
)
"""Fields of the search that have a place in the form: name, label, and an example."""


async def gallery_page(holdings: Holdings, query: bytes) -> Page:
    """Fire with the page for the query of an address."""
    if not holdings.finder:
        return Page(TITLE, notice("warn", _WITHOUT_CATALOGUE) + _form_by_name(holdings))
    asked, problem, status = Asked(), "", 200
    found: tuple[list[dict[str, Any]], Asked | None] = ([], None)
    collections: Sequence[str] = ()
    try:
        asked = Asked.parse(query)
        collections = await holdings.finder.collections()
        found = await asked.answer(holdings.finder)
    except BadSearch as error:
        problem, status = str(error), 400
    except StoreUnavailable as error:
        problem, status = f"{error}: was-daemon doctor says why", 503
    content = _form(asked, collections)
    content += notice("bad", problem) if problem else _results(holdings, asked, *found)
    return Page(TITLE, content, status=status)


def _form_by_name(holdings: Holdings) -> Markup:
    field = _text_field("collection", "Collection", "", "as clients name it") if holdings.has_collections else NOTHING
    return Markup(
        '<form action="asset" class="search" role="search" aria-label="One file">\n'
        "<p>A file whose name you know has its page all the same:</p>\n{}{}\n"
        '<p><button type="submit" class="main">Show</button></p>\n</form>\n'
    ).format(_text_field("name", "Name", "", "the whole name in the store"), field)


def _form(asked: Asked, collections: Sequence[str]) -> Markup:
    shown = {name for name, _, _ in _FIELDS}
    fields = Markup("\n").join(_text_field(name, label, asked.fields.get(name, ""), x) for name, label, x in _FIELDS)
    # What only an address asks for stays part of the question.
    others = Markup("\n").join(
        _text_field(name, name, value, "") for name, value in asked.fields.items() if name not in shown
    )
    return Markup(
        '<form class="search" role="search" aria-label="Originals">\n{}\n<details{}>\n<summary>Search</summary>\n'
        '<div class="fields">\n{}\n{}\n</div>\n'
        '<p class="soft">In names, * stands for any characters, and ? for one.</p>\n'
        "</details>\n"
        '<p class="buttons"><button type="submit" class="main">Show</button> {}</p>\n</form>\n'
    ).format(
        _choice(asked.collection, collections),
        Markup(" open") if asked.is_search else NOTHING,
        fields,
        others,
        link("./", "Newest of all") if asked.is_search or asked.collection else NOTHING,
    )


def _text_field(name: str, label: str, value: str, example: str) -> Markup:
    return Markup(
        '<p><label for="ask-{}">{}</label> '
        '<input id="ask-{}" name="{}" value="{}" placeholder="{}" autocomplete="off" spellcheck="false"></p>'
    ).format(name, label, name, name, value, example)


def _choice(chosen: str, collections: Sequence[str]) -> Markup:
    if not collections and not chosen:
        return NOTHING
    names = [*collections, *([chosen] if chosen and chosen not in collections else [])]
    options = Markup("").join(
        Markup('<option value="{}"{}>{}</option>').format(name, Markup(" selected") if name == chosen else "", name)
        for name in names
    )
    return Markup(
        '<p><label for="ask-collection">Collection</label> <select id="ask-collection" name="collection">'
        '<option value="">All</option>{}</select></p>'
    ).format(options)


def _results(holdings: Holdings, asked: Asked, rows: Sequence[Mapping[str, Any]], following: Asked | None) -> Markup:
    tiles = Markup("\n").join(_tile(holdings, row) for row in rows)
    listed = Markup('<ul class="tiles">\n{}\n</ul>\n').format(tiles) if rows else _nothing(asked, following)
    return listed + _pager(asked, following)


def _nothing(asked: Asked, following: Asked | None) -> Markup:
    if following:
        return notice("", "Nothing was found on this page; the search goes on after it.")
    wider = asked.wider()
    if wider:
        target = link(address("./", wider.query), "names that contain it")
        return notice("", Markup("No file has exactly this name. Look for {}.").format(target))
    return notice(
        "", "Nothing was found." if asked.is_search or asked.cursor else "The catalogue has no originals yet."
    )


def _pager(asked: Asked, following: Asked | None) -> Markup:
    """Return links to the first page and to the next; their addresses show the same rows whatever is added."""
    first = Asked(asked.fields, asked.collection)
    links = [link(address("./", first.query), "First page")] if asked.cursor else []
    links += (
        [Markup('<a href="{}" rel="next">Next page</a>').format(address("./", following.query))] if following else []
    )
    if not links:
        return NOTHING
    return Markup('<nav class="pager" aria-label="Pages of the gallery">{}</nav>\n').format(Markup(" ").join(links))


def _tile(holdings: Holdings, row: Mapping[str, Any]) -> Markup:
    exhibit = holdings.exhibit_of_row(row["store"], row["collection"], row["name"])
    private = badge("warn", "private") if row["redacted"] else NOTHING
    told = (isolated(row["collection"]), moment(row["stored"]), _size(row["size"]), row["media_type"] or NOTHING)
    about = Markup(" · ").join(each for each in told if each)
    return Markup('<li>{}<p class="soft">{} {}</p></li>').format(_picture(holdings, exhibit, row), about, private)


def _picture(holdings: Holdings, exhibit: Exhibit | None, row: Mapping[str, Any]) -> Markup:
    if not exhibit:
        elsewhere = Markup('<p class="name">{}</p><p class="soft">in no collection of this configuration</p>')
        return elsewhere.format(isolated(row["name"]))
    label = Markup('<span class="label">{}</span>').format(isolated(row["file_name"])) if row["file_name"] else NOTHING
    return Markup(
        '<a href="{}"><img src="{}" alt="" loading="lazy" decoding="async" width="{}" height="{}">'
        '{}<span class="name">{}</span></a>'
    ).format(
        address("asset", exhibit.fields),
        address("look/thumbnail", {**exhibit.public_fields, "scale": str(holdings.scale)}),
        holdings.scale,
        holdings.scale,
        label,
        isolated(exhibit.name),
    )


def _size(size: int | None) -> str:
    return "" if size is None else readable(size)
