"""The page of the trash: versions of originals that were deleted or replaced, and the form that brings one back."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from was_daemon.model.errors import AssetError, BadRequest
from was_daemon.model.sizes import readable
from was_daemon.model.trash import TrashedVersion, TrashId
from was_daemon.web.console.frame import Page
from was_daemon.web.console.gallery.holdings import Holdings
from was_daemon.web.console.gallery.markup import (
    NOTHING,
    Piece,
    address,
    code,
    hidden,
    isolated,
    link,
    moment,
    notice,
    problem,
    table,
)
from was_daemon.web.console.guard import TOKEN_FIELD, Visit

TITLE = "Trash"
_PAGE_ROWS = 50
_DIGEST_START = 16
_HEAD = ("Since", "Why", "File", "Size", "SHA-256", "By", "")


async def trash_page(holdings: Holdings, visit: Visit, name: str, before: str) -> Page:
    """Fire with the page of the latest versions, of the originals called `name` if it is not "".

    `before` is the identifier of the version after which the page begins, or "". Raises `BadRequest`.
    """
    start = TrashId.parse(before)
    if before and not start:
        raise BadRequest("the address of this page is not complete: begin with the first page")
    form = _form(name)
    try:
        found, following = await (await holdings.trash()).latest(name or None, start, _PAGE_ROWS)
    except AssetError as error:
        return Page(TITLE, form + problem("The trash cannot be listed", str(error)), status=503)
    if not found and not following:
        return Page(TITLE, form + notice("", _empty(holdings, name)))
    versions = [(version, holdings.collection_of(version.key)) for version in found]
    listed = versions_table(visit, versions, is_stored=False)
    return Page(TITLE, form + listed + _pager(name, bool(start), following))


def versions_table(visit: Visit, versions: Iterable[tuple[TrashedVersion, str]], is_stored: bool) -> Markup:
    """Return a table of versions, each with the name of its collection.

    With `is_stored` the original of each is stored, and goes to the trash when a version takes its place.
    """
    return table("Versions in the trash", _HEAD, [_row(visit, *each, is_stored) for each in versions])


def _form(name: str) -> Markup:
    return Markup(
        '<form class="search" role="search" aria-label="Versions in the trash">\n'
        '<p><label for="trash-name">Name of the file</label> <input id="trash-name" name="name" value="{}" '
        'placeholder="the whole name in the store" autocomplete="off" spellcheck="false"></p>\n'
        '<p class="buttons"><button type="submit" class="main">Show</button> {}</p>\n'
        "</form>\n"
    ).format(name, link("./", "Everything") if name else NOTHING)


def _empty(holdings: Holdings, name: str) -> Piece:
    if name:
        return "No version of a file of this name is in the trash."
    if holdings.has_trash:
        return "The trash is empty."
    return Markup("The trash is empty. Nothing comes there without <code>keep</code> in <code>[trash]</code>.")


def _row(visit: Visit, version: TrashedVersion, collection: str, is_stored: bool) -> Sequence[Piece]:
    digest = version.known.digest
    fields = {"collection": collection, "name": version.key.name}
    note = Markup('<br><span class="soft">{}</span>').format(isolated(version.note)) if version.note else NOTHING
    where = Markup("{} / ").format(isolated(collection)) if collection else NOTHING
    page = f"{visit.root}gallery/{address('asset', fields)}"
    return (
        moment(version.id.at),
        Markup("{}{}").format(version.reason.value, note),
        Markup("{}{}").format(where, link(page, isolated(version.key.name))),
        readable(version.version.size),
        code(digest.sha256[:_DIGEST_START] if digest else ""),
        version.by or "",
        _restore_form(visit, version, fields, is_stored),
    )


def _restore_form(visit: Visit, version: TrashedVersion, fields: dict[str, str], is_stored: bool) -> Markup:
    replace = "yes" if is_stored else ""
    label = "Put in place of the stored one" if is_stored else "Restore"
    return Markup(
        '<form method="post" action="{}trash/restore">\n{}<button type="submit" aria-label="{}">{}</button>\n</form>'
    ).format(
        visit.root,
        hidden({TOKEN_FIELD: visit.token, **fields, "id": version.id.text, "replace": replace}),
        f"{label}: {version.key.name}",
        label,
    )


def _pager(name: str, is_later: bool, following: TrashId | None) -> Markup:
    links = [link(address("./", {"name": name}), "First page")] if is_later else []
    if following:
        target = address("./", {"name": name, "before": following.text})
        links.append(Markup('<a href="{}" rel="next">Next page</a>').format(target))
    return Markup('<nav class="pager" aria-label="Pages of the trash">{}</nav>\n').format(Markup(" ").join(links))
