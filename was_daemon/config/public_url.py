"""The public address of the server, from its setting or from the variables of the official image."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from was_daemon.config.settings import PORT, ServerSettings
from was_daemon.config.structure import Mistakes

_HOSTNAME = re.compile(r"[\w.:%~-]+")


def public_url_of(server: ServerSettings, environ: Mapping[str, str], mistakes: Mistakes) -> str | None:
    """Return the public URL without a slash at its end, None if it is not set; add to `mistakes` if it is none."""
    if server.public_url is None:
        return _of_environment(environ, mistakes)
    if not is_server_address(server.public_url):
        mistakes.add("server.public_url", f'expected the address of a server, got "{server.public_url}"')
    return server.public_url.rstrip("/")


def _of_environment(environ: Mapping[str, str], mistakes: Mistakes) -> str | None:
    """Return the public URL that SERVER_NAME and SERVER_PORT, of the official image, describe."""
    host = environ.get("SERVER_NAME")
    if not host:
        return None
    port = environ.get("SERVER_PORT", str(PORT))
    url = {"80": f"http://{host}", "443": f"https://{host}"}.get(port, f"http://{host}:{port}")
    if not (port.isascii() and port.isdigit()):
        mistakes.add("SERVER_PORT", f'expected a port, got "{port}"')
    elif "/" in host or not is_server_address(url):
        mistakes.add("SERVER_NAME", f'with SERVER_PORT expected a host and port, got "{host}" and "{port}"')
    return url


def is_server_address(url: str) -> bool:
    """Return whether `url` is an http or https URL without query and fragment."""
    try:
        parts = urlsplit(url)
        return bool(
            parts.scheme in ("http", "https")
            and _HOSTNAME.fullmatch(parts.hostname or "")
            and parts.port != 0
            and not parts.query
            and not parts.fragment
        )
    except ValueError:
        return False
