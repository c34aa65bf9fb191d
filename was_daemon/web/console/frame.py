"""The frame of every page of the console: head, navigation, footer, and the headers of its answer."""

from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files

import attrs
from twisted.web.http import Request

from was_daemon import __version__
from was_daemon.web.caching import NO_STORE
from was_daemon.web.console.guard import TOKEN_FIELD, Visit
from was_daemon.web.static_files import StaticFiles, read_static_files

CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "media-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""The Content-Security-Policy: nothing comes from elsewhere, and no script or style stands in a page."""

_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": browsers would then send `Origin: null` with forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
    "Cache-Control": NO_STORE,
}


@attrs.frozen
class NavigationEntry:
    """A page in the navigation; `address` is relative to the console's first page."""

    address: str
    title: str


OVERVIEW = NavigationEntry("./", "Overview")

_LOG_OUT = """
<form method="post" action="{root}logout" class="logout">
{token}
<button type="submit">Log out</button>
</form>"""


@attrs.frozen
class Page:
    """A page: `content` is HTML, whose texts are escaped. Every `refresh` seconds a script fetches it again."""

    title: str
    content: str
    refresh: int | None = None
    status: int = 200


@cache
def console_files() -> StaticFiles:
    """Return the files that pages load, read once."""
    return read_static_files([files(__package__) / "static"])


def set_security_headers(request: Request) -> None:
    """Set the headers that every answer of the console has, also one to a page that there is not."""
    for name, value in _HEADERS.items():
        request.setHeader(name, value)


def token_field(visit: Visit) -> str:
    """Return the hidden field that every form of method POST needs."""
    return f'<input type="hidden" name="{TOKEN_FIELD}" value="{escape(visit.token)}">'


class Frame:
    """Frame of pages with a navigation of `entries`."""

    def __init__(self, entries: Sequence[NavigationEntry] = (OVERVIEW,)) -> None:
        self._entries = entries

    def answer(self, visit: Visit, page: Page) -> bytes:
        """Set status and headers of the answer, and return the HTML document."""
        request = visit.request
        body = self._document(visit, page).encode()
        request.setResponseCode(page.status)
        request.setHeader("Content-Type", "text/html; charset=utf-8")
        request.setHeader("Content-Length", str(len(body)))
        return body

    def _document(self, visit: Visit, page: Page) -> str:
        files_at = f"{visit.root}static/{console_files().version}"
        refresh = f' data-refresh="{page.refresh}"' if page.refresh else ""
        return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(page.title)} – Console of the asset server</title>
<link rel="icon" href="{files_at}/icon.svg">
<link rel="stylesheet" href="{files_at}/console.css">
<script type="module" src="{files_at}/console.js"></script>
</head>
<body{refresh}>
<a class="skip" href="#content">Skip to the content</a>
<header class="bar">
<p class="brand">Asset server</p>
{self._navigation(visit) if visit.is_logged_in else ""}
</header>
<main id="content" tabindex="-1">
<h1>{escape(page.title)}</h1>
{page.content}
</main>
<footer>
<p>was_daemon {__version__}</p>
</footer>
</body>
</html>
"""

    def _navigation(self, visit: Visit) -> str:
        items = "\n".join(self._item(visit, entry) for entry in self._entries)
        leave = _LOG_OUT.format(root=visit.root, token=token_field(visit)) if visit.visitor.needs_password else ""
        return f"""<nav aria-label="Pages">
<ul>
{items}
</ul>
</nav>{leave}"""

    def _item(self, visit: Visit, entry: NavigationEntry) -> str:
        below = visit.request.path.decode("latin-1").partition("/console/")[2]
        is_current = not below if entry is OVERVIEW else below.startswith(entry.address)
        address = visit.root if entry is OVERVIEW else visit.root + entry.address
        current = ' aria-current="page"' if is_current else ""
        return f'<li><a href="{escape(address)}"{current}>{escape(entry.title)}</a></li>'
