"""The table of the stores in docs/stores.md says what each of them can do."""

import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
import treq
from zope.interface import alsoProvides

from tests.support import s3servers
from tests.support.daemon import KEY as ATTACHMENT_KEY
from tests.support.daemon import Daemon, eventually
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.remotes import SFTP, Relay, WebDAV
from tests.support.resourcespace import FakeResourceSpace, key_of
from was_daemon.config.plugins import find_plugins
from was_daemon.config.secret_files import SecretFile
from was_daemon.model import interfaces
from was_daemon.model.errors import CannotList
from was_daemon.model.interfaces import (
    IAssetStore,
    ICreates,
    ILocalFiles,
    IMoves,
    IRedirects,
    IThumbnails,
    IUnlisted,
)
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.contract import original
from was_daemon.testing.live_creation import create_twice
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked, collect, payload, read_asset

COLUMNS = ["list", "ranges", "server-side move", "redirects", "own thumbnails", "new names", "watch"]
WORDS = {"redirects": {"no", "nginx", "presigned"}}
"""What cells may say, of the columns where that is not yes, no, or that it depends on the server."""

INTERFACES = {
    "server-side move": (IMoves, {"yes", "server"}),
    "redirects": (IRedirects, {"presigned"}),
    "own thumbnails": (IThumbnails, {"yes", "server"}),
    "new names": (ICreates, {"yes", "server"}),
}
"""The interface of each column, and the cells with which a store provides it."""

PARTS = "parts"
"""The cell of a store that is made of others, and can what these can."""

LARGE = payload(8_000_000)
LITTLE = len(LARGE) // 4
"""Bytes between a store and its server, with which `LARGE` cannot have passed."""


def table() -> dict[str, dict[str, str]]:
    """The rows of the table, by name of the store."""
    text = (ROOT / "docs" / "stores.md").read_text("utf-8")
    [found] = re.findall(r"<!-- compared with the stores .*?-->\n((?:\|.*\n)+)", text)
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()]
    assert head == ["store", *COLUMNS]
    return {re.sub(r"\[`(.*)`\]\(.*\)", r"\1", name): dict(zip(COLUMNS, cells, strict=True)) for name, *cells in rows}


ROWS = table()


def test_every_store_has_a_row_and_every_row_a_store() -> None:
    assert ROWS.keys() == find_plugins([]).keys()
    assert ROWS.keys() == {*TABLES, *COMPOSED}
    for row in ROWS.values():
        words = {column: WORDS.get(column, {"yes", "no", "server"}) | {PARTS} for column in row}
        assert [cell for column, cell in row.items() if cell not in words[column]] == []


def test_no_store_can_tell_of_changes_by_others() -> None:
    assert {row["watch"] for row in ROWS.values()} == {"no"}
    assert [name for name in dir(interfaces) if "watch" in name.lower()] == []


COMPOSED: dict[str, dict[str, Any]] = {
    "layered": {"layers": ["first", "second"]},
    "mirror": {"primary": "first", "copies": ["second"]},
}
"""Settings of stores that are made of others, by name of the plugin."""


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("name", COMPOSED)
async def test_a_store_made_of_others_provides_what_these_do(name: str, tmp_path: Path) -> None:
    plugin = find_plugins([])[name]
    assert set(ROWS[name].values()) == {PARTS, "no"}
    options = plugin.options(**COMPOSED[name], **({"journal": tmp_path} if name == "mirror" else {}))
    for interface, _cells in INTERFACES.values():
        for is_provided in (True, False):
            parts = {each: MemoryStore() for each in ("first", "second")}
            for part in parts.values() if is_provided else ():
                alsoProvides(part, interface)
            store = plugin.compose(options, "main", parts)
            assert interface.providedBy(store) is is_provided
            await store.close()


def expect_interfaces(store: IAssetStore, row: Mapping[str, str]) -> None:
    """Expect that a store provides the interfaces of the columns that its row has."""
    for column, (interface, cells) in INTERFACES.items():
        assert interface.providedBy(store) is (row[column] in cells), column
    assert ILocalFiles.providedBy(store) is (row["redirects"] == "nginx")
    assert IUnlisted.providedBy(store) is (row["list"] == "no")


# -- what it does ------------------------------------------------------------------------------------------------------


@attrs.frozen
class Kept:
    """A store of a kind that keeps `KEY`, and the relay to its server if it has one."""

    name: str
    store: IAssetStore
    relay: Relay | None

    @contextmanager
    def little_passes(self) -> Iterator[None]:
        """Expect that the bytes of `LARGE` do not pass between the store and its server."""
        if self.relay:
            self.relay.count_anew()
        yield
        if self.relay:
            assert self.relay.sent + self.relay.received < LITTLE


KEY, TRASHED = original("asset.bin"), AssetKey("", Kind.TRASH, "0123.file")

Table = tuple[Mapping[str, Any], Relay | None]


@contextmanager
def on_disk(directory: Path) -> Iterator[Table]:
    yield {"path": directory}, None


@contextmanager
def at_far_end(far: SFTP | WebDAV) -> Iterator[Table]:
    far.start()
    try:
        settings = far.table()
        yield settings | ({"path": str(far.root)} if "path" in settings else {}), far.relay
    finally:
        far.remove()


@contextmanager
def at_moto(_directory: Path) -> Iterator[Table]:
    server = s3servers.moto().start()
    relay = Relay(server.port)
    keys = {"access_key_id": s3servers.ACCESS_KEY, "secret_access_key": s3servers.SECRET_KEY}
    try:
        yield {"bucket": s3servers.BUCKET, "endpoint": f"http://127.0.0.1:{relay.port}", **keys}, relay
    finally:
        relay.close()
        server.remove()


@contextmanager
def at_resourcespace(directory: Path) -> Iterator[Table]:
    directory.mkdir()
    key_file = directory / "key"
    key_file.write_text(key_of("specify"))
    dam = FakeResourceSpace(directory).start()
    relay = Relay(dam.port)
    dam.address = f"http://127.0.0.1:{relay.port}"
    try:
        login = {"user": "specify", "key_file": SecretFile(key_file), "allow_http": True}
        yield {"url": dam.address, **login}, relay
    finally:
        relay.close()
        dam.stop()


@contextmanager
def at_asset_server(directory: Path) -> Iterator[Table]:
    daemon = Daemon(directory).start()
    relay = Relay(daemon.port)
    try:
        yield {"url": f"http://127.0.0.1:{relay.port}", "key": ATTACHMENT_KEY}, relay
    finally:
        relay.close()
        daemon.stop()


@contextmanager
def at_rest_dam(_directory: Path) -> Iterator[Table]:
    port = free_port()
    dam = subprocess.Popen([sys.executable, ROOT / "docs" / "examples" / "fake_dam.py", str(port)])
    relay = Relay(port)
    requests = dict.fromkeys(("get", "put", "delete"), "/assets/{path}")
    listing = {"list": "/assets?prefix={folder}/{prefix}&after={after}", "match": {"": "{path}"}}
    login = {"headers": {"Authorization": "Bearer sesame"}, "allow_http": True}
    try:
        eventually(lambda: _listens(port), "for the DAM to listen")
        yield {"url": f"http://127.0.0.1:{relay.port}/fishes", **requests, **listing, **login}, relay
    finally:
        relay.close()
        dam.terminate()
        dam.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


TABLES: dict[str, Callable[[Path], Any]] = {
    "filesystem": on_disk,
    "sftp": lambda directory: at_far_end(SFTP(directory)),
    "webdav": lambda _directory: at_far_end(WebDAV()),
    "s3": at_moto,
    "resourcespace": at_resourcespace,
    "rest": at_rest_dam,
    "asset-server": at_asset_server,
}
"""How to have a table of settings, by name of the plugin, with which a store works."""


@pytest_twisted.async_yield_fixture(params=list(TABLES))
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    """A store of each kind, with an asset."""
    plugin = find_plugins([])[request.param]
    with TABLES[request.param](tmp_path / "store") as (settings, relay):
        options = plugin.options(**{key: value for key, value in settings.items() if key != "plugin"})
        if request.param == "s3":
            await s3servers.make_bucket(settings["endpoint"])
        store = plugin.create(options)
        try:
            await store.check()
            await store.write(KEY, chunked(LARGE), len(LARGE))
            yield Kept(request.param, store, relay)
        finally:
            await store.close()


@pytest_twisted.ensureDeferred
async def test_a_store_does_what_its_row_says(kept: Kept) -> None:
    row, store = ROWS[kept.name], kept.store
    expect_interfaces(store, row)
    if row["list"] == "no":
        with pytest.raises(CannotList):
            await collect(store.list("", Kind.ORIGINAL))
    else:
        assert await collect(store.list("", Kind.ORIGINAL)) == [KEY]
    assert row["ranges"] in ("yes", "server")
    with kept.little_passes():
        assert await read_asset(store, KEY, 7_999_000, 7_999_100) == LARGE[7_999_000:7_999_100]
    if IMoves.providedBy(store):
        with kept.little_passes():
            await IMoves(store).move(KEY, TRASHED)
            await IMoves(store).move(TRASHED, KEY)
    if ICreates.providedBy(store):
        await create_twice(store, original("new.bin"))
    if IRedirects.providedBy(store):
        answer = await treq.get(await IRedirects(store).url(KEY, "image/jpeg", None))
        assert await answer.content() == LARGE
