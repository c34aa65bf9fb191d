"""Configurations and plugins that others than root and the daemon may change."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import storage_plugins
from tests.support.cli import write_config
from tests.support.daemon import KEY, to_toml
from tests.support.examined import found_by, only
from was_daemon.doctor import configuration, paths
from was_daemon.doctor.findings import State

STRANGERS = 5

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(autouse=True)
def _plugins_of_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_plugins, "__path__", list(storage_plugins.__path__))
    monkeypatch.delitem(sys.modules, "storage_plugins.papyrus", raising=False)


def config_of(place: Path) -> Path:
    """A configuration without secrets, in a directory of its own, with a plugin beside it."""
    for name in ("store", "etc", "plugins", "plugins/storage_plugins"):
        (place / name).mkdir()
    (place / "plugins/storage_plugins/papyrus.py").write_text("")
    (place / "etc/key").write_text(KEY)
    (place / "etc/key").chmod(0o600)
    stores = {"plugin": "filesystem", "path": place / "store"}
    server, config = {"key_file": place / "etc/key", "listen": ["tcp:0:interface=127.0.0.1"]}, place / "etc/was.toml"
    sections = {"server": server, "plugins": {"path": [place / "plugins"]}, "stores.main": stores}
    config.write_text(to_toml(sections))
    config.chmod(0o644)
    return config


def test_a_configuration_that_everybody_may_read_is_well(tmp_path: Path) -> None:
    found = found_by(configuration.look, config_of(tmp_path))
    assert [each.state for each in found] == [State.OK], found


@pytest.mark.parametrize(
    "path", ["etc/was.toml", "etc", "plugins", "plugins/storage_plugins", "plugins/storage_plugins/papyrus.py", "."]
)
def test_what_everybody_may_change_is_told_and_mended(tmp_path: Path, path: str) -> None:
    config, place = config_of(tmp_path), tmp_path / path
    place.chmod(0o777 if place.is_dir() else 0o666)
    found = [each for each in found_by(configuration.look, config) if each.state is not State.OK]
    assert found
    for finding in found:
        assert finding.state is State.FAILED
        assert finding.message.startswith(f"{place} can be changed by others, ")
        assert finding.remedy == f"chmod go-w {place}"
        subprocess.run(["sh", "-ec", str(finding.remedy)], check=True)
    assert [each.state for each in found_by(configuration.look, config)] == [State.OK]


@as_root
@pytest.mark.parametrize("path", ["etc/was.toml", "etc", "plugins/storage_plugins"])
def test_a_group_of_strangers_is_told_and_the_daemons_own_is_not(tmp_path: Path, path: str) -> None:
    config, place = config_of(tmp_path), tmp_path / path
    place.chmod(0o775 if place.is_dir() else 0o664)
    assert only(found_by(configuration.look, config), State.OK)
    os.chown(place, 0, STRANGERS)
    assert only(found_by(configuration.look, config)).remedy == f"chmod go-w {place}"


def test_in_a_directory_where_all_may_make_files_only_those_there_are_safe(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    (tmp_path / "etc").chmod(0o1777)
    assert only(found_by(configuration.look, config), State.OK)
    (tmp_path / "plugins/storage_plugins").chmod(0o1777)
    assert only(found_by(configuration.look, config)).remedy == f"chmod go-w {tmp_path}/plugins/storage_plugins"


@as_root
@pytest.mark.parametrize("missing", ["plugins", "plugins/storage_plugins"])
def test_a_missing_directory_of_plugins_is_made_as_roots_by_the_command_that_is_told(
    tmp_path: Path, missing: str
) -> None:
    config = config_of(tmp_path)
    shutil.rmtree(tmp_path / missing)
    remedy = only(found_by(configuration.look, config)).remedy
    told = {each.remedy for each in found_by(paths.look, config) if each.state is State.FAILED}
    assert told == ({remedy} if missing == "plugins" else set())
    assert remedy == f"install -d -o root -g root -m 755 {tmp_path}/plugins/storage_plugins"
    subprocess.run(["sh", "-ec", str(remedy)], check=True)
    assert only(found_by(configuration.look, config), State.OK)


def test_a_configuration_with_a_key_in_it_is_told_once_with_its_command(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path}})
    config.chmod(0o666)
    finding = only(found_by(configuration.look, config))
    assert finding.message.startswith("server.key: ")
    assert finding.remedy == f"chmod go-w {config}"
