"""Checks of URLs in settings of stores."""

from urllib.parse import urlsplit


def url_problem(url: str) -> str | None:
    """Return what is wrong with the URL of a server or folder, None if nothing is."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        return str(error)
    if not is_usable or parts.query or parts.fragment:
        return "an http or https address without ? and # is needed"
    if "@" in parts.netloc:
        return "the login has settings of its own"
    return None
