"""Servers that answer otherwise than OpenSSH's: what is true counts, not the code that they send."""

import os
import re
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import pytest_twisted
from twisted.internet.defer import fail

from storage_plugins.sftp import SFTPOptions, SFTPStore, sftp
from tests.support.scripted_sftp import USER, Answer, Files, ScriptedSSH
from tests.support.slow import slow_after
from was_daemon.library.trash.relocation import copy, move
from was_daemon.model.errors import AssetExists, AssetNotFound, StoreFailed, StoreUnavailable
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.stores.sftp import tree
from was_daemon.stores.sftp.client import SFTPClient
from was_daemon.stores.sftp.session import Denied
from was_daemon.testing.contract import StoreContract, original
from was_daemon.testing.live import check_live
from was_daemon.testing.streams import chunked, collect, payload, read_asset

ensure = pytest_twisted.ensureDeferred
KEY = original("asset.jpg", "Fish")
RunServer = Callable[[type[Files]], SFTPOptions]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "root"
    directory.mkdir()
    return directory


@pytest_twisted.async_yield_fixture
async def store_on(tmp_path: Path, root: Path) -> AsyncIterator[Callable[..., SFTPStore]]:
    """Makes a store on a server with the quirks of `files`."""
    servers, stores = [], []

    def run(files: type[Files], **changes: Any) -> SFTPStore:
        server = ScriptedSSH(tmp_path / f"server{len(servers)}", root, files)
        servers.append(server)
        server.start()
        settings: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": server.port,
            "user": USER,
            "identity_file": server.user_key,
            "known_hosts": server.known_hosts,
        }
        stores.append(sftp.create(SFTPOptions(**(settings | changes))))
        return stores[-1]

    yield run
    for store in stores:
        await store.close()
    for server in servers:
        server.stop()


def refusing(method: str, code: int, when: Callable[..., bool] = lambda *_: True) -> type[Files]:
    """A server that answers `code` to a request, when the request is such."""

    def refuse(self: Files, *arguments: Any) -> object:
        if when(self, *arguments):
            raise Answer(code)
        return getattr(Files, method)(self, *arguments)

    return type(f"Refusing{method}{code}", (Files,), {method: refuse})


def both(*quirks: type[Files]) -> type[Files]:
    return type("Several", quirks, {})


def saying(code: int) -> type[Files]:
    """A server that says `code` for what is missing."""

    def answer(method: str) -> Callable[..., object]:
        def call(self: Files, *arguments: Any) -> object:
            try:
                return getattr(Files, method)(self, *arguments)
            except FileNotFoundError:
                raise Answer(code) from None

        return call

    class Saying(Files):
        async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
            try:
                async for name in super().scandir(path):
                    yield name
            except FileNotFoundError:
                raise Answer(code) from None

    methods = ("open", "stat", "lstat", "remove", "rename", "posix_rename", "mkdir", "setstat", "readlink")
    return type(f"Saying{code}", (Saying,), {method: answer(method) for method in methods})


def untyped(attributes: os.stat_result | asyncssh.SFTPAttrs) -> asyncssh.SFTPAttrs:
    if isinstance(attributes, os.stat_result):
        attributes = asyncssh.SFTPAttrs.from_local(attributes)
    attributes.permissions = stat.S_IMODE(attributes.permissions or 0)
    return attributes


class Untyped(Files):
    """Attributes tell permissions without the type, as those of servers on Windows do."""

    def stat(self, path: bytes) -> asyncssh.SFTPAttrs:
        return untyped(super().stat(path))

    def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        return untyped(super().lstat(path))

    def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        return untyped(super().fstat(file_obj))

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        async for name in super().scandir(path):
            name.attrs = untyped(name.attrs)
            yield name


class NoPermissions(Files):
    """Attributes tell size and times only."""

    def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        found = super().lstat(path)
        return asyncssh.SFTPAttrs(size=found.st_size, atime=int(found.st_atime), mtime=int(found.st_mtime))

    stat = lstat

    def fstat(self, file_obj: Any) -> asyncssh.SFTPAttrs:
        found = os.fstat(file_obj.fileno())
        return asyncssh.SFTPAttrs(size=found.st_size, atime=int(found.st_atime), mtime=int(found.st_mtime))


class ShortReads(Files):
    """Reads answer with less than was asked for."""

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        return super().read(file_obj, offset, min(size, 10_000))


class Liar(Files):
    """Does what it is asked for, and says that it failed."""

    def remove(self, path: bytes) -> None:
        super().remove(path)
        raise Answer(asyncssh.FX_FAILURE)

    def posix_rename(self, old: bytes, new: bytes) -> None:
        super().posix_rename(old, new)
        raise Answer(asyncssh.FX_FAILURE)

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        super().mkdir(path, attrs)
        raise Answer(asyncssh.FX_PERMISSION_DENIED)


class Crowded(Files):
    """Somebody else makes a directory just after it was found missing."""

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        try:
            return super().open(path, pflags, attrs)
        finally:
            if pflags & asyncssh.FXF_CREAT:
                self.local(path).parent.mkdir(parents=True, exist_ok=True)


def is_there(files: Files, path: bytes, *_: object) -> bool:
    return files.local(path).exists()


def target_is_there(files: Files, _old: bytes, new: bytes) -> bool:
    return files.local(new).exists()


def has(flag: int) -> Callable[..., bool]:
    return lambda _files, _path, flags, _attributes: bool(flags & flag)


QUIRKS = {
    "attributes without the type": Untyped,
    "attributes without permissions": NoPermissions,
    "attributes without the type, links not supported": both(Untyped, refusing("readlink", 8)),
    "mkdir of what exists: permission denied": refusing("mkdir", 3, is_there),
    "mkdir of what exists: 11": refusing("mkdir", 11, is_there),
    "missing: failure": saying(4),
    "missing: 10": saying(10),
    "missing: 19": saying(19),
    "missing: bad message": saying(5),
    "posix-rename does not replace": refusing("posix_rename", 4, target_is_there),
    "posix-rename does not replace: 11": refusing("posix_rename", 11, target_is_there),
    "posix-rename does not replace: no such file": refusing("posix_rename", 2, target_is_there),
    "posix-rename is not supported": refusing("posix_rename", 8),
    "posix-rename is denied": refusing("posix_rename", 3),
    "setstat is denied": refusing("setstat", 3),
    "setstat: no such file": refusing("setstat", 2),
    "fstat is denied": refusing("fstat", 3),
    "fstat is not supported": refusing("fstat", 8),
    "fstat: no such file": refusing("fstat", 2),
    "EXCL is refused": refusing("open", 4, has(asyncssh.FXF_EXCL)),
    "EXCL is denied, TRUNC is not supported": both(
        refusing("open", 3, has(asyncssh.FXF_EXCL)), refusing("open", 8, has(asyncssh.FXF_TRUNC))
    ),
    "fsync fails": refusing("fsync", 4),
    "fsync is denied": refusing("fsync", 3),
    "fsync is not supported": refusing("fsync", 8),
    "statvfs fails": refusing("statvfs", 4),
    "short reads": ShortReads,
    "directories are made by others meanwhile": Crowded,
    "what is done is called a failure": Liar,
}


@pytest.mark.parametrize("quirk", slow_after(10, QUIRKS.values()), ids=QUIRKS)
@ensure
async def test_an_asset_lives_its_life_on_a_server_with_quirks(store_on, root, quirk) -> None:
    store, content = store_on(quirk), payload(600_000)
    await store.check()
    for missing in (store.stat, store.open, store.delete):
        with pytest.raises(AssetNotFound):
            await missing(KEY)
    assert await collect(store.list("Fish", Kind.ORIGINAL)) == []
    first = await store.write(KEY, chunked(content))
    await store.write(original("other.jpg", "Fish"), chunked(b"other"))
    assert await store.stat(KEY) == first
    assert await read_asset(store, KEY) == content
    second = await store.write(KEY, chunked(b"the second version"))
    assert second.etag != first.etag
    assert await store.stat(KEY) == second
    assert await read_asset(store, KEY) == b"the second version"
    names = await collect(store.list("Fish", Kind.ORIGINAL))
    assert sorted(key.name for key in names) == ["asset.jpg", "other.jpg"]
    await store.delete(KEY)
    for missing in (store.stat, store.open, store.delete):
        with pytest.raises(AssetNotFound):
            await missing(KEY)
    await store.close()
    left = [path for path in root.rglob("*") if path.is_file()]
    assert left == [root / "Fish/originals/other.jpg"]


def to_trash(_files: Files, _old: bytes, new: bytes) -> bool:
    return new.endswith(b".file") and b"originals" in _old


TRASH_QUIRKS = {
    "files are not linked": refusing("link", 8),
    "files are not linked: failure": refusing("link", 4),
    "files are not moved to the trash, nor linked": both(
        refusing("link", 3), refusing("rename", 4, to_trash), refusing("posix_rename", 4, to_trash)
    ),
}


@pytest.mark.parametrize(
    "quirk", slow_after(4, [*QUIRKS.values(), *TRASH_QUIRKS.values()]), ids=[*QUIRKS, *TRASH_QUIRKS]
)
@ensure
async def test_a_trash_works_on_a_server_with_quirks(store_on, root, quirk) -> None:
    store = store_on(quirk)
    first, second = (AssetKey("Fish", Kind.TRASH, name) for name in ("1.file", "2.file"))
    await store.write(KEY, chunked(b"the first version"))
    await copy(store, KEY, first)
    await store.write(KEY, chunked(b"the second version"))
    await move(store, KEY, second)
    for missing in (store.stat, store.open, store.delete):
        with pytest.raises(AssetNotFound):
            await missing(KEY)
    assert await read_asset(store, first) == b"the first version"
    await move(store, first, KEY)
    with pytest.raises(AssetExists):
        await move(store, second, KEY)
    assert await read_asset(store, KEY) == b"the first version"
    await move(store, second, KEY, replace=True)
    assert await read_asset(store, KEY) == b"the second version"
    await store.close()
    assert [path for path in root.rglob("*") if path.is_file()] == [root / "Fish/originals/asset.jpg"]


@pytest.mark.slow
class TestUntyped(StoreContract):
    """The whole contract, without types."""

    big = 2_000_000
    many = 50
    timeout = 20.0

    @pytest.fixture
    def store(self, store_on) -> SFTPStore:
        return store_on(Untyped)


@pytest.mark.slow
class TestServerThatNamesNothingMissing(StoreContract):
    big = 2_000_000
    many = 50
    timeout = 20.0

    @pytest.fixture
    def store(self, store_on) -> SFTPStore:
        return store_on(both(saying(4), refusing("posix_rename", 4, target_is_there)))


@ensure
async def test_links_are_no_assets_where_types_are_not_told(store_on, root) -> None:
    (root / "originals").mkdir()
    (root / "secret").write_bytes(b"elsewhere")
    (root / "originals" / "link.jpg").symlink_to(root / "secret")
    store = store_on(Untyped)
    for look in (store.stat, store.open):
        with pytest.raises(AssetNotFound):
            await look(original("link.jpg"))


@ensure
async def test_shards_are_listed_where_types_are_not_told(store_on, root) -> None:
    store = store_on(Untyped, layout=Layout.SHARDED)
    await store.write(original("abcd.jpg"), chunked(b"bytes"))
    assert [key.name for key in await collect(store.list("", Kind.ORIGINAL))] == ["abcd.jpg"]


@ensure
async def test_a_failure_is_not_called_missing_where_missing_is_said(store_on, root) -> None:
    store = store_on(refusing("lstat", 4, lambda files, path: path.endswith(b"asset.jpg")))
    with pytest.raises(StoreFailed):
        await store.stat(KEY)


@ensure
async def test_a_disk_that_fails_to_sync_fails_the_upload(store_on, root) -> None:
    store = store_on(refusing("fsync", 4, lambda _files, file: os.fstat(file.fileno()).st_size > 0))
    with pytest.raises(StoreFailed):
        await store.write(KEY, chunked(b"bytes"))
    await store.close()
    assert not [path for path in root.rglob("*") if path.is_file()]


class IgnoresTimes(Files):
    """Says that a time was set, and sets none."""

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        pass


class OneTime(Files):
    """All files have one time, whatever is done to them."""

    def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        attributes = asyncssh.SFTPAttrs.from_local(super().lstat(path))
        attributes.mtime = attributes.atime = 1_000_000_000
        return attributes

    def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        attributes = asyncssh.SFTPAttrs.from_local(super().fstat(file_obj))
        attributes.mtime = attributes.atime = 1_000_000_000
        return attributes


SETS_NO_TIMES = [*(refusing("setstat", code) for code in (2, 3, 4, 8)), IgnoresTimes]


@pytest.mark.parametrize("quirk", slow_after(2, SETS_NO_TIMES), ids=lambda quirk: quirk.__name__)
@ensure
async def test_versions_of_one_size_differ_where_no_times_can_be_set(store_on, logged, quirk) -> None:
    store, etags = store_on(quirk), []
    for content in (b"first", b"other"):
        version = await store.write(KEY, chunked(content))
        assert await store.stat(KEY) == version
        assert await read_asset(store, KEY) == content
        etags.append(version.etag)
    await store.delete(KEY)
    etags.append((await store.write(KEY, chunked(b"third"))).etag)
    assert len(set(etags)) == 3
    assert await read_asset(store, KEY) == b"third"
    assert "no new times" not in logged()


@ensure
async def test_versions_of_other_sizes_do_not_wait_for_another_time(store_on, monkeypatch) -> None:
    monkeypatch.setattr(tree, "deferLater", None)
    store = store_on(refusing("setstat", 3))
    for content in (b"", b"1", b"22", b""):
        await store.write(KEY, chunked(content))
        assert await read_asset(store, KEY) == content


@pytest.mark.parametrize("quirk", [OneTime, refusing("setstat", 3, lambda *_: True)], ids=["one time", "cannot write"])
@ensure
async def test_a_server_that_gives_no_new_times_is_told_in_the_log_once(store_on, logged, monkeypatch, quirk) -> None:
    monkeypatch.setattr(tree, "_REWRITE_SECONDS", 0)
    monkeypatch.setattr(SFTPClient, "write_again", lambda _client, _path: fail(Denied("no")))
    store = store_on(quirk)
    for content in (b"first", b"other", b"third"):
        await store.write(KEY, chunked(content))
    assert logged().count("no new times") == 1


BROKEN = {
    "rename": (both(refusing("rename", 4), refusing("posix_rename", 4)), "failed to rename a file"),
    "mkdir": (refusing("mkdir", 4), "cannot be written to: the store failed to make a directory"),
    "remove": (refusing("remove", 4), "failed to remove a file"),
    "create": (refusing("open", 3, has(asyncssh.FXF_CREAT)), "denied permission to open a file"),
    "lstat": (refusing("lstat", 8), "cannot look at a file"),
    "list": (refusing("scandir", 8), "cannot list a directory"),
    "times": (OneTime, "etag did not change"),
    "no lstat": (refusing("lstat", 3), "denied permission to look at a file (LSTAT)"),
    "no stat": (both(refusing("lstat", 3), refusing("stat", 3)), "denied permission to look at a file (LSTAT)"),
    "fsync": (
        refusing("fsync", 4, lambda _files, file: os.fstat(file.fileno()).st_size > 0),
        "failed to sync a file (fsync)",
    ),
    "read": (refusing("read", 3), "denied permission to read a file (READ)"),
    "write": (refusing("write", 3), "denied permission to write a file (WRITE)"),
}
"""Servers that a store cannot live with, and how `check-store` says so."""


@pytest.mark.parametrize(
    ("quirk", "problem"),
    [
        pytest.param(*case, id=name, marks=[] if name in ("rename", "times", "fsync") else [pytest.mark.slow])
        for name, case in BROKEN.items()
    ],
)
@ensure
async def test_check_store_names_what_the_server_does_not_do(store_on, quirk, problem) -> None:
    results = await collect(check_live(store_on(quirk), "Fish"))
    assert [result for result in results if problem in (result.problem or "")]


@ensure
async def test_check_store_says_for_which_path_a_request_was_refused(store_on) -> None:
    store = store_on(refusing("lstat", 3, lambda _files, path: path.endswith(b".bin")))
    results = await collect(check_live(store, "Fish"))
    reason = r"look at a file \(LSTAT\) \(the server answers with code 3 for '\S*/was-check-\S*'\)"
    assert [result for result in results if re.search(reason, result.problem or "")]


@ensure
async def test_the_path_of_a_refused_request_is_told_in_the_log_and_not_to_clients(store_on, root, logged) -> None:
    (root / "Fish/originals").mkdir(parents=True)
    (root / "Fish/originals/asset.jpg").write_bytes(b"bytes")
    store = store_on(refusing("lstat", 3))
    with pytest.raises(StoreUnavailable, match=r"permission to look at a file \(LSTAT\)$"):
        await store.stat(KEY)
    assert "for 'Fish/originals/asset.jpg'" in logged()


@ensure
async def test_a_server_that_refuses_stat_keeps_assets(store_on, root) -> None:
    store = store_on(both(refusing("stat", 3), refusing("mkdir", 4, is_there)))
    for name in ("asset.jpg", "other.jpg"):
        await store.write(original(name, "Fish"), chunked(b"bytes"))
        assert await read_asset(store, original(name, "Fish")) == b"bytes"


@pytest.mark.parametrize("ending", [b".bin", b"-CASE.txt"])
@ensure
async def test_check_store_names_the_assets_that_it_could_not_remove(store_on, root, ending) -> None:
    store = store_on(refusing("remove", 3, lambda _files, path: path.endswith(ending)))
    *_, last = await collect(check_live(store, "Fish"))
    left = sorted(str(path.relative_to(root)) for path in (root / "Fish/originals").glob("was-check-*"))
    assert left
    assert last.promise == "the check leaves nothing behind"
    assert sorted((last.problem or "").removeprefix("to be deleted at the server: ").split(", ")) == left


class Forgetful(Files):
    """Answers that all was written, and keeps half of it."""

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        super().write(file_obj, offset, data[: len(data) // 2])
        return len(data)


@ensure
async def test_bytes_that_the_server_did_not_keep_are_noticed(store_on, root) -> None:
    store = store_on(Files)
    await store.write(KEY, chunked(b"the old version"))
    forgetful = store_on(Forgetful)
    with pytest.raises(StoreFailed, match="keep"):
        await forgetful.write(KEY, chunked(payload(100_000)))
    assert await read_asset(store, KEY) == b"the old version"


@ensure
async def test_a_rename_that_cannot_be_done_leaves_the_old_version(store_on, root) -> None:
    store = store_on(Files)
    await store.write(KEY, chunked(b"the old version"))
    denied = both(refusing("posix_rename", 3), refusing("rename", 3))
    with pytest.raises(StoreUnavailable, match="permission"):
        await store_on(denied).write(KEY, chunked(b"new"))
    assert await read_asset(store, KEY) == b"the old version"


@ensure
async def test_a_root_of_one_slash_is_the_root_of_the_server(store_on, root) -> None:
    class LoginElsewhere(Files):
        def map_path(self, path: bytes) -> bytes:
            return super().map_path(path if path.startswith(b"/") else b"/home/" + path)

    (root / "home").mkdir()
    store = store_on(LoginElsewhere, path="/")
    await store.write(original("asset.jpg"), chunked(b"bytes"))
    assert (root / "originals/asset.jpg").exists()
    assert not (root / "home/originals").exists()
