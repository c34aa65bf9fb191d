"""The discovery document, by which clients find the endpoints (contract, section 3)."""

from xml.sax.saxutils import escape

_ENDPOINTS = {
    "read": "fileget",
    "write": "fileupload",
    "delete": "filedelete",
    "getmetadata": "getmetadata",
    "testkey": "testkey",
}


def discovery_document(base_url: str) -> str:
    """Return the XML that names the address of each endpoint; `base_url` has no slash at its end."""
    urls = [f'<url type="{kind}">{escape(f"{base_url}/{path}")}</url>\n' for kind, path in _ENDPOINTS.items()]
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urls>\n{"".join(urls)}</urls>\n'
