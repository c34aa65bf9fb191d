"""URLs of servers: checks of those in settings, and the form in which they are sent."""

from urllib.parse import urlsplit

from hyperlink import EncodedURL

from was_daemon.model.places import Place


def url_problem(url: str) -> str | None:
    """Return what is wrong with the URL of a server or folder, None if nothing is."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        as_sent(url)
    except ValueError as error:
        return str(error)
    if not is_usable or parts.query or parts.fragment:
        return "an http or https address without ? and # is needed"
    if "@" in parts.netloc:
        return "the login has settings of its own"
    return None


def place_at(url: str, *further: str) -> Place:
    """Return the place of a folder, the same for all spellings of its URL; `further` tells apart what is in one folder.

    Case of the host, default port, encoded characters and slashes at the end do not matter.
    """
    sent = EncodedURL.from_text(as_sent(url)).normalize()
    root = (sent.scheme, sent.host.rstrip("."), str(sent.port), *further)
    return Place(root, tuple(part for part in sent.path if part))


def as_sent(url: str) -> str:
    """Return `url` with all characters encoded, also in the host (IDNA); raise ValueError for an invalid host or port.

    What is percent-encoded already stays as it is.
    """
    if ":" in (urlsplit(url).hostname or ""):
        # treq takes it for a name.
        raise ValueError("a host's name is needed, not its IPv6 address")
    return EncodedURL.from_text(url).to_uri().to_text()
