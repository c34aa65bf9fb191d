"""The discovery document, by which clients find the endpoints (contract, section 3)."""

from collections.abc import Mapping
from xml.sax.saxutils import escape

_ENDPOINTS = {
    "read": "fileget",
    "write": "fileupload",
    "delete": "filedelete",
    "getmetadata": "getmetadata",
    "testkey": "testkey",
}


def discovery_document(base_url: str, elsewhere: Mapping[str, str]) -> str:
    """Return the XML that names the address of each endpoint; `base_url` has no slash at its end.

    `elsewhere` has the addresses of the endpoints that other servers provide, by type.
    """
    addresses = {kind: f"{base_url}/{path}" for kind, path in _ENDPOINTS.items()} | dict(elsewhere)
    urls = [f'<url type="{kind}">{escape(address)}</url>\n' for kind, address in addresses.items()]
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urls>\n{"".join(urls)}</urls>\n'
