"""`was-daemon console-password`: a new password for the console, whose file the daemon can read."""

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.cli import write_config
from was_daemon.cli.main import main
from was_daemon.config.new_files import replace_shared
from was_daemon.model.passwords import is_password


@pytest.fixture
def config(tmp_path: Path) -> Path:
    stores = {"main": {"plugin": "filesystem", "path": tmp_path / "store"}}
    return write_config(tmp_path, stores, admin={"password_file": tmp_path / "console-password"})


def console_password(config: Path, *arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, ["console-password", "--config", str(config), *arguments], input=given)


def test_it_prints_a_password_and_keeps_its_hash(config: Path) -> None:
    finished = console_password(config)
    assert finished.exit_code == 0, finished.output
    file = config.with_name("console-password")
    assert is_password(finished.stdout.strip(), file.read_text().strip())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert finished.stdout.strip() not in file.read_text()


def test_a_new_password_takes_the_place_of_the_old_one_with_its_permissions(config: Path) -> None:
    first = console_password(config).stdout.strip()
    file = config.with_name("console-password")
    file.chmod(0o640)
    second = console_password(config).stdout.strip()
    assert not is_password(first, file.read_text().strip())
    assert is_password(second, file.read_text().strip())
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(path.name for path in config.parent.iterdir() if "password" in path.name) == ["console-password"]


def test_a_password_of_ones_own_is_taken_and_not_shown(config: Path) -> None:
    finished = console_password(config, "--stdin", given="correct horse battery\n")
    assert (finished.exit_code, finished.stdout) == (0, "")
    assert is_password("correct horse battery", config.with_name("console-password").read_text().strip())


def test_a_short_password_is_refused_and_changes_nothing(config: Path) -> None:
    finished = console_password(config, "--stdin", given="short\n")
    assert finished.exit_code == 1
    assert "12 characters" in finished.stderr
    assert not config.with_name("console-password").exists()


def test_without_a_setting_for_its_file_it_says_which(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path / "store"}})
    finished = console_password(config)
    assert finished.exit_code == 1
    assert "add password_file = " in finished.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_in_a_directory_of_root_the_daemons_group_may_read_the_file(tmp_path: Path) -> None:
    replace_shared(tmp_path / "new", "hash\n", 12345)
    status = (tmp_path / "new").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (0, 12345, 0o640)
    os.chown(tmp_path, 23456, 23456)
    replace_shared(tmp_path / "other", "hash\n", 12345)
    status = (tmp_path / "other").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (23456, 23456, 0o600)
