"""Keys that are easy to guess: a mistake in `config check`, and a warning of a daemon that runs with one."""

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import pytest_twisted
from click.testing import CliRunner, Result

from tests.conftest import RunDaemon
from tests.daemon.test_reload import reload
from tests.support.cli import run
from tests.support.client import Client
from tests.support.daemon import Daemon, to_toml
from tests.support.paths import ROOT
from tests.support.ports import free_port
from was_daemon.cli.main import main
from was_daemon.config.load import ConfigError, load
from was_daemon.config.weak_keys import GOOD_KEY_COMMAND, weakness

SHORT = "Gu3ss!t"
GOOD = "correct horse battery staple"
MAIN = {"plugin": "filesystem", "path": "/srv/attachments"}


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("k", "fewer than 8 characters"),
        (SHORT, "fewer than 8 characters"),
        ("schlüss", "fewer than 8 characters"),
        (f"  {SHORT}\t\n", "fewer than 8 characters"),
        ("a b c d e", "fewer than 8 characters"),
        (" ", "white space"),
        ("\t \u00a0\n" * 20, "white space"),
        ("test_attachment_key", "public documentation"),
        (" Test-Attachment-Key ", "public documentation"),
        ("your asset server access key", "public documentation"),
        ("your_asset_server_access_key", "public documentation"),
        ("<your_asset_server_access_key>", "public documentation"),
        ("the key that Specify knows", "public documentation"),
    ],
)
def test_a_key_that_is_easy_to_guess_is_weak(key: str, reason: str) -> None:
    assert reason in str(weakness(key))


@pytest.mark.parametrize("key", [GOOD, "8 letters", "schlüssel", "test_attachment_key2", "0" * 8, "€" * 8])
def test_other_keys_are_not(key: str) -> None:
    assert weakness(key) is None


def test_the_advised_command_prints_a_good_key() -> None:
    printed = subprocess.run(GOOD_KEY_COMMAND, shell=True, check=True, capture_output=True, text=True).stdout
    assert weakness(printed) is None
    assert len(printed.split()) == 1


@pytest.mark.parametrize("guide", ["install.md", "migrate.md", "hosting.md", "configuration.md", "commands.md"])
def test_the_example_keys_of_our_guides_are_weak(guide: str) -> None:
    text = (ROOT / "docs" / guide).read_text("utf-8")
    for line in text.splitlines():
        if "ATTACHMENT_KEY='" in line:
            assert weakness(line.partition("ATTACHMENT_KEY='")[2].partition("'")[0])


# -- config check ------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ATTACHMENT_KEY", "SERVER_NAME", "SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def fish(**key: str) -> dict[str, dict[str, object]]:
    collections = {"mode": "map", "map": {"Fish": {"directory": "Fish", **key}}}
    return {"server": {"key": GOOD}, "collections": collections}


WAYS: dict[str, tuple[dict[str, dict[str, object]], str]] = {
    "key": ({"server": {"key": SHORT}}, "server.key: the key"),
    "key_file": ({"server": {"key_file": "key"}}, "server.key_file: the key"),
    "credential": ({"server": {"key_file": "$CREDENTIALS_DIRECTORY/key"}}, "server.key_file: the key"),
    "variable": ({}, "server.key: the one in $ATTACHMENT_KEY"),
    "collection": (fish(key=SHORT), "collections.map.Fish.key: the key"),
    "collection_file": (fish(key_file="key"), "collections.map.Fish.key_file: the key"),
}
"""Where a key comes from, and what is said of one that is weak."""


def written(way: str, path: Path, monkeypatch: pytest.MonkeyPatch, key: str = SHORT) -> tuple[Path, str]:
    """A configuration that has the key in that way; returns what has to be said of it, too."""
    document, told = WAYS[way]
    (path / "key").write_text(f"{key}\n")
    (path / "key").chmod(0o600)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path))
    if way == "variable":
        monkeypatch.setenv("ATTACHMENT_KEY", key)
    config = path / "was.toml"
    config.touch(0o600)
    config.write_text(to_toml({**document, "stores.main": MAIN}).replace(SHORT, key))
    return config, told


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["config", "check", *map(str, arguments)])


@pytest.mark.parametrize("way", WAYS)
def test_a_weak_key_is_a_mistake_wherever_it_comes_from(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, told = written(way, tmp_path, monkeypatch)
    answer = check("--config", config)
    assert (answer.exit_code, answer.stdout) == (1, "")
    (line,) = answer.stderr.splitlines()
    assert line.startswith(f"{told} has fewer than 8 characters")
    assert GOOD_KEY_COMMAND in line
    assert SHORT not in line
    assert json.loads(check("--config", config, "--json").stdout) == {"mistakes": [line]}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", ["test_attachment_key", GOOD])
def test_so_is_a_key_that_everybody_knows_and_no_other(
    way: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, told = written(way, tmp_path, monkeypatch, key)
    answer = check("--config", config)
    assert (answer.exit_code, told in answer.output) == ((0, False) if key == GOOD else (1, True))
    assert key not in answer.output


def test_white_space_is_a_mistake_and_in_a_file_no_key_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for way in ("key", "variable", "collection"):
        config, told = written(way, tmp_path, monkeypatch, "  ")
        assert f"{told} is nothing but white space" in check("--config", config).stderr
        load(config, {"ATTACHMENT_KEY": "  "})
        monkeypatch.delenv("ATTACHMENT_KEY", raising=False)
    config, _ = written("key_file", tmp_path, monkeypatch, "  ")
    assert f"server.key_file: {tmp_path}/key: is empty" in check("--config", config).stderr
    with pytest.raises(ConfigError, match="is empty"):
        load(config, {})


def test_a_weak_key_is_told_together_with_other_mistakes(tmp_path: Path) -> None:
    config = tmp_path / "was.toml"
    for section, wrong in (({"max_upload": "much"}, MAIN), ({}, {**MAIN, "redirect": True})):
        config.write_text(to_toml({"server": {"key": SHORT, **section}, "stores.main": wrong}))
        other, weak = check("--config", config).stderr.splitlines()
        assert other.startswith("server.max_upload: " if section else "stores.main.redirect")
        assert weak.startswith("server.key: the key has")


def test_the_key_of_a_daemon_without_a_configuration_is_looked_at_too(tmp_path: Path) -> None:
    assert check().exit_code == 0
    (tmp_path / "attachments").mkdir()
    (tmp_path / "attachments" / ".key").write_text(SHORT)
    assert "server.key_file: the key has fewer" in check().stderr


def test_init_uses_the_weak_key_that_specify_has_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text(SHORT)
    answer = CliRunner().invoke(main, ["init", "--yes", "--path", str(tmp_path / "store")])
    assert answer.exit_code == 0
    assert "WARNING: server.key_file: the key has fewer than 8 characters" in answer.stderr
    assert SHORT not in answer.output


# -- a daemon that has one ---------------------------------------------------------------------------------------------


def fetch(url: str) -> str:
    with urlopen(url) as answer:
        text: str = answer.read().decode()
        return text


def health(port: int) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(fetch(f"http://127.0.0.1:{port}/healthz"))
    return document


def start(run_daemon: RunDaemon, key: str, **server: object) -> tuple[Daemon, int]:
    """A daemon with this key, and the port of its endpoint for monitoring."""
    admin = free_port()
    return run_daemon({"server": {"key": key, "admin_listen": [f"tcp:{admin}:interface=127.0.0.1"], **server}}), admin


@pytest_twisted.ensureDeferred
async def test_a_daemon_with_a_weak_key_serves_and_says_so_to_its_administrators(run_daemon: RunDaemon) -> None:
    daemon, admin = start(run_daemon, SHORT)
    client = Client(daemon.url, SHORT)
    await client.store("a.txt", b"as ever")
    assert (await client.original("a.txt")).body == b"as ever"

    (warning,) = health(admin)["warnings"]
    assert warning.startswith("server.key: the key has fewer than 8 characters")
    assert GOOD_KEY_COMMAND in warning
    assert health(admin)["status"] == "ok"

    ran = run("status", "--config", daemon.config_file)
    assert ran.code == 0
    assert ran.out.splitlines().count(f"WARNING {warning}") == 1
    assert warning in run("status", "--config", daemon.config_file, "--json").report["warnings"]

    assert daemon.log().count(warning) == 1
    assert "key" not in fetch(daemon.url).lower()
    for told in (daemon.log(), ran.out, ran.err, json.dumps(health(admin))):
        assert SHORT not in told


def test_no_path_is_in_what_monitoring_is_told(run_daemon: RunDaemon, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text(SHORT)
    admin = free_port()
    server = {"key": None, "key_file": key, "admin_listen": [f"tcp:{admin}:interface=127.0.0.1"]}
    run_daemon({"server": server})
    (warning,) = health(admin)["warnings"]
    assert warning.startswith("server.key_file: the key has")
    assert str(tmp_path) not in warning


def test_the_warning_follows_the_configuration(run_daemon: RunDaemon) -> None:
    daemon, admin = start(run_daemon, GOOD)
    server = {"admin_listen": [f"tcp:{admin}:interface=127.0.0.1"]}
    assert health(admin)["warnings"] == []
    for key, token_window, weak in ((SHORT, 150, 1), (SHORT, 151, 1), (GOOD, 150, 0)):
        reload(daemon, {"server": {**server, "key": key, "token_window": token_window}})
        assert len(health(admin)["warnings"]) == weak
    assert daemon.log().count("server.key: the key has fewer") == 1


def test_status_tells_of_the_key_that_the_daemon_has_until_it_is_reloaded(run_daemon: RunDaemon) -> None:
    daemon, admin = start(run_daemon, SHORT)
    daemon.write_config({"server": {"key": GOOD, "admin_listen": [f"tcp:{admin}:interface=127.0.0.1"]}})
    assert "WARNING server.key: the key has fewer" in run("status", "--config", daemon.config_file).out


# -- messages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["a", "e", "xp", " ", "size", "got", "much"])
def test_a_short_key_does_not_garble_what_is_said_of_other_settings(tmp_path: Path, key: str) -> None:
    config = tmp_path / "was.toml"
    lines = []
    for each in (GOOD, key):
        config.write_text(to_toml({"server": {"key": each, "max_upload": "a lot", "port": 1}, "stores.main": MAIN}))
        with pytest.raises(ConfigError) as caught:
            load(config, {})
        lines.append(caught.value.mistakes)
    assert lines[0] == lines[1]


def test_a_short_secret_that_a_message_repeats_is_hidden(tmp_path: Path) -> None:
    config = tmp_path / "was.toml"
    config.write_text(to_toml({"server": {"key": SHORT, "max_upload": SHORT}, "stores.main": MAIN}))
    with pytest.raises(ConfigError) as caught:
        load(config, {})
    assert caught.value.mistakes == ['server.max_upload: expected a size such as "4 GiB", got "..."']
