"""`was-daemon mirror` and `status`, as an operator runs them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.support.bottled import KEY, BottledServer
from tests.support.cli import run, write_config
from tests.support.daemon import Daemon, eventually


def mirror_config(directory: Path, **options: Any) -> Path:
    stores = {
        "main": {
            "plugin": "mirror",
            "primary": "disk",
            "copies": ["nas"],
            "journal": directory / "journal",
            **options,
        },
        "disk": {"plugin": "filesystem", "path": directory / "disk"},
        "nas": {"plugin": "filesystem", "path": directory / "nas"},
    }
    for name in ("disk", "nas"):
        (directory / name / "originals").mkdir(parents=True)
    return write_config(directory, stores, collections={"store": "main"})


def fill(directory: Path, number: int) -> dict[str, bytes]:
    contents = {f"{each}.jpg": b"bytes %d" % each for each in range(number)}
    for name, content in contents.items():
        (directory / "originals" / name).write_bytes(content)
    return contents


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (directory / "originals").iterdir() if path.is_file()}


@pytest.mark.slow
def test_a_lost_disk_is_filled_again_without_a_daemon(tmp_path: Path) -> None:
    config = mirror_config(tmp_path)
    expected = fill(tmp_path / "disk", 20)
    first = run("mirror", "repair", "--config", config, "--json")
    assert (first.code, first.report["copied"]) == (0, 20)
    # No daemon runs: the command has had the copy follow.
    assert content(tmp_path / "nas") == expected
    shutil.rmtree(tmp_path / "disk")
    (tmp_path / "disk").mkdir()
    lost = run("mirror", "verify", "--config", config, "--json")
    assert (lost.code, lost.report["lost"]) == (1, 20)
    again = run("mirror", "repair", "--config", config)
    assert again.code == 0
    assert "20 to the primary" in again.out
    assert content(tmp_path / "disk") == expected


@pytest.mark.slow
def test_status_tells_how_far_the_copies_follow(tmp_path: Path) -> None:
    config = mirror_config(tmp_path)
    before = run("status", "--config", config, "--json").report
    assert "mirrors" not in before
    assert not (tmp_path / "journal").exists()
    fill(tmp_path / "disk", 3)
    assert run("mirror", "verify", "--deep", "--config", config).code == 1
    report = run("status", "--config", config, "--json").report
    assert report["stores"]["main"]["ok"]
    assert report["mirrors"]["main"]["copies"]["nas"]["files"] == 0
    assert "copy of main in nas: up to date" in run("status", "--config", config).out


@pytest.mark.slow
def test_a_directory_that_is_not_there_is_not_filled(tmp_path: Path) -> None:
    config = mirror_config(tmp_path)
    fill(tmp_path / "nas", 3)
    shutil.rmtree(tmp_path / "disk")
    ran = run("mirror", "repair", "--config", config)
    assert ran.code == 1
    assert "there is no such directory" in ran.err
    assert not (tmp_path / "disk").exists()


def test_without_a_mirror_there_is_nothing_to_compare(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"disk": {"plugin": "filesystem", "path": tmp_path / "disk"}})
    ran = run("mirror", "verify", "--config", config)
    assert ran.code == 1
    assert 'no store has plugin = "mirror"' in ran.err


@contextmanager
def refusing() -> Iterator[str]:
    """A server that answers each request with 500; yields its address."""

    class Refusal(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if self.raw_requestline and self.parse_request():
                self.send_error(500)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def with_copies(directory: Path, **copies: dict[str, Any]) -> Path:
    """A mirror of the directory "disk" with these copies."""
    (directory / "disk" / "originals").mkdir(parents=True)
    main = {"plugin": "mirror", "primary": "disk", "copies": list(copies), "journal": directory / "journal"}
    stores = {"main": main, "disk": {"plugin": "filesystem", "path": directory / "disk"}, **copies}
    return write_config(directory, stores, collections={"store": "main"})


def nas(directory: Path, name: str) -> dict[str, Any]:
    (directory / name / "originals").mkdir(parents=True)
    return {"plugin": "filesystem", "path": directory / name}


def test_a_copy_that_cannot_be_used_keeps_no_other_from_being_repaired(tmp_path: Path) -> None:
    with refusing() as address:
        dav = {"plugin": "webdav", "url": f"{address}/dav/"}
        config = with_copies(tmp_path, cloud=dav, nas=nas(tmp_path, "nas"), away=nas(tmp_path, "away"))
        shutil.rmtree(tmp_path / "away")
        expected = fill(tmp_path / "disk", 3)
        found = run("mirror", "verify", "--config", config)
        assert found.code == 1
        assert "uncopied  originals/1.jpg, copy nas\n" in found.out
        assert "3 not in the copy" in found.out
        assert "The copy cloud was not compared, or not to the end: " in found.err
        assert "The copy away was not compared, or not to the end: " in found.err
        repaired = run("mirror", "repair", "--config", config, "--json")
        assert (repaired.code, repaired.report["copied"]) == (1, 3)
        assert content(tmp_path / "nas") == expected
        reasons = {each["copy"]: each["reason"] for each in repaired.report["not_compared"]}
        assert list(reasons) == ["cloud", "away"]
        assert "there is no such directory" in reasons["away"]
        again = run("mirror", "verify", "--config", config, "--json").report
        assert (again["same"], again["uncopied"], again["files"]) == (3, 0, [])


def test_json_names_the_copy_of_each_line(tmp_path: Path) -> None:
    config = mirror_config(tmp_path)
    fill(tmp_path / "disk", 1)
    ran = run("mirror", "verify", "--config", config, "--json")
    assert ran.report["files"] == [{"state": "uncopied", "file": "originals/0.jpg", "reason": "", "copy": "nas"}]
    assert ran.report["not_compared"] == []


@pytest.fixture
def official(tmp_path: Path) -> Iterator[BottledServer]:
    with BottledServer(tmp_path / "official").running() as server:
        yield server


def test_an_asset_server_is_a_copy_whose_names_come_from_elsewhere(tmp_path: Path, official: BottledServer) -> None:
    config = with_copies(tmp_path, old={"plugin": "asset-server", "url": official.url, "key": KEY})
    expected = fill(tmp_path / "disk", 2)
    refused = run("mirror", "verify", "--config", config)
    assert (refused.code, refused.out) == (2, "")
    assert "the store old cannot list what it has: give the names with --names catalogue" in refused.err
    names = tmp_path / "names.txt"
    names.write_text("\n".join([*expected, "  ", "nowhere.jpg", "a/b.jpg", ""]), "utf-8")
    found = run("mirror", "verify", "--names", names, "--config", config, "--json")
    wanted = {"uncopied": 2, "missing": 1, "failed": 1, "lost": 0}
    assert (found.code, {word: found.report[word] for word in wanted}) == (1, wanted), found
    names.write_text("\n".join(expected), "utf-8")
    repaired = run("mirror", "repair", "--names", names, "--config", config, "--json")
    assert (repaired.code, repaired.report["copied"]) == (0, 2), repaired
    assert content(official.root) == expected
    shutil.rmtree(tmp_path / "disk")
    (tmp_path / "disk").mkdir()
    restored = run("mirror", "repair", "--names", names, "--config", config, "--json")
    assert (restored.code, restored.report["restored"]) == (0, 2), restored
    assert content(tmp_path / "disk") == expected
    # Others may be there, which nobody has named: what the copy has is never known, and no command would change that.
    state = run("status", "--config", config, "--json").report["mirrors"]["main"]
    assert (state["copies"]["old"]["compared"], state["warnings"]) == (None, [])


@pytest.mark.slow
def test_an_asset_server_is_a_primary_whose_names_come_from_elsewhere(tmp_path: Path, official: BottledServer) -> None:
    stores = {
        "main": {"plugin": "mirror", "primary": "old", "copies": ["nas"], "journal": tmp_path / "journal"},
        "old": {"plugin": "asset-server", "url": official.url, "key": KEY},
        "nas": nas(tmp_path, "nas"),
    }
    config = write_config(tmp_path, stores, collections={"store": "main"})
    (official.root / "originals").mkdir(parents=True)
    expected = fill(official.root, 2)
    for command in (["mirror", "verify"], ["copy", "--from", "main", "--to", "nas"]):
        refused = run(*command, "--config", config)
        assert refused.code == 2, refused
        assert "cannot list what it has" in refused.err
    names = tmp_path / "names.txt"
    names.write_text("\n".join([*expected, "nowhere.jpg"]), "utf-8")
    repaired = run("mirror", "repair", "--names", names, "--config", config, "--json")
    assert (repaired.code, repaired.report["copied"], repaired.report["missing"]) == (1, 2, 1), repaired
    assert content(tmp_path / "nas") == expected


def test_a_list_without_names_is_refused(tmp_path: Path, official: BottledServer) -> None:
    config = with_copies(tmp_path, old={"plugin": "asset-server", "url": official.url, "key": KEY})
    names = tmp_path / "names.txt"
    names.write_text("\n  \n", "utf-8")
    ran = run("mirror", "repair", "--names", names, "--config", config)
    assert ran.code == 1
    assert f"Error: {names} has no names\n" in ran.err


@pytest.mark.slow
def test_a_journal_that_two_daemons_use_with_other_settings_is_warned_of(tmp_path: Path) -> None:
    config = mirror_config(tmp_path)
    stores = {
        "main": {"plugin": "mirror", "primary": "disk", "copies": ["other"], "journal": tmp_path / "journal"},
        "disk": {"plugin": "filesystem", "path": tmp_path / "disk"},
        "other": {"plugin": "filesystem", "path": tmp_path / "other"},
    }
    daemon = Daemon(tmp_path / "daemon", {"stores": stores, "collections": {"store": "main"}})
    daemon.start()
    try:
        expected = (
            "another process uses the same journal with other settings: "
            f"files in {tmp_path}/disk, with copies in other (files in {tmp_path}/other)"
        )
        assert eventually(lambda: expected in run("status", "--config", config).out, "for the daemon")
        assert expected in run("mirror", "verify", "--config", config).err
        assert "same journal" not in run("status", "--config", daemon.config_file).out
    finally:
        daemon.stop()
