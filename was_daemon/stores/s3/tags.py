"""ETags of one S3 server: MD5s of what it was sent, or something else, as its own answers show."""

from collections.abc import Callable
from enum import Enum
from string import hexdigits

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from was_daemon.model.errors import AssetError
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.s3.bucket import Bucket
from was_daemon.stores.s3.integrity import Payload, composite, etag_of
from was_daemon.stores.s3.parts import completed_tag, write_as_one_part
from was_daemon.stores.s3.upload_records import UploadRecords


class TagKind(Enum):
    """Kinds of things that have an ETag; the value is the word for the log."""

    WHOLE = "objects"
    PART = "parts"
    COMPOSITE = "objects in parts"


class Tags:
    """Judge of ETags that are not the MD5 that they might be.

    At a server whose ETags are MD5s such a one tells of damage. Others encrypt, count versions, or take another digest.
    Where no earlier answer has shown what the ETags are, a small object is written that shows it.
    """

    _log = Logger()

    def __init__(self, bucket: Callable[[], Bucket], records: UploadRecords) -> None:
        self._bucket = bucket
        self._records = records
        self._trying = DeferredLock()
        self._are_md5: dict[TagKind, bool] = {}
        self._is_ambiguous = False
        """Whether the ETag of an object in parts has no dash, and is not the MD5 of all bytes, as on s3rver."""

    async def allow(self, kind: TagKind, answer: Answer, tag: str, expected: str) -> bool:
        """Fire with whether bytes whose MD5 is `expected` may have the ETag `tag`; `answer` is the one that told it."""
        if not _may_be_md5(kind, answer, tag):
            return True
        if tag.lower() == expected:
            self._are_md5.setdefault(kind, True)
            return True
        # Where the ETags of objects in parts look like all others, those may be none, either.
        kinds = [kind, TagKind.COMPOSITE] if kind is TagKind.WHOLE else [kind]
        async with self._trying:
            for each in kinds:
                if each not in self._are_md5:
                    await self._try(each)
        return not self._are_md5.get(kind, False) or (kind is TagKind.WHOLE and self._is_ambiguous)

    async def _try(self, kind: TagKind) -> None:
        path, payload = await self._records.new_object(), Payload.now(b"check")
        name = self._records.name(path)
        try:
            if kind is TagKind.WHOLE:
                self._note(kind, etag_of(await self._bucket().call("PUT", name, payload=payload)), payload.md5.hex())
            else:
                await self._try_parts(name, payload)
        except AssetError as error:
            # The credentials may lack a permission, for instance: then nothing is compared.
            self._log.warn(
                "Uploads are not compared with the store's ETags, whose kind cannot be determined: {error}", error=error
            )
        finally:
            self._records.uploads.discard(path)

    async def _try_parts(self, name: str, payload: Payload) -> None:
        bucket = self._bucket()
        part, _answer, said = await write_as_one_part(bucket, name, payload, {})
        self._note(TagKind.PART, part.tag, payload.md5.hex())
        tag = completed_tag(said) or etag_of(await bucket.call("HEAD", name))
        self._note(TagKind.COMPOSITE, tag, composite([payload.md5]))
        self._is_ambiguous = bool(tag) and "-" not in tag and tag.lower() != payload.md5.hex()

    def _note(self, kind: TagKind, tag: str, expected: str) -> None:
        self._are_md5.setdefault(kind, tag.lower() == expected)
        if not self._are_md5[kind]:
            self._log.info("The store's ETags of {kind} are no MD5s, and are not compared", kind=kind.value)


def _may_be_md5(kind: TagKind, answer: Answer, tag: str) -> bool:
    """Return whether a tag looks like an MD5; that of an object encrypted with a key of its owner is none."""
    encrypted = (answer.header("x-amz-server-side-encryption") or "AES256") != "AES256"
    encrypted = encrypted or answer.header("x-amz-server-side-encryption-customer-algorithm") is not None
    digest, dash, _count = tag.partition("-")
    formed = len(digest) == 32 and set(digest) <= set(hexdigits)
    return formed and not encrypted and bool(dash) == (kind is TagKind.COMPOSITE)
