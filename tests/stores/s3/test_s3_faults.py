"""What the S3 store makes of servers that fail, refuse, lie or break off."""

import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.web.server import NOT_DONE_YET, Request

from tests.support.davservers import KEY, message
from tests.support.s3servers import MakeS3Store
from tests.support.scripted import Listen, Script, site
from was_daemon.config.secret_files import SecretFile
from was_daemon.model.errors import AssetError, NoSpace, StoreFailed, StoreTimeout, StoreUnavailable
from was_daemon.model.keys import Kind
from was_daemon.stores.s3 import bucket as s3_bucket
from was_daemon.testing.streams import chunked, collect, deferred, payload, read_asset

pytest_plugins = ["tests.support.s3stores"]

PART = 5 << 20
LARGE = payload(2 * PART + 1000)
"""Three parts."""

EMPTY_LIST = b"<ListBucketResult/>"

Answer = Callable[[Request], bytes | int]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tries again does so at once."""
    monkeypatch.setattr(s3_bucket, "_SHORTEST", 0.01)


def error(status: int, code: str, more: str = "", **headers: str) -> Answer:
    """A refusal, as S3 words it."""

    def answer(request: Request) -> bytes:
        request.setResponseCode(status)
        for name, value in headers.items():
            request.setHeader(name.replace("_", "-"), value)
        return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>details</Message>{more}</Error>".encode()

    return answer


def in_turn(*answers: Answer) -> Answer:
    """One after the other; the last one for good."""
    left = list(answers)
    return lambda request: (left.pop(0) if len(left) > 1 else left[0])(request)


def says(body: bytes, **headers: str) -> Answer:
    """A success."""

    def answer(request: Request) -> bytes:
        for name, value in {"Last-Modified": "Wed, 25 Nov 2026 12:00:00 GMT", **headers}.items():
            request.setHeader(name.replace("_", "-"), value)
        return body

    return answer


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected", "word"),
    [
        (error(403, "AccessDenied"), StoreUnavailable, "permission"),
        (error(403, "Whatever"), StoreUnavailable, "permission"),
        (error(403, "InvalidAccessKeyId"), StoreUnavailable, "access key"),
        (error(403, "SignatureDoesNotMatch"), StoreUnavailable, "secret key"),
        (error(400, "ExpiredToken"), StoreUnavailable, "expired"),
        (error(403, "RequestTimeTooSkewed"), StoreUnavailable, "clock"),
        (error(404, "NoSuchBucket"), StoreUnavailable, "bucket does not exist"),
        (error(301, "PermanentRedirect", x_amz_bucket_region="eu-west-1"), StoreUnavailable, "eu-west-1"),
        (error(400, "AuthorizationHeaderMalformed", "<Region>eu-x-1</Region>"), StoreUnavailable, "eu-x-1"),
        (error(400, "AuthorizationHeaderMalformed", "<Region>a\nb</Region>"), StoreUnavailable, "another region"),
        (error(503, "SlowDown"), StoreUnavailable, "overloaded"),
        (error(500, "InternalError"), StoreFailed, "error"),
        (error(400, "EntityTooLarge"), NoSpace, "size"),
        (error(403, "QuotaExceeded"), NoSpace, "space"),
        (error(507, "XMinioStorageFull"), NoSpace, "space"),
        (error(400, "BadDigest"), StoreFailed, "damaged"),
        (error(403, "InvalidObjectState"), StoreUnavailable, "archive"),
        (lambda _: b"\xff no XML", StoreFailed, ""),
        (lambda _: b'<!DOCTYPE x [<!ENTITY a "b">]><ListBucketResult/>', StoreFailed, ""),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_the_server_says_no_with_tells_what_to_do(
    listen: Listen, make_s3_store: MakeS3Store, answer: Answer, expected: type[AssetError], word: str
) -> None:
    store = make_s3_store(listen(site(Script(GET=answer))))
    assert word in await message(collect(store.list("", Kind.ORIGINAL)), expected)


@pytest_twisted.ensureDeferred
async def test_a_check_names_the_permission_that_is_missing(listen: Listen, make_s3_store: MakeS3Store) -> None:
    denied = error(403, "AccessDenied")
    for answers, permission in (
        ({"GET": denied}, "s3:ListBucket"),
        ({"GET": says(EMPTY_LIST), "PUT": denied}, "s3:PutObject"),
        ({"GET": in_turn(says(EMPTY_LIST), denied), "PUT": says(b""), "DELETE": 204}, "s3:GetObject"),
        ({"GET": in_turn(says(EMPTY_LIST), says(b"check")), "PUT": says(b""), "DELETE": denied}, "s3:DeleteObject"),
    ):
        store = make_s3_store(listen(site(Script(**answers))))
        assert permission in await message(store.check(), StoreUnavailable)


@pytest_twisted.ensureDeferred
async def test_a_bucket_that_is_not_there_is_no_missing_asset(listen: Listen, make_s3_store: MakeS3Store) -> None:
    store = make_s3_store(listen(site(Script(HEAD=404))))
    assert "bucket" in await message(store.stat(KEY), StoreUnavailable)


@pytest_twisted.ensureDeferred
async def test_a_listing_without_an_end_is_given_up(listen: Listen, make_s3_store: MakeS3Store) -> None:
    page = b"<ListBucketResult><IsTruncated>true</IsTruncated>%s</ListBucketResult>"
    for following in (b"", b"<NextContinuationToken>again</NextContinuationToken>"):
        store = make_s3_store(listen(site(Script(GET=says(page % following)))))
        await message(collect(store.list("", Kind.ORIGINAL)), StoreFailed)


# -- once more ---------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_what_may_pass_is_tried_again_a_few_times(listen: Listen, make_s3_store: MakeS3Store) -> None:
    def reset(request: Request) -> int:
        request.transport.abortConnection()
        return NOT_DONE_YET

    slow, failed, fine = error(503, "SlowDown"), error(500, "InternalError"), says(b"", ETag=md5(b"bytes"))
    script = Script(PUT=in_turn(slow, failed, reset, reset, fine), HEAD=says(b"bytes", ETag=md5(b"bytes")))
    store = make_s3_store(listen(site(script)))
    assert (await store.write(KEY, chunked(b"bytes"), 5)).etag == md5(b"bytes")
    script = Script(PUT=slow)
    store = make_s3_store(listen(site(script)))
    await message(store.write(KEY, chunked(b"bytes"), 5), StoreUnavailable)
    assert len(script.requests) == s3_bucket.ATTEMPTS
    script = Script(PUT=error(403, "AccessDenied"))
    store = make_s3_store(listen(site(script)))
    await message(store.write(KEY, chunked(b"bytes"), 5), StoreUnavailable)
    assert len(script.requests) == 1


@pytest_twisted.ensureDeferred
async def test_a_key_that_was_exchanged_is_read_anew(
    listen: Listen, make_s3_store: MakeS3Store, tmp_path: Path
) -> None:
    secret = SecretFile(tmp_path / "secret")
    secret.write_text("old\n")

    def expired(request: Request) -> bytes | int:
        secret.write_text("new\n")
        return error(403, "ExpiredToken")(request)

    script = Script(GET=in_turn(expired, says(EMPTY_LIST)))
    store = make_s3_store(listen(site(script)), secret_access_key=None, secret_access_key_file=secret)
    assert await collect(store.list("", Kind.ORIGINAL)) == []
    assert len(script.requests) == 2


@pytest_twisted.ensureDeferred
async def test_a_refusal_without_a_reason_is_one_when_the_key_is_new(
    listen: Listen, make_s3_store: MakeS3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(HEAD=403)
    store = make_s3_store(listen(site(script)))
    await message(store.stat(KEY), StoreUnavailable)
    assert len(script.requests) == 1
    monkeypatch.setattr(s3_bucket, "_OLD", 0)
    await message(store.stat(KEY), StoreUnavailable)
    assert len(script.requests) == 3


@pytest_twisted.ensureDeferred
async def test_a_server_that_stands_still_is_given_up(listen: Listen, make_s3_store: MakeS3Store) -> None:
    store = make_s3_store(listen(site(Script(GET=lambda _: NOT_DONE_YET))), timeout=0.3)
    await message(collect(store.list("", Kind.ORIGINAL)), StoreTimeout)


@pytest_twisted.ensureDeferred
async def test_a_download_that_breaks_off_is_read_on(listen: Listen, make_s3_store: MakeS3Store) -> None:
    content = payload(1_000_000)
    asked: list[tuple[str | None, str | None]] = []

    def get(request: Request) -> bytes | int:
        asked.append((request.getHeader("Range"), request.getHeader("If-Match")))
        start = int((request.getHeader("Range") or "bytes=0-")[6:].split("-")[0])
        says(b"", ETag=f'"{md5(content)}"')(request)
        request.setHeader("Content-Length", str(len(content) - start))
        if start:
            request.setResponseCode(206)
            request.setHeader("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        end = min(start + 300_000, len(content))
        request.write(content[start:end])
        if end == len(content):
            request.finish()
        else:
            reactor.callLater(0.1, request.transport.loseConnection)
        return NOT_DONE_YET

    script = Script(HEAD=says(content, ETag=f'"{md5(content)}"'), GET=get)
    store = make_s3_store(listen(site(script)))
    assert await read_asset(store, KEY) == content
    assert len(asked) == 4
    assert {condition for _range, condition in asked} == {f'"{md5(content)}"'}


# -- damage ------------------------------------------------------------------------------------------------------------


def composite(content: bytes, size: int) -> tuple[str, str]:
    """The ETag, and the checksum, of an object in parts."""
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    tag = md5(b"".join(hashlib.md5(part).digest() for part in parts))
    checksum = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
    return f'"{tag}-{len(parts)}"', f"{b64encode(checksum).decode()}-{len(parts)}"


SOUND = payload(1_200_000)
TAG, CHECKSUM = composite(SOUND, 500_000)


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": '"x"', "x-amz-checksum-sha256": b64encode(hashlib.sha256(SOUND).digest()).decode()},
        {"ETag": '"x"', "x-amz-checksum-sha256": CHECKSUM, "x-amz-meta-part-size": "500000"},
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_damaged_download_is_cut_off_before_its_end(
    listen: Listen, make_s3_store: MakeS3Store, headers: dict[str, str]
) -> None:
    damaged = bytearray(SOUND)
    damaged[700_000] ^= 1
    for content in (SOUND, bytes(damaged)):
        store = make_s3_store(listen(site(Script(HEAD=says(SOUND, **headers), GET=says(content, **headers)))))
        reader = await store.open(KEY)
        got = b""
        try:
            async with aclosing(reader.read()) as chunks:
                async for chunk in chunks:
                    got += chunk
            assert got == content == SOUND
        except StoreFailed:
            assert content != SOUND
            assert len(got) < len(SOUND)
        await reader.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": '"1234"'},
        {"ETag": TAG},
        {"ETag": f'"{md5(b"x")}"', "x-amz-server-side-encryption": "aws:kms"},
        {"ETag": f'"{md5(b"x")}"', "x-amz-server-side-encryption-customer-algorithm": "AES256"},
    ],
)
@pytest_twisted.ensureDeferred
async def test_an_etag_that_is_no_checksum_is_not_taken_for_one(
    listen: Listen, make_s3_store: MakeS3Store, headers: dict[str, str]
) -> None:
    script = Script(HEAD=says(SOUND, **headers), GET=says(SOUND, **headers), PUT=says(b"", **headers))
    store = make_s3_store(listen(site(script)))
    await store.write(KEY, chunked(SOUND))
    assert await read_asset(store, KEY) == SOUND


@pytest_twisted.ensureDeferred
async def test_an_upload_carries_the_digests_by_which_the_server_checks_it(
    listen: Listen, make_s3_store: MakeS3Store
) -> None:
    script = Script(PUT=says(b"", ETag=md5(b"bytes")), HEAD=says(b"bytes", ETag=md5(b"bytes")))
    store = make_s3_store(listen(site(script)))
    await store.write(KEY, chunked(b"bytes"), 5)
    assert script.requests[0].getHeader("Content-MD5") == b64encode(hashlib.md5(b"bytes").digest()).decode()
    assert script.requests[0].getHeader("x-amz-content-sha256") == hashlib.sha256(b"bytes").hexdigest()


@pytest.mark.parametrize("content", [b"bytes", LARGE])
@pytest_twisted.ensureDeferred
async def test_an_upload_of_another_length_than_was_said_is_refused(
    listen: Listen, make_s3_store: MakeS3Store, content: bytes
) -> None:
    store = make_s3_store(listen(site(Parts().script)))
    await message(store.write(KEY, chunked(content), len(content) + 1), StoreFailed)


# -- uploads in parts --------------------------------------------------------------------------------------------------


class Parts:
    """A server that takes uploads in parts, and what it was asked for."""

    def __init__(self, put: Answer | None = None, complete: Answer | None = None, tag: str | None = None) -> None:
        self.tag = tag or composite(LARGE, PART)[0]
        self._put = put or (lambda request: says(b"", ETag=md5(request.content.read()))(request))
        done = f"<CompleteMultipartUploadResult><ETag>{self.tag}</ETag></CompleteMultipartUploadResult>".encode()
        self.complete = complete or says(done)
        self.steps: list[str] = []
        self.script = Script(
            POST=self._post, PUT=self._part, DELETE=self._delete, HEAD=says(LARGE, ETag=self.tag), GET=says(EMPTY_LIST)
        )

    def _post(self, request: Request) -> bytes | int:
        if b"uploads" in request.args:
            self.steps.append("begin")
            return says(b"<InitiateMultipartUploadResult><UploadId>1&amp;2</UploadId></InitiateMultipartUploadResult>")(
                request
            )
        self.steps.append("complete")
        return self.complete(request)

    def _part(self, request: Request) -> bytes | int:
        if b"/.was-staging/" in request.path:
            self.steps.append("mark")
            return b""
        if b"uploadId" in request.args:
            assert request.args[b"uploadId"] == [b"1&2"]
            self.steps.append(f"part {int(request.args[b'partNumber'][0])}")
        return self._put(request)

    def _delete(self, request: Request) -> bytes:
        marked = "unmark" if b"/.was-staging/" in request.path else "delete"
        self.steps.append("abort" if b"uploadId" in request.args else marked)
        return b""


@pytest_twisted.ensureDeferred
async def test_a_large_upload_is_sent_in_parts(listen: Listen, make_s3_store: MakeS3Store) -> None:
    server = Parts()
    store = make_s3_store(listen(site(server.script)))
    assert (await store.write(KEY, chunked(LARGE), len(LARGE))).etag == server.tag.strip('"')
    await store.close()
    assert server.steps[:2] == ["begin", "mark"]
    assert sorted(server.steps[2:5]) == ["part 1", "part 2", "part 3"]
    assert server.steps[5:] == ["complete", "unmark"]


@pytest_twisted.ensureDeferred
async def test_a_part_that_fails_ends_the_upload(listen: Listen, make_s3_store: MakeS3Store) -> None:
    server = Parts(put=error(403, "AccessDenied"))
    store = make_s3_store(listen(site(server.script)))
    assert "permission" in await message(store.write(KEY, chunked(LARGE), len(LARGE)), StoreUnavailable)
    await store.close()
    assert "complete" not in server.steps
    assert server.steps[-2:] == ["abort", "unmark"]


@pytest_twisted.ensureDeferred
async def test_an_upload_that_cannot_be_given_up_keeps_its_mark(listen: Listen, make_s3_store: MakeS3Store) -> None:
    server = Parts(put=error(403, "AccessDenied"))
    server.script.answers["DELETE"] = error(403, "AccessDenied")
    store = make_s3_store(listen(site(server.script)))
    await message(store.write(KEY, chunked(LARGE), len(LARGE)), StoreUnavailable)
    await store.close()
    assert "mark" in server.steps
    deleted = [request for request in server.script.requests if request.method == b"DELETE"]
    assert deleted
    assert all(b"uploadId" in request.args for request in deleted)


@pytest_twisted.ensureDeferred
async def test_without_its_mark_no_part_is_sent(listen: Listen, make_s3_store: MakeS3Store) -> None:
    server = Parts()
    server.script.answers["PUT"] = error(403, "AccessDenied")
    store = make_s3_store(listen(site(server.script)))
    await message(store.write(KEY, chunked(LARGE), len(LARGE)), StoreUnavailable)
    await store.close()
    assert server.steps == ["begin", "abort"]


@pytest_twisted.ensureDeferred
async def test_an_upload_that_is_cancelled_is_given_up_there(listen: Listen, make_s3_store: MakeS3Store) -> None:
    server = Parts()
    store = make_s3_store(listen(site(server.script)))

    async def stalls() -> AsyncIterator[bytes]:
        yield LARGE
        await Deferred()

    upload = deferred(store.write(KEY, stalls()))
    while "part 2" not in server.steps:
        await deferLater(reactor, 0.01)
    upload.cancel()
    with pytest.raises(CancelledError):
        await upload
    await store.close()
    assert "complete" not in server.steps
    assert server.steps[-2:] == ["abort", "unmark"]


@pytest_twisted.ensureDeferred
async def test_an_error_after_the_status_is_an_error(listen: Listen, make_s3_store: MakeS3Store) -> None:
    late = says(b"   \n<Error><Code>InternalError</Code></Error>")
    server = Parts(complete=late)
    store = make_s3_store(listen(site(server.script)))
    await message(store.write(KEY, chunked(LARGE), len(LARGE)), StoreFailed)
    await store.close()
    assert server.steps[-6:] == ["complete"] * s3_bucket.ATTEMPTS + ["abort", "unmark"]
    server = Parts()
    server.complete = in_turn(late, server.complete)
    store = make_s3_store(listen(site(server.script)))
    await store.write(KEY, chunked(LARGE), len(LARGE))


@pytest_twisted.ensureDeferred
async def test_a_completion_of_which_only_the_answer_was_lost_is_one(
    listen: Listen, make_s3_store: MakeS3Store
) -> None:
    def lost(request: Request) -> int:
        request.transport.abortConnection()
        return NOT_DONE_YET

    def broken(request: Request) -> int:
        request.setHeader("Content-Length", "1000")
        request.write(b" ")
        reactor.callLater(0.05, request.transport.abortConnection)
        return NOT_DONE_YET

    gone = error(404, "NoSuchUpload")
    store = make_s3_store(listen(site(Parts(complete=in_turn(broken, gone)).script)))
    await store.write(KEY, chunked(LARGE), len(LARGE))
    store = make_s3_store(listen(site(Parts(complete=in_turn(lost, gone)).script)))
    await store.write(KEY, chunked(LARGE), len(LARGE))
    store = make_s3_store(listen(site(Parts(complete=in_turn(lost, gone), tag='"older"').script)))
    await message(store.write(KEY, chunked(LARGE), len(LARGE)), StoreFailed)
