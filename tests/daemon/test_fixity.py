"""A daemon with `[fixity]`: what people see of it, and that nobody waits for it."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.support.cli import run
from tests.support.client import Client
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.ports import free_port

async_test = pytest_twisted.ensureDeferred


class Watched:
    """A daemon with a catalogue and an admin endpoint."""

    def __init__(self, run_daemon: RunDaemon, directory: Path, config: dict[str, Any]) -> None:
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        server = {"admin_listen": [f"tcp:{port}:interface=127.0.0.1"], **config.pop("server", {})}
        catalogue = {"path": directory / "catalogue.sqlite"}
        self.daemon: Daemon = run_daemon({"server": server, "catalogue": catalogue, **config})
        self.client = Client(self.daemon.url, KEY)
        self.originals = self.daemon.store / "originals"

    def health(self) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"{self._url}/healthz") as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"{self._url}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def page(self) -> str:
        request = urllib.request.Request(self.daemon.url, headers={"Accept": "text/html"})
        with urllib.request.urlopen(request) as answer:
            return str(answer.read().decode())


@pytest.fixture
def watched(run_daemon: RunDaemon, tmp_path: Path) -> Callable[..., Watched]:
    return lambda **config: Watched(run_daemon, tmp_path, config)


@pytest.mark.slow
@async_test
async def test_a_damaged_original_is_red_everywhere_and_green_when_it_is_restored(
    watched: Callable[..., Watched],
) -> None:
    seen = watched(fixity={"every": "1 s", "rate": "100 MiB/s"})
    await seen.client.store("a.bin", b"as it came")
    eventually(lambda: seen.metric('was_fixity_checks_total{outcome="ok"}'), "for it to be read again")
    assert seen.health()[1]["fixity"] == "ok"
    assert "<dt>Originals</dt>" in seen.page()
    (seen.originals / "a.bin").write_bytes(b"as it cane")
    status, document = eventually(lambda: (found := seen.health())[0] == 503 and found, "for the fault to be found")
    assert status == 503
    assert document["fixity"].startswith("1 original not as recorded (1 changed)")
    assert "Fixity: originals/a.bin in the store main is changed: SHA-256" in seen.daemon.log()
    assert seen.metric('was_fixity_faults{fault="changed"}') == 1
    assert seen.metric("was_healthy") == 0
    eventually(lambda: "not all are as recorded" in seen.page(), "for the page to show it")
    ran = run("status", "--config", seen.daemon.config_file)
    assert ran.code == 1
    assert "FAILED  fixity: 1 original not as recorded (1 changed)" in ran.out
    (seen.originals / "a.bin").write_bytes(b"as it came")
    assert run("fixity", "report", "--config", seen.daemon.config_file).code == 0
    eventually(lambda: seen.health()[0] == 200, "for all to be well")


@async_test
async def test_files_copied_into_the_store_are_recorded_and_then_compared(watched: Callable[..., Watched]) -> None:
    seen = watched(fixity={"every": "1 s"})
    seen.originals.mkdir(parents=True)
    (seen.originals / "copied.bin").write_bytes(b"copied")
    eventually(lambda: seen.metric('was_fixity_checks_total{outcome="ok"}'), "for it to be recorded, and read again")
    assert "1 original had no record" in seen.daemon.log()


@async_test
async def test_neither_a_reload_nor_the_end_waits_for_it(
    watched: Callable[..., Watched], tmp_path: Path, run_daemon: RunDaemon
) -> None:
    # One of 8 MiB, at 64 KiB a second.
    seen = watched(fixity={"every": "1 s", "rate": "64 KiB/s"})
    await seen.client.store("large.bin", bytes(8 << 20))
    eventually(lambda: seen.metric("was_fixity_read_bytes_total"), "for it to be read")
    begin = time.monotonic()
    os.kill(seen.daemon.pid, signal.SIGHUP)
    eventually(lambda: "was read again, and is in use" in seen.daemon.log(), "for the reload")
    assert (await seen.client.original("large.bin")).status == 200
    seen.daemon.stop()
    assert time.monotonic() - begin < 20
    assert "Unhandled" not in seen.daemon.log()
    seen.daemon.start()


@pytest.mark.slow
@async_test
async def test_of_several_processes_one_reads_and_all_tell(watched: Callable[..., Watched]) -> None:
    seen = watched(server={"workers": 2}, fixity={"every": "1 s", "rate": "100 MiB/s"})
    seen.daemon.await_processes()
    await seen.client.store("a.bin", b"as it came")
    (seen.originals / "a.bin").write_bytes(b"as it is")
    eventually(lambda: seen.metric("was_fixity_faults") == 2, "for both to tell")
    assert seen.daemon.log().count("originals/a.bin in the store main is changed") == 1
    assert seen.health()[0] == 503


@async_test
async def test_a_disk_that_is_gone_has_lost_nothing(watched: Callable[..., Watched]) -> None:
    seen = watched(fixity={"every": "1 s"})
    await seen.client.store("a.bin", b"as it came")
    eventually(lambda: seen.metric('was_fixity_checks_total{outcome="ok"}'), "for it to be read again")
    away = seen.daemon.store.with_name("away")
    seen.daemon.store.rename(away)
    seen.daemon.store.mkdir()
    eventually(lambda: "the store main is left out for now" in seen.daemon.log(), "for the disk to be missed")
    assert seen.metric("was_fixity_faults") == 0
    seen.daemon.store.rmdir()
    away.rename(seen.daemon.store)
