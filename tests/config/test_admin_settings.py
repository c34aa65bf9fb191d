"""The section `[admin]`: mistakes in it, and what it is warned of."""

from pathlib import Path

import pytest

from tests.support.console import hashed
from tests.support.tls import self_signed
from was_daemon.config.load import ConfigError, load
from was_daemon.daemon.warnings import warnings

BASE = """
[server]
key = "a key that is long enough"
public_url = "http://localhost:8080"
admin_listen = {listen}
[stores.main]
plugin = "filesystem"
path = "store"
[admin]
"""
LOCAL = '["tcp:9180:interface=127.0.0.1"]'


def write(directory: Path, admin: str, listen: str = LOCAL) -> Path:
    path = directory / "was.toml"
    path.write_text(BASE.format(listen=listen) + admin)
    path.chmod(0o600)
    return path


def told(directory: Path, listen: str = LOCAL, content: str | None = None, mode: int = 0o600) -> list[str]:
    """The warnings about the console when its password file has this content."""
    file = directory / "console-password"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)
    settings = load(write(directory, f'password_file = "{file}"', listen), {})
    return [each for each in warnings(settings) if not each.startswith("This machine lacks ")]


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("password_file = 5", "admin.password_file: expected a text, got 5"),
        ('session = "1 s"', "admin.session: must be at least 60, got 1.0"),
        ('public_url = "console.example.org"', "admin.public_url: expected the address of a server"),
        ('password = "secret"', "admin.password: "),
    ],
)
def test_a_mistake_is_told_with_its_setting(tmp_path: Path, line: str, mistake: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, line), {})
    assert str(caught.value).startswith(mistake)


def test_a_password_that_can_be_used_is_warned_of_by_nobody(tmp_path: Path) -> None:
    assert told(tmp_path, content=hashed(), mode=0o640) == []


@pytest.mark.parametrize("content", [None, "", "a password in clear", hashed()[:-1]])
def test_a_file_without_a_hashed_password_is_warned_of_and_not_shown(tmp_path: Path, content: str | None) -> None:
    (warning,) = told(tmp_path, content=content)
    assert warning.startswith("Nobody can log in to the console: ")
    assert not content or content not in warning


def test_a_file_that_cannot_be_read_is_told_apart_from_one_without_a_password(tmp_path: Path) -> None:
    # As root may read every file, a directory is in its place.
    (tmp_path / "console-password").mkdir()
    (warning,) = told(tmp_path)
    assert warning.startswith("Nobody can log in to the console: ")
    assert "console-password cannot be read by the daemon (Is a directory); was-daemon doctor, as root, " in warning


@pytest.mark.parametrize(
    ("listen", "is_warned_of"),
    [('["tcp:9180"]', True), ('["unix:/run/was"]', False), ('["ssl:9180:privateKey={0}:certKey={0}"]', False)],
)
def test_a_password_that_would_go_unencrypted_is_warned_of(tmp_path: Path, listen: str, is_warned_of: bool) -> None:
    found = told(tmp_path, listen=listen.format(self_signed(tmp_path)), content=hashed())
    unencrypted = [each for each in found if each.startswith("The console's password goes unencrypted to tcp:9180")]
    assert unencrypted == found and bool(found) is is_warned_of


def test_a_password_without_a_console_is_warned_of(tmp_path: Path) -> None:
    (warning,) = told(tmp_path, listen="[]", content=hashed())
    assert warning == "admin.password_file is used only with server.admin_listen, where the console is"


def test_the_history_is_in_the_state_directory_of_a_service_or_else_in_the_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    settings = load(write(tmp_path, ""), {})
    assert settings.console_directory == settings.spool.path / "console"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/was-daemon:/var/lib/other")
    assert load(write(tmp_path, ""), {}).console_directory == Path("/var/lib/was-daemon/console")
    assert load(write(tmp_path, 'history = "here"'), {}).console_directory == tmp_path / "here"
