"""`was-daemon status`."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.support.cli import Ran, run, write_config
from tests.support.client import Client
from tests.support.daemon import KEY, eventually
from tests.support.images import jpeg
from tests.support.ports import free_port
from tests.support.silent import silent
from was_daemon import __version__
from was_daemon.config.settings import ServerSettings
from was_daemon.health.probe import addresses_of


def test_a_daemon_that_is_well_is_told_with_its_version_and_stores(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    ran = run("status", "--config", daemon.config_file, "--json")
    assert ran.code == 0, ran
    assert ran.report["ok"]
    assert ran.report["addresses"] == [{"url": daemon.url, "ok": True, "version": __version__}]
    main = ran.report["stores"]["main"]
    assert (main["ok"], main["where"]) == (True, f"files in {daemon.store}")
    assert main["free_bytes"] > 0
    told = run("status", "--config", daemon.config_file)
    assert told.out.splitlines()[0] == f"ok      {daemon.url}: was_daemon {__version__}"


def test_a_daemon_that_does_not_answer_is_a_failure(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    daemon.stop()
    ran = run("status", "--config", daemon.config_file, "--json")
    assert (ran.code, ran.report["ok"], ran.report["stores"]["main"]["ok"]) == (1, False, True)
    assert "refused" in ran.report["addresses"][0]["problem"]


def test_a_store_that_cannot_be_used_is_a_failure(tmp_path: Path, run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    (tmp_path / "file").write_text("no directory")
    broken = {"plugin": "filesystem", "path": tmp_path / "file"}
    silent = {"plugin": "sftp", "host": "127.0.0.1", "port": free_port(), "user": "u", "password": "p", "path": "/"}
    config = write_config(tmp_path, {"main": broken, "far": silent})
    ran = run("status", "--config", config, "--url", daemon.url, "--json")
    assert (ran.code, ran.report["addresses"][0]["ok"]) == (1, True)
    assert not ran.report["stores"]["main"]["ok"]
    assert not ran.report["stores"]["far"]["ok"]
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("command", ["status", "doctor", "check-store"])
def test_a_report_has_no_lines_of_the_log(tmp_path: Path, command: str) -> None:
    # A name with more than 255 characters is an error that the threads of the disk log.
    broken = {"plugin": "filesystem", "path": tmp_path / ("long" * 64)}
    far = {"plugin": "sftp", "host": "127.0.0.1", "port": free_port(), "user": "u", "password": "p", "path": "/"}
    config = write_config(tmp_path, {"main": broken, "far": far}, server={"key": KEY, "listen": ["tcp:1"]})
    for store in ("main", "far") if command == "check-store" else ("",):
        ran = run(command, *([store] if store else []), "--config", config)
        assert ran.code == 1
        assert "[was_daemon" not in ran.err + ran.out
        assert "file name too long" in ran.err + ran.out or store == "far"
        assert "File name too long" not in ran.err
        if store != "main":
            assert "the SSH server [127.0.0.1]" in ran.err


@pytest.mark.slow
def test_databases_that_do_not_answer_are_told_with_their_addresses(tmp_path: Path, run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    with silent() as port:
        url = f"mariadb://was@127.0.0.1:{port}/catalogue"
        (tmp_path / "store").mkdir()
        config = write_config(
            tmp_path,
            {"main": {"plugin": "filesystem", "path": tmp_path / "store"}},
            catalogue={"url": url, "journal": tmp_path / "journal.sqlite"},
            **{"specify.fish": {"url": url}},
        )
        ran = run("status", "--config", config, "--url", daemon.url, "--json")
    assert (ran.code, ran.err) == (1, "")
    for name in ("catalogue", "specify fish"):
        entry = ran.report["files"][name]
        assert not entry["ok"]
        assert url in entry["problem"]
        assert "see whether the server hangs" in entry["problem"]
    assert "fixity" not in ran.report


def test_a_directory_that_is_not_there_is_told_and_not_made(tmp_path: Path, run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    (tmp_path / "empty").mkdir()
    tables = {name: {"plugin": "filesystem", "path": tmp_path / name} for name in ("mistyped", "empty")}
    config = write_config(tmp_path, tables)
    ran = run("status", "--config", config, "--url", daemon.url)
    assert ran.code == 1
    assert f"FAILED  store mistyped: files in {tmp_path}/mistyped: there is no such directory" in ran.out
    assert f"ok      store empty: files in {tmp_path}/empty" in ran.out
    assert not (tmp_path / "mistyped").exists()
    assert list((tmp_path / "empty").iterdir()) == []


def test_what_is_wrong_is_said_with_its_reasons(run_daemon: RunDaemon) -> None:
    admin = free_port()
    server = {"admin_listen": [f"tcp:{admin}:interface=127.0.0.1"]}
    daemon = run_daemon({"server": server, "limits": {"min_free": "900 TiB"}})
    few = "less than min_free; uploads are refused"

    def ask() -> Ran | None:
        ran = run("status", "--config", daemon.config_file)
        # Of the store, of the spool, and of the daemon once it has looked.
        return ran if ran.out.count(few) == 3 else None

    ran = eventually(ask, "for the daemon to know its free space")
    assert ran.code == 1
    assert f"FAILED  http://127.0.0.1:{admin}/healthz: answers 503: store main: " in ran.out


@pytest_twisted.ensureDeferred
async def test_assets_are_counted_when_asked(run_daemon: RunDaemon) -> None:
    collections = {"mode": "map", "map": {"KUFish": {"directory": "Fishes"}, "KUHerb": {"directory": "Botany"}}}
    daemon = run_daemon({"collections": collections})
    client = Client(daemon.url, KEY)
    for name in ("a.jpg", "b.jpg"):
        await client.store(name, jpeg(), coll="KUFish")
    await client.thumbnail("a.jpg", 50, coll="KUFish")
    ran = run("status", "--config", daemon.config_file, "--count", "--json")
    nothing = {"originals": 0, "thumbnails": 0}
    assert ran.report["collections"] == {"KUFish": {"originals": 2, "thumbnails": 1}, "KUHerb": nothing}


def test_something_else_at_the_address_is_told(tmp_path: Path) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            """Not to the tests' output."""

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path / "store"}})
        ran = run("status", "--config", config, "--url", f"http://127.0.0.1:{server.server_port}", "--json")
        server.shutdown()
        thread.join()
    assert (ran.code, ran.report["addresses"][0]["problem"]) == (1, "something else answers there")


def test_the_addresses_are_those_at_which_this_machine_reaches_it() -> None:
    listen = ["tcp:8080", "tcp:8081:interface=127.0.0.1", "tcp6:port=8082:interface=\\:\\:1", "ssl:8443:certKey=x"]
    server = ServerSettings(listen=[*listen, "unix:/run/was", "systemd:domain=INET:index=0"], public_url="https://a.b")
    assert addresses_of(server) == [
        "http://localhost:8080",
        "http://127.0.0.1:8081",
        "http://[::1]:8082",
        "https://a.b",
    ]
    same = ServerSettings(listen=["tcp:8080"], public_url="http://localhost:8080")
    assert addresses_of(same) == ["http://localhost:8080"]
