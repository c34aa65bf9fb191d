"""Who sends what instead of the daemon, and under which address."""

from pathlib import Path

import pytest

from storage_plugins.filesystem import FilesystemStore
from was_daemon.library.collections import Collections, Place
from was_daemon.library.redirects import Redirects, StoreRedirects
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.redirect import Redirect
from was_daemon.testing.memory import MemoryStore

FILES, SHARDED = (
    FilesystemStore(Path("/srv/../srv/files"), Layout.FLAT),
    FilesystemStore(Path("/srv/b"), Layout.SHARDED),
)
REMOTE = MemoryStore()
PHOTOGRAPH = AssetKey("Fish/Types", Kind.ORIGINAL, "a %3F?#ä.jpg")


def redirects(originals: IAssetStore, thumbnails: IAssetStore, **of_stores: StoreRedirects) -> Redirects:
    stores = {"files": FILES, "sharded": SHARDED, "remote": REMOTE}
    place = Place("Fish/Types", originals, thumbnails)
    return Redirects(
        Collections(place, {"Fish": place}), {stores[name]: each for name, each in of_stores.items()}, "/was"
    )


def test_without_redirects_the_daemon_sends_everything() -> None:
    plain = redirects(FILES, FILES)
    assert not plain.has_url(PHOTOGRAPH)
    assert plain.nginx_path(PHOTOGRAPH) is None
    assert plain.thumbnail(PHOTOGRAPH, 60) is None


@pytest.mark.parametrize(
    ("store", "name", "path"),
    [
        (FILES, "files", "/was/two%20words%2F/Fish/Types/originals/a%20%253F%3F%23%C3%A4.jpg"),
        (SHARDED, "sharded", "/was/two%20words%2F/Fish/Types/originals/a%20/%253/a%20%253F%3F%23%C3%A4.jpg"),
    ],
)
def test_nginx_finds_a_file_below_the_name_of_its_store(store: FilesystemStore, name: str, path: str) -> None:
    sent = redirects(store, store, **{name: StoreRedirects("two words/", Redirect.NGINX, None)})
    assert sent.nginx_path(PHOTOGRAPH) == path
    assert not sent.has_url(PHOTOGRAPH)
    assert sent.thumbnail(PHOTOGRAPH, 60) is None


def test_the_store_that_holds_a_thumbnail_says_who_sends_it() -> None:
    originals = StoreRedirects("remote", Redirect.PRESIGNED, Redirect.PRESIGNED)
    thumbnails = StoreRedirects("files", Redirect.NGINX, Redirect.NGINX)
    sent = redirects(REMOTE, FILES, remote=originals, files=thumbnails)
    assert sent.has_url(PHOTOGRAPH)
    thumbnail = sent.thumbnail(PHOTOGRAPH, 60)
    assert thumbnail == PHOTOGRAPH.thumbnail(60)
    assert not sent.has_url(thumbnail)
    assert sent.nginx_path(thumbnail) == "/was/files/Fish/Types/thumbnails/a%20%253F%3F%23%C3%A4_60.jpg"
    assert redirects(REMOTE, FILES, remote=originals).thumbnail(PHOTOGRAPH, 60) is None


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pdf", "a.PNG", "a"])
def test_thumbnails_that_originals_may_share_are_sent_from_here(name: str) -> None:
    sent = redirects(FILES, FILES, files=StoreRedirects("files", Redirect.NGINX, Redirect.NGINX))
    key = AssetKey("Fish/Types", Kind.ORIGINAL, name)
    is_shared = key.thumbnail_extension == ".png"
    assert (sent.thumbnail(key, 60) is None) == is_shared
    assert sent.nginx_path(key)
