"""The guides for installing and migrating: what they tell an administrator to type does what they say."""

import os
import re
import subprocess
from pathlib import Path

import pytest_twisted

from tests.support.client import Client
from tests.support.daemon import BIN, KEY, Daemon, clean_environment
from tests.support.http_contract import BLUE, RED, plain_picture, shows
from tests.support.paths import ROOT

_SETTINGS = """
KEY = {key!r}
HOST = "localhost"
PORT = {port}
SERVER_NAME, SERVER_PORT = HOST, PORT
BASE_DIR = {base!r}
THUMB_DIR, ORIG_DIR = "thumbnails", "originals"
COLLECTION_DIRS = {{"KUFishvoucher": "Ichthyology", "KUHerbarium": "Botany"}}
REQUIRE_KEY_FOR_GET = False
"""


def tried_blocks(guide: str) -> list[str]:
    """The blocks of commands that the guide says are tried."""
    text = (ROOT / "docs" / guide).read_text("utf-8")
    return re.findall(r"<!-- tried: tests/docs/test_guides\.py .*?```sh\n(.*?)```", text, re.DOTALL)


def run(commands: str, root: Path, credentials: Path | None = None) -> str:
    """Run the commands with their directories below `root`, and the program that is under test."""
    here = commands.replace("/opt/was-daemon/bin/", f"{BIN}/")
    for directory in ("/etc/was-daemon", "/srv/attachments", "/home/specify"):
        here = re.sub(rf"(?<![\w/]){directory}", f"{root}{directory}", here)
    finished = subprocess.run(
        ["bash", "-e", "-u", "-c", here], cwd=root, env=clean_environment(), capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest_twisted.ensureDeferred
async def test_the_configuration_of_the_installation_guide_serves(tmp_path: Path) -> None:
    (commands,) = tried_blocks("install.md")
    printed = run(commands, tmp_path)
    etc = tmp_path / "etc" / "was-daemon"
    assert "ASSET_SERVER_URL=https://assets.example.org/web_asset_store.xml" in printed
    assert (etc / "key").stat().st_mode & 0o777 == 0o600
    assert (etc / "was.toml").read_text().count('key_file = "$CREDENTIALS_DIRECTORY/key"') == 1

    daemon = Daemon(tmp_path / "daemon", environ={"CREDENTIALS_DIRECTORY": str(etc)})
    text = (etc / "was.toml").read_text().replace('"tcp:8080:', f'"tcp:{daemon.port}:')
    daemon.config_file.write_text(text)
    daemon.start()
    try:
        client = Client(daemon.url, (etc / "key").read_text().strip())
        await client.store("a.jpg", plain_picture(RED))
        assert shows(await client.thumbnail("a.jpg", 50), RED)
        assert (tmp_path / "srv" / "attachments" / "originals" / "a.jpg").exists()
    finally:
        daemon.stop()


@pytest_twisted.ensureDeferred
async def test_the_way_from_the_official_server_and_back(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "daemon")
    specify = tmp_path / "home" / "specify"
    base = specify / "attachments"
    for directory in ("Ichthyology", "Botany"):
        for kind in ("originals", "thumbnails"):
            (base / directory / kind).mkdir(parents=True)
    fish = base / "Ichthyology"
    (fish / "originals" / "sp61.att.jpg").write_bytes(plain_picture(RED))
    (fish / "thumbnails" / "sp61.att_50.jpg").write_bytes(plain_picture(BLUE, (50, 33)))
    (fish / "originals" / "replaced.jpg").write_bytes(plain_picture(RED))
    stale = fish / "thumbnails" / "replaced_50.jpg"
    stale.write_bytes(plain_picture(BLUE, (50, 33)))
    os.utime(stale, (1, 1))
    (fish / "thumbnails" / "deleted_50.jpg").write_bytes(plain_picture(BLUE))
    before = {path: path.read_bytes() for path in fish.rglob("*") if path.is_file() and path != stale}
    (specify / "web-asset-server").mkdir()
    settings = _SETTINGS.format(key=KEY, port=daemon.port, base=str(base))
    (specify / "web-asset-server" / "settings.py").write_text(settings, "utf-8")

    there, back = tried_blocks("migrate.md")
    run(there, tmp_path)
    daemon.config_file = tmp_path / "etc" / "was-daemon" / "was.toml"
    daemon.start()
    try:
        client = Client(daemon.url, KEY)
        assert (await client.original("sp61.att.jpg", coll="KUFishvoucher")).body == plain_picture(RED)
        assert shows(await client.thumbnail("sp61.att.jpg", 50, coll="KUFishvoucher"), BLUE)
        assert shows(await client.thumbnail("replaced.jpg", 50, coll="KUFishvoucher"), RED)
        assert (await client.thumbnail("deleted.jpg", 50, coll="KUFishvoucher")).status == 404
        await client.store("new.jpg", plain_picture(BLUE), coll="KUHerbarium")
        assert shows(await client.thumbnail("new.jpg", 50, coll="KUHerbarium"), BLUE)
    finally:
        daemon.stop()

    run(back, tmp_path)
    assert {path: path.read_bytes() for path in before} == before
    assert (base / "Botany" / "originals" / "new.jpg").read_bytes() == plain_picture(BLUE)
    assert (base / "Botany" / "thumbnails" / "new_50.jpg").exists()
    assert {path.name for path in base.rglob("*") if path.is_dir()} == {
        *("Ichthyology", "Botany", "originals", "thumbnails")
    }
