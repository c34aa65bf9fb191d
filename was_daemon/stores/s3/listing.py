"""Listings of a bucket, page by page."""

from collections.abc import AsyncGenerator, Iterator
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element

import attrs
from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]  # it ships no annotations
from defusedxml.ElementTree import ParseError, fromstring  # type: ignore[import-untyped]

from was_daemon.model.errors import StoreFailed
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.s3.bucket import Bucket

_PAGE = 1 << 23
"""Bytes of the longest page: a thousand names of 1,024 bytes, percent-encoded, with their properties."""


@attrs.frozen
class Listed:
    """Object in a listing, with its size in bytes."""

    name: str
    size: int
    modified: str
    """Time of the last write, as ISO 8601 writes it."""
    server_date: str | None
    """Time of the listing by the server's clock, as HTTP writes it."""


async def document(answer: Answer) -> Element:
    """Return the XML document in an answer. Raises `StoreFailed` also for one with entities or a document type."""
    try:
        root: Element = fromstring(await answer.content(_PAGE), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise StoreFailed("the store sent a document that cannot be read") from error
    return root


async def objects(bucket: Bucket, prefix: str, flat: bool) -> AsyncGenerator[Listed, None]:
    """Yield the objects whose names begin with `prefix`; if `flat`, only names without a slash after it."""
    query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"} | ({"delimiter": "/"} if flat else {})
    last = ""
    while True:
        answer = await bucket.request("GET", "", query)
        page, server_date = await document(answer), answer.header("Date")
        if not page.tag.endswith("ListBucketResult"):
            raise StoreFailed("the store sent a listing of something else than the bucket")
        for entry, name in zip(page.findall("{*}Contents"), _names(page, "Contents"), strict=True):
            size = entry.findtext("{*}Size") or ""
            if not size.isdecimal():
                raise StoreFailed("the store sent a listing without sizes")
            last = max(last, name)
            # Not every server minds what it is asked for.
            if name.startswith(prefix):
                yield Listed(name, int(size), entry.findtext("{*}LastModified") or "", server_date)
        if (page.findtext("{*}IsTruncated") or "").strip().lower() != "true":
            return
        token = page.findtext("{*}NextContinuationToken")
        # Servers that know only the first version of listings go on after a name.
        following = {"continuation-token": token} if token else {"marker": page.findtext("{*}NextMarker") or last}
        if following.items() <= query.items() or following == {"marker": ""}:
            raise StoreFailed("the store sent a listing that does not end")
        query |= following


def _names(page: Element, kind: str) -> Iterator[str]:
    for entry in page.findall(f"{{*}}{kind}"):
        yield _decoded(page, entry.findtext("{*}Key") or "")


def _decoded(page: Element, name: str) -> str:
    """Decode a name of a page; not every server encodes names when it is asked to."""
    return unquote_plus(name) if page.findtext("{*}EncodingType") == "url" else name
