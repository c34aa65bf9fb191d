"""Listings of a bucket, page by page."""

from collections.abc import AsyncGenerator, Iterator
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element

import attrs
from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]  # it ships no annotations
from defusedxml.ElementTree import ParseError, fromstring  # type: ignore[import-untyped]

from was_daemon.errors import StoreFailed
from was_daemon.stores.http import Answer
from was_daemon.stores.s3_bucket import Bucket

_PAGE = 1 << 23
"""Bytes of the longest page: a thousand names of 1,024 bytes, percent-encoded, and what is told of each."""


@attrs.frozen
class Listed:
    """An object, and its size in bytes."""

    name: str
    size: int


@attrs.frozen
class Unfinished:
    """An upload in parts that was begun."""

    name: str
    upload: str
    begun: str
    """When, as ISO 8601 writes it."""


async def document(answer: Answer) -> Element:
    """What an answer says in XML; `StoreFailed` when it is none. Entities and document types are refused unread."""
    try:
        root: Element = fromstring(await answer.content(_PAGE), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise StoreFailed("the store sent a document that cannot be read") from error
    return root


async def objects(bucket: Bucket, prefix: str, flat: bool) -> AsyncGenerator[Listed, None]:
    """The objects whose names begin with `prefix`; if `flat`, those without a slash after it."""
    query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"} | ({"delimiter": "/"} if flat else {})
    while True:
        page = await document(await bucket.request("GET", "", query))
        for entry, name in zip(page.findall("{*}Contents"), _names(page, "Contents"), strict=True):
            size = entry.findtext("{*}Size") or ""
            if not size.isdecimal():
                raise StoreFailed("the store sent a listing without sizes")
            yield Listed(name, int(size))
        following = page.findtext("{*}NextContinuationToken")
        if page.findtext("{*}IsTruncated") != "true":
            return
        if not following or following == query.get("continuation-token"):
            raise StoreFailed("the store sent a listing that does not end")
        query["continuation-token"] = following


async def unfinished(bucket: Bucket, prefix: str) -> AsyncGenerator[tuple[Unfinished, str | None], None]:
    """The uploads in parts of names that begin with `prefix`, each with the server's time, a date of HTTP's."""
    query = {"uploads": "", "prefix": prefix, "encoding-type": "url"}
    while True:
        answer = await bucket.request("GET", "", query)
        page = await document(answer)
        for upload, name in zip(page.findall("{*}Upload"), _names(page, "Upload"), strict=True):
            begun = Unfinished(name, upload.findtext("{*}UploadId") or "", upload.findtext("{*}Initiated") or "")
            yield begun, answer.header("Date")
        markers = {
            "key-marker": _decoded(page, page.findtext("{*}NextKeyMarker") or ""),
            "upload-id-marker": page.findtext("{*}NextUploadIdMarker") or "",
        }
        if page.findtext("{*}IsTruncated") != "true" or not markers["key-marker"] or markers.items() <= query.items():
            return
        query |= markers


def _names(page: Element, kind: str) -> Iterator[str]:
    for entry in page.findall(f"{{*}}{kind}"):
        yield _decoded(page, entry.findtext("{*}Key") or "")


def _decoded(page: Element, name: str) -> str:
    """A name as the page spells it; not every server encodes them when it is asked to."""
    return unquote_plus(name) if page.findtext("{*}EncodingType") == "url" else name
