"""Requests and documents of which an upload in parts consists."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape

import attrs
from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]  # it ships no annotations
from defusedxml.ElementTree import ParseError, fromstring  # type: ignore[import-untyped]

from was_daemon.model.errors import StoreFailed
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.s3.bucket import Bucket
from was_daemon.stores.s3.integrity import Payload, etag_of
from was_daemon.stores.s3.listing import document

XML = {"Content-Type": "application/xml"}
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


@attrs.frozen
class SentPart:
    """Part that the server has: the server's ETag, and the digests of the bytes sent."""

    tag: str
    md5: bytes
    sha256: bytes


async def begin_upload(bucket: Bucket, name: str, headers: Mapping[str, str]) -> str:
    """Begin an upload in parts; fire with its number."""
    answer = await bucket.request("POST", name, {"uploads": ""}, headers)
    upload = (await document(answer)).findtext("{*}UploadId")
    if not upload:
        raise StoreFailed("the store did not begin an upload in parts")
    return upload


async def abort_upload(bucket: Bucket, name: str, upload: str) -> None:
    """Give up an upload, which may be over already."""
    await bucket.call("DELETE", name, {"uploadId": upload}, accept=(200, 204, 404))


def part_query(upload: str, number: int) -> dict[str, str]:
    """Return the query of the request that sends a part; the first one has the number 1."""
    return {"uploadId": upload, "partNumber": str(number)}


def completion(parts: Iterable[tuple[int, SentPart]], checksums: bool) -> Payload:
    """Return the document that asks for the object made of the numbered `parts`, with their checksums if wanted."""
    lines = []
    for number, sent in parts:
        checksum = f"<ChecksumSHA256>{b64encode(sent.sha256).decode()}</ChecksumSHA256>" if checksums else ""
        tag = f"<ETag>{escape(sent.tag)}</ETag>"
        lines.append(f"<Part>{checksum}{tag}<PartNumber>{number}</PartNumber></Part>")
    text = f'<CompleteMultipartUpload xmlns="{_NAMESPACE}">{"".join(lines)}</CompleteMultipartUpload>'
    return Payload.now(text.encode())


def completed_tag(document: bytes) -> str | None:
    """Return the ETag in the document that reports an upload's completion; None when it reports something else."""
    try:
        root = fromstring(document.strip(), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        return None
    done = root.tag.endswith("CompleteMultipartUploadResult")
    return (root.findtext("{*}ETag") or "").strip('"') if done else None


async def write_as_one_part(
    bucket: Bucket, name: str, payload: Payload, condition: Mapping[str, str]
) -> tuple[SentPart, Answer, bytes]:
    """Write a small object by an upload in parts, of which there is one.

    The last request has the headers `condition`. Fires with the part, the answer to that request, and its body, which
    may tell an error.
    """
    upload = await begin_upload(bucket, name, {})
    try:
        answer = await bucket.call("PUT", name, part_query(upload, 1), payload=payload)
        part = SentPart(etag_of(answer) or payload.md5.hex(), payload.md5, payload.sha256)
        document = completion([(1, part)], checksums=False)
        answer = await bucket.request("POST", name, {"uploadId": upload}, {**XML, **condition}, document)
        said = await answer.content(1 << 16)
    except BaseException:
        await abort_upload(bucket, name, upload)
        raise
    if completed_tag(said) is None:
        await abort_upload(bucket, name, upload)
    return part, answer, said
