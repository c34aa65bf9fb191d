"""The asset-server store in front of servers that answer nonsense, or are no asset servers."""

import time
from collections.abc import Awaitable, Callable

import pytest
import pytest_twisted
from twisted.web.server import Request

from tests.stores.asset_server.conftest import MakeStore
from tests.support.scripted import Listen, Script, site
from was_daemon.model.errors import AssetNotFound, StoreFailed, StoreUnavailable, VersionGone
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.testing.contract import original
from was_daemon.testing.streams import chunked, read_asset

NAME = original("sp6123.att.jpg")
ADDRESS = "http://www.example.org/web_asset_store.xml"


def answering(content: bytes = b"", code: int = 200, **headers: str) -> Callable[[Request], bytes]:
    """Answers with these headers, underscores for hyphens, and the time."""

    def answer(request: Request) -> bytes:
        request.setResponseCode(code)
        for name, value in ({"X_Timestamp": str(int(time.time()))} | headers).items():
            request.setHeader(name.replace("_", "-"), value)
        return content

    return answer


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_none_has_not_lost_the_file(listen: Listen, make_store: MakeStore) -> None:
    for code in (404, 200, 403):
        nobody = Script(GET=answering(b"a page", code, X_Timestamp=""), HEAD=answering(code=404, X_Timestamp="soon"))
        store = make_store(listen(site(nobody)))
        for call in (lambda store=store: store.stat(NAME), lambda store=store: store.delete(NAME), store.check):
            with pytest.raises(StoreUnavailable, match="X-Timestamp"):
                await call()


def login_page(code: int = 200) -> Callable[[Request], bytes]:
    return answering(b"<html>Log in</html>", code, X_Timestamp="", ETag='"1"', Content_Type="text/html")


@pytest_twisted.ensureDeferred
async def test_a_login_page_is_no_file(listen: Listen, make_store: MakeStore, logged: Callable[[], str]) -> None:
    script = Script(GET=login_page(), HEAD=login_page())
    store = make_store(listen(site(script)))
    for call in (
        lambda: store.stat(NAME),
        lambda: store.open(NAME),
        lambda: store.thumbnail(NAME, 100),
        lambda: store.url(NAME, "image/jpeg", None),
        lambda: store.delete(NAME),
    ):
        for head in (login_page(), 405):
            script.answers["HEAD"] = head
            with pytest.raises(StoreFailed, match="something else"):
                await call()
    assert "without X-Timestamp" in logged()


@pytest_twisted.ensureDeferred
async def test_a_login_that_runs_out_during_a_download_is_no_part_of_the_file(
    listen: Listen, make_store: MakeStore
) -> None:
    content = answering(b"<html>Log in</html>", ETag='"1"')
    script = Script(GET=content, HEAD=content)
    store = make_store(listen(site(script)))
    for code in (200, 206):
        reader = await store.open(NAME)
        script.answers["GET"] = answering(
            b"<html>Log in</html>", code, X_Timestamp="", ETag='"1"', Content_Range="bytes 0-18/19"
        )
        with pytest.raises(StoreFailed, match="something else"):
            async for _ in reader.read():
                pass
        await reader.close()


@pytest_twisted.ensureDeferred
async def test_a_download_under_way_goes_on_when_the_file_is_deleted(listen: Listen, make_store: MakeStore) -> None:
    gone = answering(code=404)
    for reuploaded in (gone, answering(b"another", ETag='"2"')):
        file = answering(b"content", ETag='"1"')
        script = Script(GET=file, HEAD=file, POST=answering(b"Ok."))
        store = make_store(listen(site(script)))
        reader = await store.open(NAME)
        reading = reader.read()
        # The bytes are all held back until the file is confirmed: this is a server whose download is a long one.
        confirming = reader._look_again

        async def deleted_first(
            store: IAssetStore = store,
            script: Script = script,
            after: Callable[[Request], bytes] = reuploaded,
            look: Callable[[], Awaitable[AssetStat]] = confirming,
        ) -> AssetStat:
            await store.delete(NAME)
            script.answers["GET"] = script.answers["HEAD"] = after
            return await look()

        reader._look_again = deleted_first
        assert [chunk async for chunk in reading] == [b"content"]
        with pytest.raises(VersionGone):
            async for _ in reader.read():
                pass
        await reader.close()


@pytest_twisted.ensureDeferred
async def test_a_download_of_a_file_that_others_delete_is_broken_off(listen: Listen, make_store: MakeStore) -> None:
    file = answering(b"content", ETag='"1"')
    script = Script(GET=file, HEAD=file)

    def once(request: Request) -> bytes:
        script.answers["HEAD"] = script.answers["GET"] = answering(code=404)
        return file(request)

    store = make_store(listen(site(script)))
    reader = await store.open(NAME)
    script.answers["GET"] = once
    with pytest.raises(VersionGone):
        async for _ in reader.read():
            pass


@pytest_twisted.ensureDeferred
async def test_a_proxys_404_is_not_taken_for_the_servers(listen: Listen, make_store: MakeStore) -> None:
    file = answering(b"content", ETag='"1"')
    script = Script(GET=file, HEAD=file)
    store = make_store(listen(site(script)))
    await store.stat(NAME)
    # The collection has just been seen, and the time as well.
    script.answers["GET"] = script.answers["HEAD"] = login_page(404)
    for call in (store.stat, store.delete):
        with pytest.raises(StoreUnavailable, match="X-Timestamp"):
            await call(NAME)
    script.answers["GET"] = script.answers["HEAD"] = answering(code=404)
    with pytest.raises(AssetNotFound):
        await store.stat(NAME)


@pytest_twisted.ensureDeferred
async def test_a_proxys_error_is_no_verdict_on_a_thumbnail(listen: Listen, make_store: MakeStore) -> None:
    file = answering(b"content", ETag='"1"')
    for code in (400, 404, 415, 422):
        store = make_store(listen(site(Script(GET=login_page(code), HEAD=file))))
        with pytest.raises(StoreUnavailable, match="X-Timestamp"):
            await store.thumbnail(NAME, 100)


@pytest_twisted.ensureDeferred
async def test_a_redirect_is_not_followed_and_told(listen: Listen, make_store: MakeStore) -> None:
    moved = answering(code=301, Location=ADDRESS, X_Timestamp="")
    store = make_store(listen(site(Script(GET=moved, HEAD=moved, POST=moved))))
    for call in (store.check, lambda: store.write(NAME, chunked(b"x"), 1)):
        with pytest.raises(StoreUnavailable, match="enter that one as url"):
            await call()
    with pytest.raises(StoreFailed, match="redirect"):
        await store.stat(NAME)


@pytest_twisted.ensureDeferred
async def test_only_an_asset_servers_ok_counts(listen: Listen, make_store: MakeStore) -> None:
    script = Script(GET=answering(), HEAD=answering())
    store = make_store(listen(site(script)))
    for said in (answering(b"<html>Log in</html>"), answering(b""), answering(b"Ignoring thumbnail upload!")):
        script.answers["POST"] = script.answers["GET"] = said
        with pytest.raises(StoreFailed, match="something else"):
            await store.write(NAME, chunked(b"new"), 3)
        with pytest.raises(StoreFailed, match="something else"):
            await store.delete(NAME)
        with pytest.raises(StoreUnavailable, match="something else"):
            await store.check()
    script.answers["POST"] = answering(b"Ok." * 100_000)
    with pytest.raises(StoreFailed, match="too long"):
        await store.write(NAME, chunked(b"new"), 3)
    script.answers["POST"] = answering(b"disk full", 507)
    with pytest.raises(Exception, match="no space left"):
        await store.write(NAME, chunked(b"new"), 3)


@pytest_twisted.ensureDeferred
async def test_an_upload_counts_only_if_all_of_it_is_there(listen: Listen, make_store: MakeStore) -> None:
    script = Script(GET=answering(), HEAD=answering(b"123", ETag='"1"'), POST=answering(b"Ok."))
    store = make_store(listen(site(script)))
    with pytest.raises(StoreFailed, match="what it was sent"):
        await store.write(NAME, chunked(b"12345"), 5)
    script.answers["HEAD"] = script.answers["GET"] = answering(code=404)
    with pytest.raises(AssetNotFound):
        await store.write(NAME, chunked(b"12345"), 5)


@pytest_twisted.ensureDeferred
async def test_what_a_server_sends_compressed_is_not_unpacked(listen: Listen, make_store: MakeStore) -> None:
    kept = answering(b"\x1f\x8bno matter", Content_Encoding="gzip", ETag='"1"')
    store = make_store(listen(site(Script(GET=kept, HEAD=kept))))
    assert await read_asset(store, original("specimens.csv.gz")) == b"\x1f\x8bno matter"


@pytest.mark.parametrize("refused", [403, 405, 501])
@pytest_twisted.ensureDeferred
async def test_a_server_may_refuse_to_answer_head(listen: Listen, make_store: MakeStore, refused: int) -> None:
    store = make_store(listen(site(Script(GET=answering(b"content", ETag='"1"'), HEAD=refused))))
    assert await read_asset(store, NAME) == b"content"


@pytest_twisted.ensureDeferred
async def test_no_secret_is_in_a_message_or_in_the_log(
    listen: Listen, make_store: MakeStore, logged: Callable[[], str]
) -> None:
    script = Script(GET=answering(code=500), HEAD=answering(code=500), POST=answering(code=500))
    store = make_store(listen(site(script)), key="the secret")
    messages = [repr(store), str(store)]
    for call in (store.check, lambda: store.stat(NAME), lambda: store.write(NAME, chunked(b"x"), 1)):
        with pytest.raises((StoreFailed, StoreUnavailable)) as caught:
            await call()
        messages.append(str(caught.value))
    tokens = [value.decode() for request in script.requests for value in request.args.get(b"token", [])]
    for secret in ["the secret", *tokens]:
        assert secret not in "".join(messages) + logged()


@pytest_twisted.ensureDeferred
async def test_a_deletion_that_nobody_carried_out_is_none(listen: Listen, make_store: MakeStore) -> None:
    kept = answering(b"content", ETag='"1"')
    store = make_store(listen(site(Script(GET=kept, HEAD=kept, POST=answering(code=404, X_Timestamp="")))))
    with pytest.raises(StoreFailed, match="and has it"):
        await store.delete(NAME)
