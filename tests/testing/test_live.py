"""The check of a store in use names each quirk of a server that cannot be lived with, and what it costs."""

from collections.abc import AsyncIterator, Callable
from unicodedata import normalize

import pytest
import pytest_twisted
from twisted.web.server import Request, Site

from tests.support.davquirks import QuirkyDav
from tests.support.davservers import MakeStore
from tests.support.s3quirks import QuirkyS3
from tests.support.s3servers import MakeS3Store
from tests.support.scripted import Listen
from was_daemon.library.collections import Collections, Place
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey
from was_daemon.testing import live
from was_daemon.testing.live import check_live
from was_daemon.testing.live_collections import check_collections
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked, collect

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.support.davstores", "tests.support.s3stores"]


async def problems(store: IAssetStore) -> dict[str, str]:
    """What the check finds: the problems, by their promises."""
    return {result.promise: result.problem for result in await collect(check_live(store, "")) if result.problem}


def without_length(request: Request) -> None:
    request.responseHeaders.removeHeader("Content-Length")


def moves_nothing(server: QuirkyDav) -> None:
    server.move = lambda _request, _source, _target: 405


def does_not_replace(server: QuirkyDav) -> None:
    server.move = lambda _request, _source, target: 412 if target in server.files else None


def says_it_replaces(server: QuirkyDav) -> None:
    server.move = lambda _request, _source, target: 204 if target in server.files else None


def lists_nothing(server: QuirkyDav) -> None:
    server.lists = lambda path: path in server.directories


def lists_something_else(server: QuirkyDav) -> None:
    server.href = lambda path, _is_directory: f"/{path.rpartition('/')[2]}"
    server.shows_itself = False


def lists_no_sizes(server: QuirkyDav) -> None:
    server.tells_sizes = False


def tells_no_size_at_all(server: QuirkyDav) -> None:
    server.tells_sizes, server.chunked_get, server.head = False, True, without_length


def knows_no_case(server: QuirkyDav) -> None:
    server.spell = str.lower


def composes_letters(server: QuirkyDav) -> None:
    server.spell = lambda path: normalize("NFC", path)


def decomposes_letters(server: QuirkyDav) -> None:
    server.spell = lambda path: normalize("NFD", path)


def replaces_signs(server: QuirkyDav) -> None:
    server.spell = lambda path: path.translate(dict.fromkeys(map(ord, "?&+"), "_"))


def decodes_twice(server: QuirkyDav) -> None:
    server.spell = lambda path: path.replace("%41", "A")


def tells_no_times(server: QuirkyDav) -> None:
    server.modified = lambda _time: None


def tells_no_versions(server: QuirkyDav) -> None:
    server.modified, server.etag = lambda _time: None, lambda _method, _etag: None


def deletes_what_is_not_there(server: QuirkyDav) -> None:
    def refuse(request: Request, path: str) -> int | None:
        return 204 if request.method == b"DELETE" and path not in server.files else None

    server.refuse = refuse


def deletes_nothing(server: QuirkyDav) -> None:
    def refuse(request: Request, path: str) -> int | None:
        return 204 if request.method == b"DELETE" and path in server.files else None

    server.refuse = refuse


def damages(server: QuirkyDav) -> None:
    server.keep = lambda content: content[:-1] + b"?" if len(content) > 1000 else content


def cuts_short(server: QuirkyDav) -> None:
    server.keep = lambda content: content[:1000]


def cuts_what_is_large(server: QuirkyDav) -> None:
    server.keep = lambda content: content[:2_000_000]


def refuses_dots_and_new_directories(server: QuirkyDav) -> None:
    server.refuse = lambda request, path: 403 if "/." in f"/{path}" or path.startswith("was-staging") else None


CANNOT = "the server can do all that the store needs of it"
REACHABLE = "the store is reachable, readable and writable"
READ_BACK = "what was written is read back"
APART = "names that differ in the composition of letters are two assets"


@pytest.mark.parametrize(
    ("quirk", "promise", "words"),
    [
        (moves_nothing, CANNOT, "moves no files (MOVE), so every upload is written in its final place"),
        (does_not_replace, CANNOT, "MOVE does not replace files"),
        (says_it_replaces, CANNOT, "MOVE does not replace files"),
        (lists_nothing, "the asset is listed", "does not show the asset, which is there: `copy` and `verify`"),
        (lists_something_else, "the asset is listed", "a listing of something else than the directory"),
        (lists_no_sizes, "the listing tells sizes", "does not tell the sizes of its files: quotas cannot be kept"),
        (tells_no_size_at_all, REACHABLE, "does not say how long the asset is"),
        (knows_no_case, "names that differ in case are two assets", "an upload would overwrite another asset"),
        (composes_letters, APART, "an upload would overwrite another asset"),
        (decomposes_letters, APART, "an upload would overwrite another asset"),
        (replaces_signs, "names with spaces and signs are kept", "the server alters names, and lists"),
        (decodes_twice, "names with spaces and signs are kept", "the server alters names, and lists"),
        (tells_no_times, "the time of the last change is told", "no times of modification: old thumbnails"),
        (tells_no_versions, REACHABLE, "does not tell versions of a file apart"),
        (deletes_what_is_not_there, "an asset that is not there is reported as not found", "is said to be done"),
        (deletes_nothing, "a deleted asset is gone", "it is still there"),
        (damages, READ_BACK, "the bytes read are not the bytes written"),
        (cuts_short, READ_BACK, "did not keep the whole upload"),
        (cuts_what_is_large, "a large asset is read back", "did not keep the whole upload"),
        (refuses_dots_and_new_directories, REACHABLE, "denied permission"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_each_quirk_that_a_store_cannot_live_with_is_named(
    listen: Listen,
    make_store: MakeStore,
    monkeypatch: pytest.MonkeyPatch,
    quirk: Callable[[QuirkyDav], None],
    promise: str,
    words: str,
) -> None:
    monkeypatch.setattr(live, "_LOCK_SECONDS", 0.1)
    server = QuirkyDav()
    quirk(server)
    found = await problems(make_store(listen(Site(server, timeout=None)).rstrip("/") + server.base))
    assert words in found[promise]


@pytest_twisted.ensureDeferred
async def test_a_server_without_quirks_has_no_problems_and_nothing_is_left_on_it(
    listen: Listen, make_store: MakeStore, make_s3_store: MakeS3Store
) -> None:
    dav, bucket = QuirkyDav(), QuirkyS3()
    dav.directories.add("originals")
    dav.files["originals/mine.jpg"] = mine = dav.file(b"mine")
    for store in (
        make_store(listen(Site(dav, timeout=None)).rstrip("/") + dav.base),
        make_s3_store(listen(Site(bucket, timeout=None)), prefix=""),
    ):
        assert await problems(store) == {}
        await store.close()
    assert dav.files == {"originals/mine.jpg": mine}
    assert bucket.objects == {}


@pytest_twisted.ensureDeferred
async def test_what_was_written_is_removed_whatever_failed(listen: Listen, make_store: MakeStore) -> None:
    server = QuirkyDav()
    composes_letters(server)
    store = make_store(listen(Site(server, timeout=None)).rstrip("/") + server.base)
    assert await problems(store)
    await store.close()
    assert server.files == {}


@pytest_twisted.ensureDeferred
async def test_a_collection_that_a_server_does_not_take_is_named(listen: Listen, make_store: MakeStore) -> None:
    server = QuirkyDav()
    server.move = lambda _request, _source, target: 403 if "birds/.pyramids/" in target else None
    store = make_store(listen(Site(server, timeout=None)).rstrip("/") + server.base)
    named = {name: Place(name, store, store) for name in ("fish", "birds")}
    results = await collect(check_collections(store, Collections(named["fish"], named), named))
    assert [(result.promise.partition(":")[0], result.problem is None) for result in results] == [
        ("the collection in fish can be written to", True),
        ("the collection in birds can be written to", False),
    ]
    assert [path for path in server.files if "was-check" in path] == []


class Visible(MemoryStore):
    """Shows an upload while it arrives."""

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        content = b""
        async for chunk in chunks:
            content += chunk
            await super().write(key, chunked(content))
        return await super().write(key, chunked(content))


@pytest_twisted.ensureDeferred
async def test_a_store_that_shows_half_an_upload_is_found_out() -> None:
    found = await problems(Visible())
    assert "gets half a file" in found["readers see the old version until the new one is complete"]
    assert "the old version would be lost" in found["an upload that breaks off changes nothing"]


@pytest_twisted.ensureDeferred
async def test_what_a_store_lets_nobody_see_is_not_said_to_be_well(
    listen: Listen, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_LOCK_SECONDS", 0.1)
    server = QuirkyDav()
    moves_nothing(server)
    store = make_store(listen(Site(server, timeout=None)).rstrip("/") + server.base)
    results = await collect(check_live(store, ""))
    assert [result.promise for result in results if not result.tried] == [
        "readers see the old version until the new one is complete",
        "of two uploads of a new name one is refused",
        "the store moves files to the trash and back by itself",
    ]
