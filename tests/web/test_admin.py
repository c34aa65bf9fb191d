"""The admin endpoint: `/healthz` and `/metrics`, seen from outside."""

import json
import os
import re
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import RunDaemon
from tests.support.cli import run, write_config
from tests.support.client import Client
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.images import jpeg
from tests.support.ports import free_port
from tests.support.tiny_disk import fill, tiny_disk

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def fetch(url: str | urllib.request.Request) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class Watched:
    """A daemon with an admin endpoint."""

    def __init__(self, run: RunDaemon, config: dict[str, Any] | None = None) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.listen = [f"tcp:{port}:interface=127.0.0.1"]
        self.config = {**(config or {}), "server": {**(config or {}).get("server", {}), "admin_listen": self.listen}}
        self.daemon: Daemon = run(self.config)
        self.client = Client(self.daemon.url, KEY)

    def health(self) -> tuple[int, dict[str, Any]]:
        status, text = fetch(f"{self.url}/healthz")
        return status, json.loads(text)

    def samples(self) -> Samples:
        status, text = fetch(f"{self.url}/metrics")
        assert status == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text.decode())
            for sample in family.samples
        }

    def upload(self, name: str, content: bytes) -> int:
        form = self.client.specify7_form(name)
        headers = {"Content-Type": form.content_type}
        return fetch(urllib.request.Request(f"{self.daemon.url}/fileupload", form.around(content), headers))[0]

    def get(self, path: str, **params: str) -> tuple[int, bytes]:
        return fetch(f"{self.daemon.url}/{path}?{urlencode(params)}")

    def value(self, metric: str, **labels: str) -> float:
        return self.samples().get((metric, frozenset(labels.items())), 0.0)


@pytest.fixture
def watched(run_daemon: RunDaemon) -> Callable[..., Watched]:
    return lambda config=None: Watched(run_daemon, config)


def test_all_is_well_with_a_daemon_that_has_just_started(watched: Callable[..., Watched]) -> None:
    seen = watched()
    status, document = seen.health()
    assert status == 200
    assert document["status"] == "ok"
    assert document["problems"] == []
    assert document["stores"] == {"main": "ok"}
    assert document["workers"] == document["spool"] == "ok"
    assert document["free_bytes"]["store main"] > 0
    assert document["free_bytes"]["spool"] > 0
    assert seen.value("was_free_bytes", place="store main") > 0
    assert seen.value("was_healthy") == seen.value("was_store_up", store="main") == 1


def test_a_store_that_cannot_be_used_is_said_with_503_and_its_path_to_the_admin_only(
    watched: Callable[..., Watched], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no directory")
    seen = watched({"stores": {"main": {"plugin": "filesystem", "path": tmp_path / "file" / "store"}}})
    status, document = seen.health()
    assert status == 503
    assert document["status"] == "failing"
    assert document["problems"][0].startswith("store main: ")
    assert f"({tmp_path}/file/store)" in document["problems"][0]
    assert f"({tmp_path}/file/store)" in document["stores"]["main"]
    page = urllib.request.Request(seen.daemon.url, headers={"Accept": "text/html"})
    assert str(tmp_path).encode() not in fetch(page)[1]
    assert seen.value("was_store_up", store="main") == 0
    assert seen.value("was_healthy") == 0
    assert seen.value("was_store_errors_total", store="main", operation="check", error="unavailable") > 0


def test_too_little_free_space_is_said_with_503(watched: Callable[..., Watched]) -> None:
    status, document = watched({"limits": {"min_free": 1 << 60}}).health()
    assert status == 503
    assert any("free" in problem and problem.startswith("store main: ") for problem in document["problems"])
    assert any("free" in problem and problem.startswith("spool: ") for problem in document["problems"])


def test_a_store_that_hangs_is_said_within_seconds_and_does_not_hang_the_metrics(
    watched: Callable[..., Watched],
) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    seen = watched(
        {
            "stores": {
                "main": {"plugin": "filesystem", "path": "store"},
                "far": {"plugin": "webdav", "url": f"http://127.0.0.1:{silent.getsockname()[1]}/"},
            }
        }
    )
    with silent:
        status, document = seen.health()
        assert status == 503
        assert document["stores"] == {"main": "ok", "far": "no answer within 3 s"}
        assert seen.value("was_store_up", store="far") == 0
        assert seen.value("was_store_up", store="main") == 1


def test_however_often_somebody_asks_a_store_is_checked_once_in_a_while(watched: Callable[..., Watched]) -> None:
    seen = watched()
    for _ in range(20):
        assert seen.health()[0] == 200
    # One of them is that of the daemon's start; a slow machine may take longer than a check counts.
    assert seen.value("was_store_seconds_count", store="main", operation="check") <= 5


def test_nothing_of_it_is_on_the_public_port(watched: Callable[..., Watched]) -> None:
    seen = watched()
    for path in ("/healthz", "/metrics", "/admin/metrics"):
        assert fetch(seen.daemon.url + path)[0] == 404
    for path in ("/fileget?filename=a.jpg", "/web_asset_store.xml"):
        assert fetch(seen.url + path)[0] == 404


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Host: a\r\nContent-Length: " + "9" * 4301, 400),
        ("Host: a..b", 200),
        ("Host: " + "a" * 300, 200),
        ("Host: été", 200),
        ("Host: [::1]:9180", 200),
    ],
)
def test_no_header_is_an_error_in_the_log(watched: Callable[..., Watched], header: str, status: int) -> None:
    server = watched()
    answer = Client(server.url, KEY).raw(f"GET /healthz HTTP/1.1\r\n{header}\r\nConnection: close\r\n\r\n".encode())
    assert answer.status == status
    assert "Traceback" not in server.daemon.log()
    assert server.value("was_log_events_total", level="error") == 0


def test_without_a_setting_there_is_no_admin_endpoint(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    assert fetch(f"{daemon.url}/metrics")[0] == 404


def test_requests_are_counted_by_endpoint_and_status(watched: Callable[..., Watched]) -> None:
    seen = watched()
    content = os.urandom(100_000)
    assert seen.upload("a.bin", content) == 200
    assert seen.get("fileget", filename="a.bin", type="O") == (200, content)
    assert seen.get("fileget", filename="none.bin", type="O")[0] == 404
    assert fetch(f"{seen.daemon.url}/{'unheard-of' * 10}")[0] == 404
    assert seen.value("was_requests_total", endpoint="fileupload", status="200") == 1
    assert seen.value("was_requests_total", endpoint="fileget", status="200") == 1
    assert seen.value("was_requests_total", endpoint="fileget", status="404") == 1
    assert seen.value("was_requests_total", endpoint="other", status="404") == 1
    assert seen.value("was_request_seconds_count", endpoint="fileget") == 2
    assert seen.value("was_received_bytes_total") > len(content)
    assert len(content) < seen.value("was_sent_bytes_total") < 2 * len(content)
    assert seen.value("was_requests_under_way") == 0
    assert seen.value("was_store_seconds_count", store="main", operation="adopt") == 1
    assert seen.value("was_store_seconds_count", store="main", operation="open") == 2
    assert not [key for key in seen.samples() if "a.bin" in str(key) or "unheard-of" in str(key)]


def test_what_is_no_request_is_counted_too(watched: Callable[..., Watched]) -> None:
    seen = watched()
    with socket.create_connection(("127.0.0.1", seen.daemon.port)) as client:
        client.sendall(b"nonsense\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 400")
    assert seen.value("was_requests_total", endpoint="none", status="400") == 1


def test_a_client_that_leaves_before_its_answer_is_counted_as_aborted(watched: Callable[..., Watched]) -> None:
    seen = watched()
    with socket.create_connection(("127.0.0.1", seen.daemon.port)) as client:
        client.sendall(b"POST /fileupload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n")
        client.sendall(b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n")
        eventually(lambda: seen.value("was_requests_under_way") == 1, "for the request to begin")
        assert seen.value("was_connections") >= 1
    eventually(
        lambda: seen.value("was_requests_total", endpoint="fileupload", status="aborted") == 1, "for its end to be seen"
    )
    assert seen.value("was_requests_under_way") == 0


def test_thumbnails_jobs_and_workers_are_counted(watched: Callable[..., Watched]) -> None:
    seen = watched({"thumbnails": {"workers": 1}})
    assert seen.upload("a.jpg", jpeg()) == 200
    assert seen.upload("b.jpg", b"no picture") == 200
    for _ in range(3):
        assert seen.get("fileget", filename="a.jpg", type="T", scale="50")[0] == 200
    assert seen.get("fileget", filename="b.jpg", type="T", scale="50")[0] == 422
    assert seen.get("getmetadata", filename="a.jpg")[0] == 200
    assert seen.value("was_thumbnails_total", source="made") == 1
    assert seen.value("was_thumbnails_total", source="kept") == 2
    assert seen.value("was_jobs_total", kind="thumbnail", outcome="done") == 1
    assert seen.value("was_jobs_total", kind="thumbnail", outcome="broken") == 1
    assert seen.value("was_jobs_total", kind="metadata", outcome="done") == 1
    assert seen.value("was_job_seconds_count", kind="thumbnail") == 2
    assert seen.value("was_workers", state="idle") == 1
    assert seen.value("was_jobs_running") == seen.value("was_jobs_waiting", lane="requests") == 0


def test_the_metrics_outlive_a_reload_and_follow_it(watched: Callable[..., Watched], tmp_path: Path) -> None:
    seen = watched()
    assert fetch(seen.daemon.url)[0] == 200
    before = seen.value("was_requests_total", endpoint="index", status="200")
    second = {
        "stores": {"main": {"plugin": "filesystem", "path": "store"}, "second": {"plugin": "filesystem", "path": "2"}}
    }
    seen.daemon.write_config({**seen.config, **second, "thumbnails": {"workers": 3}})
    os.kill(seen.daemon.pid, signal.SIGHUP)
    eventually(lambda: "is in use" in seen.daemon.log(), "for the reload")
    assert fetch(seen.daemon.url)[0] == 200
    assert seen.value("was_requests_total", endpoint="index", status="200") == before + 1
    assert seen.value("was_store_up", store="second") == 1
    assert seen.health()[1]["stores"] == {"main": "ok", "second": "ok"}


def test_the_process_and_the_version_are_among_the_metrics(watched: Callable[..., Watched]) -> None:
    names = {name for name, _ in watched().samples()}
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "was_build_info"} <= names
    assert not [name for name in names if name.endswith("_created")]


def test_a_link_in_the_place_of_a_collections_staging_directory_is_red_in_health_page_and_status(
    watched: Callable[..., Watched], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    (store / "originals").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (store / "originals/.staging").symlink_to(tmp_path / "elsewhere")
    seen = watched({"stores": {"main": {"plugin": "filesystem", "path": store}}})
    status, document = seen.health()
    assert status == 503
    assert f"({store}/originals/.staging)" in document["problems"][0]
    page = fetch(urllib.request.Request(seen.daemon.url, headers={"Accept": "text/html"}))[1].decode()
    assert "1 out of order" in page
    assert str(store) not in page
    ran = run("status", "--config", seen.daemon.config_file)
    assert ran.code == 1
    assert f"({store}/originals/.staging)" in ran.out


def page_of(seen: Watched) -> str:
    return fetch(urllib.request.Request(seen.daemon.url, headers={"Accept": "text/html"}))[1].decode()


@pytest.mark.slow
def test_a_catalogue_that_cannot_be_kept_is_red_in_health_page_and_status(
    watched: Callable[..., Watched], tmp_path: Path
) -> None:
    (tmp_path / "sums").write_bytes(b"no database " * 1000)
    seen = watched({"catalogue": {"path": tmp_path / "catalogue.sqlite", "journal": tmp_path / "sums"}})
    assert seen.upload("a.bin", b"a") == 200
    status, document = seen.health()
    assert (status, document["stores"], document["spool"]) == (503, {"main": "ok"}, "ok")
    assert document["problems"][0].startswith("journal: ")
    assert f"({tmp_path}/sums)" in document["journal"]
    assert "files of the daemon out of order" in page_of(seen)
    assert str(tmp_path) not in page_of(seen)
    ran = run("status", "--config", seen.daemon.config_file)
    assert ran.code == 1
    assert re.search(rf"^FAILED  journal: .*\({tmp_path}/sums\)$", ran.out, re.MULTILINE)
    (tmp_path / "sums").unlink()
    assert seen.upload("b.bin", b"b") == 200
    eventually(lambda: seen.health()[1]["journal"] == "ok", "for the next look at the journal")
    assert run("status", "--config", seen.daemon.config_file).code == 0


def test_quotas_that_cannot_be_kept_are_red_in_health_page_and_status(
    watched: Callable[..., Watched], tmp_path: Path
) -> None:
    (tmp_path / "spool").mkdir(mode=0o700)
    (tmp_path / "spool/quotas").write_text("a file")
    collections = {"mode": "map", "map": {"Fish": {"directory": "fish", "quota": "1 GiB"}}}
    seen = watched({"collections": collections, "spool": {"path": tmp_path / "spool"}})
    status, document = seen.health()
    assert status == 503
    assert any(problem.startswith("quotas: ") for problem in document["problems"])
    assert f"({tmp_path}/spool/quotas)" in document["spool"]
    assert "files of the daemon out of order" in page_of(seen)
    assert f"({tmp_path}/spool/quotas)" in run("status", "--config", seen.daemon.config_file).out


def test_status_makes_neither_spool_nor_catalogue(tmp_path: Path, run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    stores = {"main": {"plugin": "filesystem", "path": daemon.store}}
    config = write_config(tmp_path, stores, catalogue={"path": tmp_path / "state/catalogue.sqlite"})
    ran = run("status", "--config", config, "--url", daemon.url, "--json")
    assert {name: each["ok"] for name, each in ran.report["files"].items()} == {
        "spool": True,
        "catalogue": True,
        "journal": True,
    }
    assert ran.code == 0
    assert not (tmp_path / "spool").exists()
    assert not (tmp_path / "state").exists()


def mirroring(directory: Path) -> dict[str, Any]:
    """A mirror whose journal is in `directory` / "disk"."""
    journal = directory / "disk" / "journal"
    return {
        "stores": {
            "main": {"plugin": "mirror", "primary": "kept", "copies": ["nas"], "journal": journal},
            "kept": {"plugin": "filesystem", "path": "store"},
            "nas": {"plugin": "filesystem", "path": "nas"},
        },
        "collections": {"store": "main"},
    }


def test_the_disk_of_a_mirror_s_journal_is_watched(watched: Callable[..., Watched], tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    seen = watched(mirroring(tmp_path) | {"limits": {"min_free": 1 << 60}})
    _, document = seen.health()
    assert document["free_bytes"]["journal of main"] > 0
    assert document["journal of main"] == "ok"
    assert any(
        re.fullmatch(r"journal of main: \d+ MiB are free on its disk, less than min_free", warning)
        for warning in document["warnings"]
    )
    assert seen.value("was_free_bytes", place="journal of main") > 0
    told = run("status", "--json", "--config", seen.daemon.config_file).report
    assert told["mirrors"]["main"]["journal"]["free_bytes"] > 0
    assert any(warning.startswith("journal of main: ") for warning in told["warnings"])


def test_the_disk_of_a_catalogue_is_watched(watched: Callable[..., Watched], tmp_path: Path) -> None:
    seen = watched({"catalogue": {"path": tmp_path / "catalogue.sqlite"}, "limits": {"min_free": 1 << 60}})
    _, document = seen.health()
    for place in ("catalogue", "journal"):
        assert document["free_bytes"][place] > 0
        assert document[place] == "ok"
        assert any(
            warning.startswith(f"{place}: ") and "less than min_free" in warning for warning in document["warnings"]
        )
        assert seen.value("was_free_bytes", place=place) > 0


def test_a_mirror_s_journal_on_a_full_disk_is_said_with_503(watched: Callable[..., Watched], tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk"):
        seen = watched(mirroring(tmp_path))
        assert seen.upload("a.jpg", b"bytes") == 200
        filler = fill(tmp_path / "disk")
        assert seen.upload("b.jpg", b"bytes") == 503
        # What was found a moment ago counts for some seconds.
        eventually(lambda: seen.health()[0] == 503, "for the next look")
        assert seen.health()[1]["problems"][0].startswith("store main: the journal of the mirror cannot be used")
        ran = run("status", "--config", seen.daemon.config_file)
        assert ran.code == 1
        assert "FAILED  store main: the journal of the mirror cannot be used: " in ran.out
        filler.unlink()
        eventually(lambda: seen.health()[0] == 200, "for the next look")
        assert seen.upload("b.jpg", b"bytes") == 200
        seen.daemon.stop()


def test_a_journal_that_has_no_room_to_be_made_is_said(tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk"):
        fill(tmp_path / "disk")
        document = mirroring(tmp_path)
        for name in ("store", "nas"):
            (tmp_path / name / "originals").mkdir(parents=True)
        config = write_config(tmp_path, document["stores"], collections=document["collections"])
        assert "the disk of the mirror's journal is full" in run("status", "--config", config).out
