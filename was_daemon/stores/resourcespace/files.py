"""Files of resources at the addresses that ResourceSpace tells for them: filestore's, or those of its download page."""

import re
from urllib.parse import urljoin, urlsplit

from was_daemon.model.errors import StoreFailed, StoreUnavailable
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.http.client import HTTPRemote
from was_daemon.stores.http.urls import as_sent, url_problem

_DOWNLOAD_PAGE = "/pages/download.php"


def is_download_page(address: str) -> bool:
    """Return whether ResourceSpace sends the file itself, and not its web server."""
    return urlsplit(address).path.endswith(_DOWNLOAD_PAGE)


def absolute(base: str, told: object) -> str:
    """Return the absolute form of an address that the ResourceSpace at `base` told.

    Raises `StoreUnavailable` when it told none, and when it leads to another host by plain http: such an address may
    lead to what is inside of a network.
    """
    if not isinstance(told, str) or not told:
        raise StoreUnavailable("ResourceSpace does not let the daemon's user download this file")
    try:
        parts = urlsplit(urljoin(f"{base}/", told))
        server = f"{parts.scheme}://{parts.netloc}"
        asked = urlsplit(base)
        elsewhere = parts.scheme == "http" and (asked.scheme, asked.hostname) != ("http", parts.hostname)
        if url_problem(server) or elsewhere:
            raise StoreUnavailable(
                f"ResourceSpace has files at {parts.hostname}: $baseurl and $storageurl need the host of url, or https"
            )
        return as_sent(parts.geturl())
    except ValueError:
        raise StoreFailed("the store gave no proper answer", "ResourceSpace told an invalid address") from None


async def get(remote: HTTPRemote, address: str, headers: dict[str, str]) -> Answer:
    """GET a file or a range of it; fire with the answer."""
    if is_download_page(address) and "Range" in headers:
        # The page sends everything from the first byte on, whatever the last byte is said to be.
        headers = headers | {"Range": re.sub(r"-\d+\Z", "-", headers["Range"])}
    answer = await remote.request("GET", address, headers)
    kind = (answer.header("Content-Type") or "").lower()
    if is_download_page(address) and answer.code == 200 and not answer.header("Content-Disposition") and "html" in kind:
        answer.close()
        raise StoreUnavailable("ResourceSpace sends a page instead of the file: its user may not download it")
    return answer
