"""The ways of originals and thumbnails to clients, and the addresses they have there."""

from pathlib import Path

import pytest

from storage_plugins.filesystem import FilesystemStore
from was_daemon.library.collections import Collections, Place
from was_daemon.library.redirects import Recipient, Redirects, StoreRedirects
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.redirect import Redirect
from was_daemon.stores.layers.mirror.fallback import CopyReader
from was_daemon.stores.memory_reader import MemoryReader
from was_daemon.testing.memory import MemoryStore

FILES, SHARDED = (
    FilesystemStore(Path("/srv/../srv/files"), Layout.FLAT),
    FilesystemStore(Path("/srv/b"), Layout.SHARDED),
)
REMOTE = MemoryStore()
PHOTOGRAPH = AssetKey("Fish/Types", Kind.ORIGINAL, "a %3F?#ä.jpg")
PAGE = AssetKey("Fish/Types", Kind.ORIGINAL, "a.html")
READER = MemoryReader(b"", AssetStat(0, 0.0, "1"))
PLAIN = Recipient("198.51.100.1")
ANY = Recipient("198.51.100.1", can_be_redirected=True, is_behind_nginx=True)
PRESIGNED, NGINX = Redirect.PRESIGNED, Redirect.NGINX


def redirects(originals: IAssetStore, thumbnails: IAssetStore, **of_stores: StoreRedirects) -> Redirects:
    stores = {"files": FILES, "sharded": SHARDED, "remote": REMOTE}
    place = Place("Fish/Types", originals, thumbnails)
    by_store = {stores[name]: each for name, each in of_stores.items()}
    return Redirects(Collections(place, {"Fish": place}), by_store, "/was")


def test_without_a_redirect_the_daemon_sends_everything() -> None:
    plain = redirects(FILES, FILES)
    assert plain.original(PHOTOGRAPH, ANY) is None
    assert plain.thumbnail(PHOTOGRAPH, ANY) is None


@pytest.mark.parametrize(
    ("store", "name", "path"),
    [
        (FILES, "files", "/was/two%20words%2F/Fish/Types/originals/a%20%253F%3F%23%C3%A4.jpg"),
        (SHARDED, "sharded", "/was/two%20words%2F/Fish/Types/originals/a%20/%253/a%20%253F%3F%23%C3%A4.jpg"),
    ],
)
def test_nginx_finds_a_file_below_the_name_of_its_store(store: FilesystemStore, name: str, path: str) -> None:
    sent = redirects(store, store, **{name: StoreRedirects("two words/", NGINX, None)})
    assert sent.original(PHOTOGRAPH, ANY) is NGINX
    assert sent.nginx_path(PHOTOGRAPH, READER) == path
    assert sent.thumbnail(PHOTOGRAPH, ANY) is None


def test_nginx_has_no_file_of_what_is_read_from_the_copy_of_a_mirror() -> None:
    sent = redirects(FILES, FILES, files=StoreRedirects("files", NGINX, None))
    assert sent.nginx_path(PHOTOGRAPH, CopyReader(READER, READER.stat)) is None


def test_the_store_that_holds_a_thumbnail_says_who_sends_it() -> None:
    originals = StoreRedirects("remote", PRESIGNED, PRESIGNED)
    thumbnails = StoreRedirects("files", NGINX, NGINX)
    sent = redirects(REMOTE, FILES, remote=originals, files=thumbnails)
    assert sent.original(PHOTOGRAPH, ANY) is PRESIGNED
    assert sent.thumbnail(PHOTOGRAPH, ANY) is NGINX
    path = sent.nginx_path(PHOTOGRAPH.thumbnail(60), READER)
    assert path == "/was/files/Fish/Types/thumbnails/a%20%253F%3F%23%C3%A4_60.jpg"
    assert redirects(REMOTE, FILES, remote=originals).thumbnail(PHOTOGRAPH, ANY) is None


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pdf", "a.PNG", "a"])
def test_thumbnails_that_originals_may_share_are_sent_from_here(name: str) -> None:
    sent = redirects(FILES, FILES, files=StoreRedirects("files", NGINX, NGINX))
    key = AssetKey("Fish/Types", Kind.ORIGINAL, name)
    is_shared = key.thumbnail_extension == ".png"
    assert (sent.thumbnail(key, ANY) is None) == is_shared
    assert sent.original(key, ANY) is NGINX


def test_only_a_client_that_can_be_redirected_is_sent_to_the_store() -> None:
    sent = redirects(REMOTE, REMOTE, remote=StoreRedirects("remote", PRESIGNED, PRESIGNED))
    assert sent.original(PHOTOGRAPH, PLAIN) is None
    assert sent.thumbnail(PHOTOGRAPH, PLAIN) is None
    assert sent.thumbnail(PHOTOGRAPH, ANY) is PRESIGNED


def test_a_store_sends_no_page_that_runs_scripts() -> None:
    assert redirects(REMOTE, REMOTE, remote=StoreRedirects("remote", PRESIGNED, None)).original(PAGE, ANY) is None
    assert redirects(FILES, FILES, files=StoreRedirects("files", NGINX, None)).original(PAGE, ANY) is NGINX


def test_only_a_request_that_came_through_nginx_is_left_to_it() -> None:
    sent = redirects(FILES, FILES, files=StoreRedirects("files", NGINX, NGINX))
    assert sent.original(PHOTOGRAPH, PLAIN) is None
    assert sent.thumbnail(PHOTOGRAPH, PLAIN) is None
