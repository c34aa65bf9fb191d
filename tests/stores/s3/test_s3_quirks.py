"""The S3 store on servers that differ from Amazon's: nothing is lost, and nothing refused that is right."""

import hashlib
from collections.abc import Callable
from contextlib import aclosing

import pytest
import pytest_twisted
from twisted.web.server import Request, Site

from tests.support.davservers import KEY, message
from tests.support.s3quirks import QuirkyS3, md5
from tests.support.s3servers import MakeS3Store
from tests.support.scripted import Listen, Script, site
from tests.support.slow import slow_after
from was_daemon.library.trash.relocation import copy, move
from was_daemon.model.errors import CannotMove, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import IAssetStore, IMoves
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.stores.s3 import bucket as s3_bucket
from was_daemon.stores.s3.tags import TagKind
from was_daemon.testing.contract import original
from was_daemon.testing.live import check_live
from was_daemon.testing.streams import chunked, collect, payload, read_asset, read_reader

pytest_plugins = ["tests.support.s3stores"]

PART = 5 << 20
SMALL, LARGE = payload(100_000), payload(PART + (1 << 20))


@pytest.fixture
def server() -> QuirkyS3:
    return QuirkyS3()


@pytest.fixture
def store(server: QuirkyS3, listen: Listen, make_s3_store: MakeS3Store) -> IAssetStore:
    return make_s3_store(listen(Site(server, timeout=None)), prefix="")


def as_amazon(_method: str, _kind: TagKind, digest: str) -> str:
    return f'"{digest}"'


def in_capitals(_method: str, _kind: TagKind, digest: str) -> str:
    return f'"{digest.upper()}"'


def another_digest_for_parts(_method: str, kind: TagKind, digest: str) -> str:
    return f'"{digest}"' if kind is TagKind.WHOLE else f'"{md5(digest.encode())}{digest[32:]}"'


def another_digest_for_all(_method: str, _kind: TagKind, digest: str) -> str:
    return f'"{md5(digest.encode())}{digest[32:]}"'


def another_to_each_method(method: str, _kind: TagKind, digest: str) -> str:
    return f'"{md5((digest + method).encode())}"'


def plain_digest_of_parts(_method: str, kind: TagKind, digest: str) -> str:
    return f'"{digest.partition("-")[0]}"'


def random_looking(_method: str, _kind: TagKind, digest: str) -> str:
    return f'"0x8D{hashlib.sha1(digest.encode()).hexdigest()[:12].upper()}"'


def weak(_method: str, _kind: TagKind, digest: str) -> str:
    return f'W/"{digest}"'


def without_quotes(_method: str, _kind: TagKind, digest: str) -> str:
    return digest


def weak_to_a_head(method: str, _kind: TagKind, digest: str) -> str:
    return f'W/"{digest}"' if method == "HEAD" else f'"{digest}"'


def capitals_to_a_head(method: str, _kind: TagKind, digest: str) -> str:
    return f'"{digest.upper() if method == "HEAD" else digest}"'


def none_of_a_new_object(method: str, _kind: TagKind, digest: str) -> str | None:
    return None if method in ("PUT", "POST") else f'"{digest}"'


@pytest.mark.parametrize(
    "tag",
    slow_after(
        3,
        [
            another_to_each_method,
            random_looking,
            none_of_a_new_object,
            in_capitals,
            another_digest_for_parts,
            another_digest_for_all,
            plain_digest_of_parts,
            weak,
            without_quotes,
            weak_to_a_head,
            capitals_to_a_head,
        ],
    ),
)
@pytest_twisted.ensureDeferred
async def test_an_etag_of_any_kind_costs_nothing(
    server: QuirkyS3, store: IAssetStore, tag: Callable[[str, TagKind, str], str | None]
) -> None:
    server.tag = tag
    for content in (SMALL, LARGE, LARGE[1:], b""):
        stat = await store.write(KEY, chunked(content), len(content))
        assert await store.stat(KEY) == stat
        assert await read_asset(store, KEY) == content
        assert await read_asset(store, KEY, 10, 5000) == content[10:5000]
    assert "DELETE" not in server.steps
    assert [result for result in await collect(check_live(store, "")) if result.problem] == []


@pytest_twisted.ensureDeferred
async def test_an_etag_is_compared_where_it_was_an_md5_before_and_nothing_is_deleted(
    server: QuirkyS3, store: IAssetStore
) -> None:
    await store.write(KEY, chunked(SMALL), len(SMALL))
    server.damage = lambda content: content[:-1] + b"?" if len(content) > 1000 else content
    for content in (SMALL[::-1], LARGE):
        server.steps.clear()
        assert "damaged" in await message(store.write(KEY, chunked(content), len(content)), StoreFailed)
        assert set(server.steps) <= {"PUT", "POST"}
    assert len(server.objects[f"originals/{KEY.name}"].content) == len(SMALL)


@pytest_twisted.ensureDeferred
async def test_parts_put_together_wrongly_are_not_acknowledged(server: QuirkyS3, store: IAssetStore) -> None:
    server.mixes_up_parts = True
    assert "put the parts" in await message(store.write(KEY, chunked(LARGE), len(LARGE)), StoreFailed)
    assert server.objects[f"originals/{KEY.name}"].content != LARGE


@pytest.mark.parametrize("content", [SMALL, LARGE])
@pytest_twisted.ensureDeferred
async def test_a_damaged_download_is_cut_off_before_its_end_where_etags_are_md5s(
    server: QuirkyS3, store: IAssetStore, listen: Listen, make_s3_store: MakeS3Store, content: bytes
) -> None:
    await store.write(KEY, chunked(content), len(content))
    stored = server.objects[f"originals/{KEY.name}"]
    stored.content = content[:-1000] + b"?" + content[-999:]
    # One that has seen no answer of the server yet.
    for reading in (store, make_s3_store(listen(Site(server, timeout=None)), prefix="")):
        reader = await reading.open(KEY)
        got = b""
        with pytest.raises(StoreFailed):
            async with aclosing(reader.read()) as chunks:
                async for chunk in chunks:
                    got += chunk
        assert len(got) < len(content)
        await reader.close()


@pytest_twisted.ensureDeferred
async def test_objects_that_others_sent_in_parts_are_read_whatever_their_etag(
    server: QuirkyS3, store: IAssetStore
) -> None:
    await store.write(KEY, chunked(SMALL), len(SMALL))
    server.tag = plain_digest_of_parts
    for content, size, metadata in (
        (LARGE, 8 << 20, {}),
        (LARGE, 3 << 20, {}),
        # Copied with what it said of itself elsewhere.
        (LARGE, 3 << 20, {"x-amz-meta-part-size": str(PART)}),
        (SMALL, 8 << 20, {"x-amz-meta-part-size": str(PART)}),
    ):
        for tag in (plain_digest_of_parts, as_amazon):
            server.tag = tag
            server.put_in_parts(f"originals/{KEY.name}", content, size, metadata)
            assert await read_asset(store, KEY) == content


@pytest.mark.parametrize("length", slow_after(1, ["0", None, "", "many"]))
@pytest.mark.parametrize("chunked_get", [False, True])
@pytest_twisted.ensureDeferred
async def test_the_length_is_told_by_a_get_or_a_listing_where_a_head_does_not(
    server: QuirkyS3, store: IAssetStore, length: str | None, chunked_get: bool
) -> None:
    def head(request: Request) -> None:
        request.responseHeaders.removeHeader("Content-Length")
        if length is not None:
            request.setHeader("Content-Length", length)

    server.head = head
    server.chunked_get = chunked_get
    for content in (SMALL, b""):
        stat = await store.write(KEY, chunked(content), len(content))
        assert stat.size == len(content)
        assert await store.stat(KEY) == stat
        assert await read_asset(store, KEY) == content
    await store.delete(KEY)
    assert [result for result in await collect(check_live(store, "")) if result.problem] == []


@pytest_twisted.ensureDeferred
async def test_a_version_that_is_replaced_is_noticed_also_where_head_and_get_differ(
    server: QuirkyS3, store: IAssetStore
) -> None:
    server.tag = another_to_each_method
    await store.write(KEY, chunked(SMALL), len(SMALL))
    reader = await store.open(KEY)
    await store.write(KEY, chunked(SMALL[::-1]), len(SMALL))
    await message(read_reader(reader), StoreFailed)
    await reader.close()
    reader = await store.open(KEY)
    assert await read_reader(reader) == SMALL[::-1]
    await store.write(KEY, chunked(SMALL), len(SMALL))
    await message(read_reader(reader, 5), StoreFailed)
    await reader.close()


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("truncated", ["true", "True", "TRUE"])
@pytest_twisted.ensureDeferred
async def test_every_server_is_listed_to_the_end(
    server: QuirkyS3, store: IAssetStore, old: bool, truncated: str
) -> None:
    server.page, server.old_listings, server.truncated = 3, old, truncated
    names = {f"{number} é+.jpg" for number in range(10)}
    for name in names:
        await store.write(original(name), chunked(SMALL))
    assert {key.name for key in await collect(store.list("", Kind.ORIGINAL))} == names


@pytest_twisted.ensureDeferred
async def test_an_upload_whose_completion_was_lost_is_known_by_its_mark_where_etags_tell_nothing(
    server: QuirkyS3, store: IAssetStore
) -> None:
    server.tag, server.forgets_completion = random_looking, True
    await store.write(KEY, chunked(LARGE), len(LARGE))
    assert await read_asset(store, KEY) == LARGE


@pytest_twisted.ensureDeferred
async def test_what_a_listing_tells_of_other_places_is_not_listed(
    server: QuirkyS3, listen: Listen, make_s3_store: MakeS3Store
) -> None:
    url = listen(Site(server, timeout=None))
    for prefix in ("", "ours", "ours/too"):
        await make_s3_store(url, prefix=prefix).write(original(f"{len(prefix)}.jpg"), chunked(SMALL))
    server.minds_prefixes = False
    assert await collect(make_s3_store(url, prefix="ours").list("", Kind.ORIGINAL)) == [original("4.jpg")]


@pytest.mark.parametrize("body", [b"<ListAllMyBucketsResult/>", b"<html/>", b"<Error><Code>NoSuchKey</Code></Error>"])
@pytest_twisted.ensureDeferred
async def test_a_listing_of_something_else_is_an_error_and_not_an_empty_list(
    listen: Listen, make_s3_store: MakeS3Store, body: bytes
) -> None:
    store = make_s3_store(listen(site(Script(GET=lambda _request: body))))
    assert "listing" in await message(collect(store.list("", Kind.ORIGINAL)), StoreFailed)


# -- refusals ----------------------------------------------------------------------------------------------------------


def is_put(request: Request) -> bool:
    return bool(request.method == b"PUT")


def is_part(request: Request) -> bool:
    return is_put(request) and b"partNumber" in request.args


def is_begin(request: Request) -> bool:
    return request.method == b"POST" and b"uploads" in request.args


def is_completion(request: Request) -> bool:
    return request.method == b"POST" and b"uploadId" in request.args


def has_checksum(request: Request) -> bool:
    return bool(request.requestHeaders.hasHeader("x-amz-checksum-sha256"))


def refusing(concerned: Callable[[Request], bool], status: int, code: str) -> Callable[[Request], bytes | None]:
    """Answer some requests with an error document."""

    def refuse(request: Request) -> bytes | None:
        if not concerned(request):
            return None
        request.setResponseCode(status)
        return f"<?xml version='1.0'?>\n<Error><Code>{code}</Code></Error>".encode()

    return refuse


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly any pause before the next attempt."""
    monkeypatch.setattr(s3_bucket, "_SHORTEST", 0.001)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "BadDigest"),
        (403, "RequestTimeTooSkewed"),
        (503, "SlowDown"),
        (501, "NotImplemented"),
        (301, "PermanentRedirect"),
        (200, "InternalError"),
        (200, "AccessDenied"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_whatever_step_of_an_upload_is_refused_the_old_version_stays(
    server: QuirkyS3, store: IAssetStore, status: int, code: str
) -> None:
    old = payload(70_000, seed=9)
    await store.write(KEY, chunked(old), len(old))
    for concerned, content in ((is_put, SMALL), (is_begin, LARGE), (is_part, LARGE), (is_completion, LARGE)):
        server.refuse = refusing(concerned, status, code)
        with pytest.raises((StoreFailed, StoreUnavailable)):
            await store.write(KEY, chunked(content), len(content))
        server.refuse = lambda _request: None
        assert await read_asset(store, KEY) == old


@pytest.mark.usefixtures("impatient")
@pytest_twisted.ensureDeferred
async def test_an_error_that_passes_after_the_status_of_success_is_tried_again(
    server: QuirkyS3, store: IAssetStore
) -> None:
    late = refusing(is_put, 200, "SlowDown")
    server.refuse = lambda request: late(request) if server.steps.count("PUT") == 1 else None
    await store.write(KEY, chunked(SMALL), len(SMALL))
    assert await read_asset(store, KEY) == SMALL


@pytest_twisted.ensureDeferred
async def test_a_deletion_that_is_refused_after_the_status_of_success_is_an_error(
    server: QuirkyS3, store: IAssetStore
) -> None:
    await store.write(KEY, chunked(SMALL), len(SMALL))
    server.refuse = refusing(lambda request: request.method == b"DELETE", 200, "AccessDenied")
    await message(store.delete(KEY), StoreUnavailable)
    assert await read_asset(store, KEY) == SMALL


@pytest.mark.parametrize("old", [None, b"an old version"])
@pytest_twisted.ensureDeferred
async def test_an_upload_that_something_swallows_is_not_acknowledged(
    server: QuirkyS3, store: IAssetStore, old: bytes | None
) -> None:
    if old:
        await store.write(KEY, chunked(old), len(old))
    # As a proxy may answer that knows no PUT.
    server.refuse = lambda request: b"<html>Welcome</html>" if is_put(request) else None
    assert "does not show" in await message(store.write(KEY, chunked(SMALL), len(SMALL)), StoreFailed)
    if old:
        assert await read_asset(store, KEY) == old


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (400, "InvalidRequest"), (400, "Whatever")])
@pytest_twisted.ensureDeferred
async def test_a_server_that_knows_no_checksums_is_told_with_the_setting(
    server: QuirkyS3, listen: Listen, make_s3_store: MakeS3Store, status: int, code: str
) -> None:
    url = listen(Site(server, timeout=None))
    server.refuse = refusing(has_checksum, status, code)
    for content in (SMALL, LARGE):
        store = make_s3_store(url, prefix="", checksums=True)
        assert "checksums = false" in await message(store.write(KEY, chunked(content), len(content)), StoreFailed)
        await make_s3_store(url, prefix="").write(KEY, chunked(content), len(content))


@pytest_twisted.ensureDeferred
async def test_a_server_without_etags_and_ranges_keeps_what_it_is_given(server: QuirkyS3, store: IAssetStore) -> None:
    server.tag, server.minds_ranges = lambda _method, _kind, _digest: None, False
    for content in (SMALL, LARGE):
        await store.write(KEY, chunked(content), len(content))
        assert await read_asset(store, KEY) == content
        assert await read_asset(store, KEY, 10, 5000) == content[10:5000]
    server.refuse = lambda request: b"" if is_put(request) else None
    await message(store.write(KEY, chunked(SMALL), len(SMALL)), StoreFailed)
    assert await read_asset(store, KEY) == LARGE


@pytest_twisted.ensureDeferred
async def test_a_listing_whose_names_are_not_encoded_as_it_says_is_found_out(
    server: QuirkyS3, store: IAssetStore
) -> None:
    server.encodes = False
    found = [result for result in await collect(check_live(store, "")) if result.problem]
    assert [result.promise for result in found] == ["names with spaces and signs are kept"]
    assert "the server alters names" in str(found[0].problem)


def copies_nothing(server: QuirkyS3) -> None:
    """Take a copy for the upload of an empty object: the server does not know the header."""


def denies_copies(server: QuirkyS3) -> None:
    def refuse(request: Request) -> bytes | None:
        if request.getHeader("x-amz-copy-source") is None:
            return None
        request.setResponseCode(403)
        return b"<Error><Code>AccessDenied</Code></Error>"

    server.refuse = refuse


def fails_late(server: QuirkyS3) -> None:
    def refuse(request: Request) -> bytes | None:
        return b"<Error><Code>NotImplemented</Code></Error>" if request.getHeader("x-amz-copy-source") else None

    server.refuse = refuse


def misreads_sources(server: QuirkyS3) -> None:
    def refuse(request: Request) -> bytes | None:
        if request.getHeader("x-amz-copy-source") is None:
            return None
        request.setResponseCode(404)
        return b"<Error><Code>NoSuchKey</Code></Error>"

    server.refuse = refuse


@pytest.mark.parametrize("quirk", [copies_nothing, denies_copies, fails_late, misreads_sources])
@pytest_twisted.ensureDeferred
async def test_what_the_server_does_not_copy_the_daemon_does(
    store: IAssetStore, server: QuirkyS3, quirk: Callable[[QuirkyS3], None]
) -> None:
    quirk(server)
    trashed = AssetKey("", Kind.TRASH, "0.file")
    await store.write(original("a.jpg"), chunked(SMALL))
    for step in (IMoves(store).copy, IMoves(store).move):
        with pytest.raises(CannotMove):
            await step(original("a.jpg"), trashed)
        assert await read_asset(store, original("a.jpg")) == SMALL
        assert await collect(store.list("", Kind.TRASH)) == []
    await copy(store, original("a.jpg"), trashed)
    assert await read_asset(store, original("a.jpg")) == await read_asset(store, trashed) == SMALL
    await store.delete(trashed)
    await move(store, original("a.jpg"), trashed)
    assert await read_asset(store, trashed) == SMALL
    assert await collect(store.list("", Kind.ORIGINAL)) == []
