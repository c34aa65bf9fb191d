"""The guide to preservation: its policies are valid, and its backup brings everything back."""

import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import pytest_twisted

from tests.support.cli import run
from tests.support.client import Client
from tests.support.daemon import BIN, KEY, Daemon, clean_environment, to_toml
from tests.support.paths import ROOT
from was_daemon.config.load import load

GUIDE = (ROOT / "docs" / "preservation.md").read_text("utf-8")
POLICIES = re.findall(r"```toml\n# (A \w+ museum)\.\n(.*?)```", GUIDE, re.DOTALL)
TRIED = re.findall(r"<!-- tried: tests/docs/test_preservation\.py .*?```sh\n(.*?)```", GUIDE, re.DOTALL)
DIRECTORIES = ("/etc/was-daemon", "/srv/attachments", "/var/lib/was-daemon", "/mnt/backup")


@pytest.mark.parametrize(("museum", "policy"), POLICIES, ids=[museum for museum, _ in POLICIES])
def test_a_policy_is_a_valid_configuration(tmp_path: Path, museum: str, policy: str) -> None:
    password = tmp_path / "etc/was-daemon/database-password"
    password.parent.mkdir(parents=True)
    password.write_text("secret\n")
    password.chmod(0o600)
    stores = to_toml({"stores.main": {"plugin": "filesystem", "path": tmp_path / "store"}})
    key = f'key = "{KEY}"\n'
    server = policy.replace("[server]\n", f"[server]\n{key}") if "[server]" in policy else f"[server]\n{key}{policy}"
    (tmp_path / "was.toml").write_text(here(server, tmp_path) + stores, "utf-8")
    (tmp_path / "was.toml").chmod(0o600)
    settings = load(tmp_path / "was.toml", {})
    assert settings.catalogue.is_on
    assert settings.fixity.every
    assert not settings.warnings


def test_there_are_policies_and_steps() -> None:
    assert len(POLICIES) == len(TRIED) == 2


def here(text: str, root: Path) -> str:
    """A text whose directories are below `root`."""
    for directory in DIRECTORIES:
        text = re.sub(rf"(?<![\w/]){directory}", f"{root}{directory}", text)
    return text


def do(commands: str, root: Path) -> None:
    """Run the commands with their directories below `root`, and the program that is under test."""
    words = here(commands.replace("/opt/was-daemon/bin/", f"{BIN}/"), root)
    command = ["bash", "-e", "-u", "-c", words]
    done = subprocess.run(command, cwd=root, env=clean_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def history(database: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT source, at, kind, name, sha256 FROM history ORDER BY id").fetchall()


@pytest.mark.skipif(not shutil.which("rsync"), reason="rsync is not installed")
@pytest_twisted.ensureDeferred
async def test_what_is_backed_up_and_destroyed_comes_back_with_its_history(tmp_path: Path) -> None:
    etc, srv, state, backup = (tmp_path / directory[1:] for directory in DIRECTORIES)
    for directory in (etc, srv, state, backup):
        directory.mkdir(parents=True)
    config = {
        "stores": {"main": {"plugin": "filesystem", "path": srv}},
        "catalogue": {"path": state / "catalogue.sqlite"},
        "server": {"key": None, "key_file": etc / "key"},
    }
    (etc / "key").write_text(KEY, "utf-8")
    (etc / "key").chmod(0o600)
    daemon = Daemon(tmp_path / "daemon", config)
    daemon.config_file = Path(shutil.move(daemon.config_file, etc / "was.toml"))
    daemon.start()
    client = Client(daemon.url, KEY)
    try:
        await client.store("kept.bin", b"kept")
        await client.store("replaced.bin", b"old")
        await client.store("replaced.bin", b"new")
        await client.store("deleted.bin", b"deleted")
        await client.delete("deleted.bin")
        do(TRIED[0], tmp_path)
        before = history(backup / "catalogue.sqlite")
        assert [kind for _, _, kind, *_ in before] == ["stored", "stored", "replaced", "stored", "deleted"]
        assert (backup / "catalogue.sqlite").stat().st_mode & 0o777 == 0o600
        await client.store("late.bin", b"after the backup")
    finally:
        daemon.stop()

    for directory in (etc, srv, state):
        shutil.rmtree(directory)
    state.mkdir()
    do(TRIED[1], tmp_path)
    verified = run("verify", "--store", "main", "--config", etc / "was.toml", "--json")
    assert (verified.code, verified.report["ok"], verified.report["files"]) == (0, 2, [])
    assert history(state / "catalogue.sqlite") == before
    daemon.start()
    try:
        assert (await client.original("replaced.bin")).body == b"new"
        assert (await client.original("late.bin")).status == 404
        await client.store("next.bin", b"next")
    finally:
        daemon.stop()
