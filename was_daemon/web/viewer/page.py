"""The viewer's page and its Content-Security-Policy: pure functions."""

import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from string import Template
from typing import Any

import attrs

_ORIGIN = re.compile(r"https?://[\w.:\[\]-]+", re.ASCII)

_SCRIPTS = """<script defer src="view/$version/openseadragon.js"></script>
<script type="module" src="view/$version/main.js"></script>"""

_MISSING = """<main class="notice">
<h2>The viewer is not a part of this installation</h2>
<p>It needs OpenSeadragon, which is fetched from npm when the daemon is built. Whoever runs this server can add it: in
the source directory, run <code>make install</code> or <code>make dist</code> where the npm registry can be reached, and
install the result.</p>
<p>Everything else works without it. Other viewers can show the picture by its address in IIIF.</p>
$links
</main>"""


@attrs.frozen
class ShownPicture:
    """Description of an asset for the page. Addresses are relative to the page's own, whatever a proxy puts before it.

    `image` is the address by the Image API, with `{page}` where the page's number goes; `player` is the element of HTML
    that plays a recording, which has no `image`, and `player_origin` where its store sends clients for the bytes.
    `expiry` is the time in Unix seconds until which addresses are valid, None without an end; `problem` is a status and
    a reason when the asset cannot be shown. With `is_shared` the page tells addresses for other viewers.
    """

    name: str
    collection: str | None
    suffix: str
    image: str = ""
    player: str = ""
    player_origin: str = ""
    original: str = ""
    metadata: str = ""
    manifest: str = ""
    expiry: int | None = None
    problem: tuple[int, str] | None = None
    is_shared: bool = True

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return attrs.asdict(self)


def content_policy(pictures: Iterable[ShownPicture]) -> str:
    """Return the policy of the page: nothing is loaded but files, tiles and metadata of this server.

    A store may have its pictures shown, or its recordings sent, by a server of its own, whose origin is added.
    """
    pictures = list(pictures)
    sources = _sources(picture.image for picture in pictures)
    players = [picture.player_origin for picture in pictures if picture.player]
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src {sources}",
            f"connect-src {sources}",
            *([f"media-src {_sources(players)}"] if players else []),
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _sources(addresses: Iterable[str]) -> str:
    """Return this server, and the origins of those addresses that are absolute."""
    origins = {match[0] for match in map(_ORIGIN.match, addresses) if match}
    return " ".join(["'self'", *sorted(origins)])


def viewer_page(template: str, version: str, pictures: Sequence[ShownPicture]) -> str:
    """Return the HTML document; its files are below `view/VERSION/`."""
    scripts = Template(_SCRIPTS).substitute(version=version)
    return _filled(template, version, pictures, scripts, '<main id="pictures" class="pictures"></main>')


def page_without_viewer(template: str, version: str, pictures: Sequence[ShownPicture]) -> str:
    """Return the HTML document for an installation without OpenSeadragon."""
    content = Template(_MISSING).substitute(links="\n".join(map(_links, pictures)))
    return _filled(template, version, pictures, "", content)


def _filled(template: str, version: str, pictures: Sequence[ShownPicture], scripts: str, content: str) -> str:
    return Template(template).substitute(
        title=escape(" and ".join(picture.name for picture in pictures)) or "No picture",
        version=version,
        scripts=scripts,
        content=content,
        pictures=escape(json.dumps([picture.document() for picture in pictures])),
        links="\n".join(map(_links, pictures)),
    )


def _links(picture: ShownPicture) -> str:
    """Return what can be told of a picture where no script runs."""
    if picture.problem:
        return f"<p>{escape(picture.name)}: {escape(picture.problem[1])}</p>"
    description = f"{picture.image.replace('{page}', '')}/info.json" if picture.image else picture.manifest
    return (
        f'<p>{escape(picture.name)}: <a href="{escape(picture.original)}">original</a>, '
        f'<a href="{escape(description)}">address in IIIF</a></p>'
    )
