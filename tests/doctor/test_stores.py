"""Stores that cannot be reached, are empty, or are gone; nothing is written to them."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.task import Clock

from tests.conftest import RunDaemon
from tests.support.cli import write_config
from tests.support.client import Client
from tests.support.daemon import KEY, eventually
from tests.support.examined import bad, only, patient
from tests.support.images import jpeg
from tests.support.ports import free_port
from tests.support.silent import silent
from was_daemon.doctor import databases, stores
from was_daemon.doctor.findings import Finding, State
from was_daemon.health.checks import _Check
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import AssetStat, IAssetReader
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.stores.http.errors import refusal, translated
from was_daemon.testing.memory import MemoryStore


async def found_in(config: Path) -> Sequence[Finding]:
    examined = patient(config)
    try:
        return await stores.look(examined)
    finally:
        for store in examined.stores.values():
            await store.close()


@pytest_twisted.ensureDeferred
async def test_a_store_whose_directory_is_gone_is_told_and_not_made(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path / "gone"}})
    finding = only(await found_in(config))
    assert "there is no such directory" in finding.message
    assert f"findmnt --target {tmp_path}/gone" in str(finding.remedy)
    assert not (tmp_path / "gone").exists()


@pytest_twisted.ensureDeferred
async def test_a_look_that_is_interrupted_fails_with_nothing_but_that(tmp_path: Path) -> None:
    with silent() as port:
        dav = {"plugin": "webdav", "url": f"http://127.0.0.1:{port}/dav"}
        looking = Deferred.fromCoroutine(found_in(write_config(tmp_path, {"main": dav, "other": dav})))
        looking.cancel()
        with pytest.raises(CancelledError):
            await looking


@pytest_twisted.ensureDeferred
async def test_stores_that_refuse_or_say_nothing_hold_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_SECONDS", 0.5)
    (tmp_path / "store").mkdir()
    with silent() as port:
        tables = {
            "main": {"plugin": "filesystem", "path": tmp_path / "store"},
            "refusing": {"plugin": "webdav", "url": f"http://127.0.0.1:{free_port()}/dav"},
            "silent": {"plugin": "webdav", "url": f"http://127.0.0.1:{port}/dav"},
        }
        found = await found_in(write_config(tmp_path, tables))
    assert [each.state for each in found] == [State.OK, State.FAILED, State.FAILED], found
    assert found[0].message.endswith(", and is empty")
    assert "the store cannot be reached (ConnectionRefusedError Connection was refused" in found[1].message
    assert str(found[1].remedy).startswith("was-daemon check-store refusing")
    assert str(found[1].remedy).endswith("  # it writes some files, and removes them")
    assert "no answer within 0.5 s" in found[2].message


@pytest_twisted.ensureDeferred
async def test_an_error_of_a_server_or_of_the_network_is_told_with_its_reason_here_and_by_the_running_daemon() -> None:
    for error, reason in (
        (refusal(502), "HTTP status 502"),
        (refusal(500), "HTTP status 500"),
        (translated(DNSLookupError("no results for dam.example.org")), "DNSLookupError"),
        (translated(ConnectError()), "ConnectError"),
    ):

        class Down(MemoryStore):
            async def check(self, error: Exception = error) -> None:
                raise error

        assert isinstance(error, AssetError) and reason in error.reason
        check = _Check(None, Down().check, Clock())
        problem = str((await check.look()).located_problem)
        assert problem == f"{error} ({error.reason})"


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_an_empty_directory_of_which_the_catalogue_knows_originals_is_told(
    run_daemon: RunDaemon, tmp_path: Path
) -> None:
    catalogue = tmp_path / "catalogue.sqlite"
    daemon = run_daemon({"catalogue": {"path": catalogue}})
    await Client(daemon.url, KEY).store("felis.jpg", jpeg())

    eventually(lambda: stores.is_recorded(patient(daemon.config_file), "main"), "for the catalogue to know it")
    assert bad(await found_in(daemon.config_file)) == []
    daemon.stop()
    (daemon.store / "originals/felis.jpg").unlink()
    assert "is empty, and the catalogue has originals of it" in only(await found_in(daemon.config_file)).message
    states = [each.state for each in await databases.look(patient(daemon.config_file))]
    assert states == [State.OK, State.OK]
    catalogue.write_bytes(b"no database at all" * 1000)
    finding = only(await databases.look(patient(daemon.config_file)))
    assert finding.message.startswith("catalogue: ")
    assert f"mv {catalogue} {catalogue}.broken" in str(finding.remedy)


@pytest_twisted.ensureDeferred
async def test_quirks_that_reading_shows_are_told() -> None:
    store = MemoryStore()
    key = AssetKey("", Kind.ORIGINAL, "Felis.jpg")

    async def chunks() -> AsyncIterator[bytes]:
        yield b"felis"

    await store.write(key, chunks())
    assert await stores._quirk(store, key) is None
    await store.write(attrs.evolve(key, name="fELIS.JPG"), chunks())
    assert await stores._quirk(store, key) is None

    class Caseless(MemoryStore):
        async def stat(self, key: AssetKey) -> AssetStat:
            return await store.stat(AssetKey("", Kind.ORIGINAL, "Felis.jpg"))

        async def open(self, key: AssetKey) -> IAssetReader:
            return await store.open(key)

    assert "differ in case only are the same file" in str(await stores._quirk(Caseless(), key))
