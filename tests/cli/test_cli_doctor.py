"""`was-daemon doctor`: all checks together, as an operator meets them."""

import os
import tempfile
from pathlib import Path

import click
import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.support.cli import Ran, run, write_config
from tests.support.client import Client
from tests.support.daemon import KEY, to_toml
from tests.support.images import jpeg
from tests.support.ports import free_port
from was_daemon.cli.doctor import _address
from was_daemon.config.load import ConfigSource
from was_daemon.daemon.examination import findings_of
from was_daemon.doctor.examination import CHECKS
from was_daemon.doctor.findings import State

NOBODY = 65534


def states(ran: Ran, check: str) -> list[str]:
    return [each["state"] for each in ran.report["findings"] if each["check"] == check]


def snapshot(directory: Path) -> dict[str, tuple[int, int, int, int]]:
    """Everything in a directory, with what changes when it is touched."""
    found = {}
    for path in directory.rglob("*"):
        status = path.lstat()
        found[str(path)] = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_uid)
    return found


@pytest_twisted.ensureDeferred
async def test_a_daemon_that_is_well_is_found_well_and_left_as_it_is(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    await Client(daemon.url, KEY).store("felis.jpg", jpeg())
    before = snapshot(daemon.store)
    ran = run("doctor", "--config", daemon.config_file, "--json")
    assert ran.code == 0, ran
    assert ran.report["ok"]
    assert list(dict.fromkeys(each["check"] for each in ran.report["findings"])) == [each.name for each in CHECKS]
    assert set(ran.report["findings"][0]) == {"check", "state", "message", "remedy"}
    assert "failed" not in states(ran, "configuration")
    for check in ("paths", "ports", "daemon", "stores", "key"):
        assert states(ran, check) == ["ok"], ran.report
    assert snapshot(daemon.store) == before
    assert KEY not in ran.out


def test_a_stopped_daemon_without_its_directory_is_told_with_what_mends_it(tmp_path: Path) -> None:
    port = free_port()
    store = tmp_path / "gone"
    config = write_config(
        tmp_path,
        {"main": {"plugin": "filesystem", "path": store}},
        server={"listen": [f"tcp:{port}:interface=127.0.0.1"], "key": "too weak"[:5]},
    )
    ran = run("doctor", "--config", config)
    assert ran.code == 1, ran
    lines = ran.out.splitlines()
    assert f"FAILED  daemon: http://127.0.0.1:{port}: no answer: [Errno 111] Connection refused" in lines
    assert f"        was-daemon serve --config {config}" in lines
    assert f"FAILED  paths: {store} does not exist (stores.main)" in lines
    assert any(line.startswith("FAILED  key: server.key: the key has fewer than 8 characters") for line in lines)
    assert any(line.startswith("FAILED  stores: store main") for line in lines)
    assert lines[-1].split(",")[0] == f"{sum(line.startswith('FAILED') for line in lines)} failed"
    assert "too w" not in ran.out
    assert not store.exists()


def test_a_broken_configuration_is_one_finding_and_the_other_checks_go_on(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path}})
    config.write_text(config.read_text().replace("[server]", "[server"))
    ran = run("doctor", "--config", config, "--json")
    assert ran.code == 1, ran
    failed = [each for each in ran.report["findings"] if each["state"] == "failed"]
    assert [each["check"] for each in failed] == ["configuration"]
    assert failed[0]["message"].startswith(f"{config}: ")
    assert states(ran, "stores") == ["ok"]
    assert states(ran, "daemon") == states(ran, "ports") == ["skipped"]
    for check in ("kernel", "limits", "versions", "clock"):
        assert states(ran, check) != ["skipped"]


@pytest.mark.slow
def test_what_is_right_in_a_configuration_with_mistakes_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    stores = {
        "main": {"plugin": "filesystem", "path": tmp_path / "store"},
        "wrong": {"plugin": "filesystem", "path": 5},
        "both": {"plugin": "mirror", "primary": "main", "copies": ["wrong"], "journal": tmp_path},
        "strange": {"plugin": "cuneiform"},
    }
    config = write_config(tmp_path, stores, collections={"store": "nowhere"}, server={"public_url": "ftp://a"})
    ran = run("doctor", "--config", config, "--json")
    assert ran.code == 1, ran
    mistakes = [each["message"] for each in ran.report["findings"] if each["check"] == "configuration"]
    for key in ("stores.wrong.path", "stores.strange.plugin", "collections.store", "server.public_url"):
        assert any(mistake.startswith(f"{key}: ") for mistake in mistakes), mistakes
    assert states(ran, "stores") == ["ok"]
    assert states(ran, "address") == ["skipped"]


@pytest.mark.slow
def test_without_any_configuration_it_says_how_one_is_made(tmp_path: Path) -> None:
    ran = run("doctor", "--config", tmp_path / "nowhere.toml", "--json")
    assert ran.code == 1, ran
    first = ran.report["findings"][0]
    assert (first["check"], first["state"]) == ("configuration", "failed")
    assert "no such file" in first["message"]


@pytest_twisted.ensureDeferred
async def test_a_running_daemon_makes_the_checks_itself(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path / "store"}})
    found = await findings_of(ConfigSource(config, {}))
    assert {each.check for each in found} == {each.name for each in CHECKS}
    assert [each.state for each in found if each.check == "stores"] == [State.OK]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_looks_as_the_owner_of_the_store_and_sees_what_that_user_may_not() -> None:
    with tempfile.TemporaryDirectory(prefix="was-test-") as directory:
        place = Path(directory)
        place.chmod(0o755)
        (place / "store").mkdir()
        os.chown(place / "store", NOBODY, NOBODY)
        (place / "key").write_text(KEY)
        (place / "key").chmod(0o600)
        config = place / "was.toml"
        store = {"plugin": "filesystem", "path": place / "store"}
        config.write_text(to_toml({"server": {"key_file": place / "key"}, "stores.main": store}))
        ran = run("doctor", "--config", config, "--json")
        paths = [each for each in ran.report["findings"] if each["check"] == "paths"]
        assert [each["message"] for each in paths] == [f"nobody may not read {place}/key (server.key_file)"]
        assert paths[0]["remedy"] == f"chgrp nogroup {place}/key && chmod g+r {place}/key"
        assert states(ran, "key") == ["ok"]
        assert {path.stat().st_uid for path in place.iterdir()} == {0, NOBODY}


def test_specify_is_asked_at_the_address_of_its_server() -> None:
    assert _address("https://specify.example.org/specify/view/") == "https://specify.example.org"
    assert _address("http://a:8080/web_asset_store.xml") == "http://a:8080/web_asset_store.xml"
    for wrong in ("specify.example.org", "ftp://a", "https://"):
        with pytest.raises(click.BadParameter, match="expected an address"):
            _address(wrong)
