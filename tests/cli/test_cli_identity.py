"""Commands that root runs beside a daemon of another user."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import Ran, run, write_config
from tests.support.images import jpeg
from tests.support.needs import require_reach
from tests.support.reachable import reachable_directory
from tests.support.trashed import put_into_trash

NOBODY, GAMES, ROOT = 65534, 5, 0

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def place() -> Iterator[Path]:
    require_reach()
    with reachable_directory() as directory:
        yield directory


def give(path: Path, owner: int) -> Path:
    path.mkdir(exist_ok=True)
    os.chown(path, owner, owner)
    return path


def store(path: Path, owner: int) -> dict[str, object]:
    """A store whose directory belongs to `owner`, with an original."""
    give(give(path, owner) / "originals", owner)
    photograph = path / "originals" / "felis.jpg"
    photograph.write_bytes(jpeg((300, 200)))
    os.chown(photograph, owner, owner)
    return {"plugin": "filesystem", "path": path}


def owners(*directories: Path) -> set[int]:
    """The users to whom anything belongs in these directories."""
    return {path.lstat().st_uid for directory in directories for path in (directory, *directory.rglob("*"))}


def succeeds(ran: Ran) -> Ran:
    assert ran.code == 0, ran
    return ran


@pytest.mark.slow
def test_thumbnails_warmed_by_root_belong_to_the_stores_owner(place: Path) -> None:
    config = write_config(place, {"main": store(place / "main", NOBODY)})
    give(place / "spool", NOBODY)
    succeeds(run("thumbnails", "warm", "--scale", "123", "--config", config))
    assert (place / "main/thumbnails/felis_123.jpg").exists()
    assert owners(place / "main", place / "spool") == {NOBODY}
    succeeds(run("thumbnails", "prune", "--keep-scale", "64", "--config", config))
    assert not (place / "main/thumbnails/felis_123.jpg").exists()
    assert owners(place / "main", place / "spool") == {NOBODY}


def test_a_store_that_root_tries_stays_its_owners(place: Path) -> None:
    config = write_config(place, {"main": {"plugin": "filesystem", "path": give(place / "main", NOBODY)}})
    assert "FAILED" not in run("check-store", "main", "--config", config).out
    assert owners(place / "main") == {NOBODY}


def test_a_store_whose_directory_is_missing_is_not_made_by_trying_it(place: Path) -> None:
    config = write_config(place, {"main": {"plugin": "filesystem", "path": place / "main"}})
    ran = run("check-store", "main", "--config", config)
    assert (ran.code, "there is no such directory" in ran.err) == (1, True)
    assert not (place / "main").exists()


def test_what_root_copies_belongs_to_the_owner_of_the_target(place: Path) -> None:
    stores = {"old": store(place / "old", GAMES), "new": {"plugin": "filesystem", "path": give(place / "new", NOBODY)}}
    (place / "old/originals/felis.jpg").chmod(0o600)
    config = write_config(place, stores)
    give(place / "spool", NOBODY)
    succeeds(run("copy", "--from", "old", "--to", "new", "--config", config))
    assert (place / "new/originals/felis.jpg").exists()
    assert owners(place / "new", place / "spool") == {NOBODY}
    assert owners(place / "old") == {GAMES}


def test_checksums_that_root_records_are_the_daemons(place: Path) -> None:
    path = give(place / "state", NOBODY) / "catalogue.sqlite"
    config = write_config(place, {"main": store(place / "main", NOBODY)}, catalogue={"path": path})
    succeeds(run("verify", "--store", "main", "--record", "--config", config))
    assert path.exists()
    assert owners(place / "state", place / "main") == {NOBODY}


@pytest.mark.slow
def test_what_root_restores_and_removes_leaves_nothing_of_root(place: Path) -> None:
    state = give(place / "state", NOBODY)
    sections = {"catalogue": {"path": state / "catalogue.sqlite"}, "trash": {"keep": "30 days"}}
    map_ = {"All": {"directory": "", "quota": "1 GiB"}}
    stores = {"main": store(place / "main", NOBODY)}
    config = write_config(place, stores, collections={"mode": "map", "map": map_}, **sections)
    give(place / "spool", NOBODY)
    for name in ("a.jpg", "b.jpg"):
        put_into_trash(place / "main", name, NOBODY)
    before = set(place.rglob("*"))
    succeeds(run("trash", "list", "--config", config))
    succeeds(run("trash", "empty", "--all", "--dry-run", "--config", config))
    assert set(place.rglob("*")) == before
    succeeds(run("trash", "restore", "a.jpg", "--config", config))
    succeeds(run("trash", "empty", "--all", "--yes", "--config", config))
    assert (place / "main/originals/a.jpg").read_bytes() == b"bytes"
    assert not list((place / "main/.trash").glob("*.*"))
    assert owners(place / "main", place / "spool", state) == {NOBODY}


def test_root_is_told_where_the_owner_cannot_write_and_what_to_type(place: Path) -> None:
    """Root does not expect to be refused anything."""
    stores = {"old": store(place / "old", NOBODY), "new": {"plugin": "filesystem", "path": place / "new"}}
    give(place / "spool", NOBODY)
    catalogue = {"path": give(place / "state", ROOT) / "catalogue.sqlite"}
    config = write_config(place, stores, catalogue=catalogue)
    copied = run("copy", "--from", "old", "--to", "new", "--config", config)
    assert copied.code == 1
    assert f"nobody cannot write to {place}. As root, type: install -d -o nobody {place}/new" in copied.err
    verified = run("verify", "--store", "old", "--config", config)
    assert verified.code == 1
    assert f"nobody cannot write to {place}/state. As root, type: chown -R nobody {place}/state" in verified.err


def test_where_the_directories_have_several_owners_root_is_told_what_to_do(place: Path) -> None:
    config = write_config(place, {"main": store(place / "main", NOBODY)})
    give(place / "spool", GAMES)
    ran = run("thumbnails", "warm", "--scale", "123", "--config", config)
    assert ran.code == 1
    assert f"Error: {place}/main belongs to nobody, and {place}/spool belongs to games. Only one of them" in ran.err
    assert "runuser -u nobody -- was-daemon" in ran.err
    assert not (place / "main/thumbnails").exists()


@pytest.mark.slow
def test_in_a_directory_of_root_the_running_daemons_user_decides(place: Path) -> None:
    config = write_config(place, {"main": store(place / "main", ROOT)})
    (place / "main/originals").chmod(0o777)
    (place / "main").chmod(0o777)
    give(place / "main/.daemons", NOBODY)
    succeeds(run("thumbnails", "warm", "--scale", "123", "--config", config))
    assert owners(place / "main/thumbnails") == {NOBODY}


def test_in_directories_of_root_root_stays_root(place: Path) -> None:
    config = write_config(place, {"main": store(place / "main", ROOT)})
    succeeds(run("thumbnails", "warm", "--scale", "123", "--config", config))
    assert owners(place) == {ROOT}


def test_a_key_that_only_root_can_read_is_read(place: Path) -> None:
    (place / "key").write_text("a key of which only root knows")
    (place / "key").chmod(0o600)
    config = write_config(place, {"main": store(place / "main", NOBODY)})
    config.write_text(config.read_text("utf-8").replace("\nkey = ", f'\nkey_file = "{place}/key" # '), "utf-8")
    succeeds(run("thumbnails", "warm", "--scale", "123", "--config", config))
    assert owners(place / "main") == {NOBODY}


def test_status_by_root_tells_what_the_stores_owner_may_not_do(place: Path) -> None:
    config = write_config(place, {"main": store(place / "main", NOBODY)})
    os.chown(place / "main", ROOT, ROOT)
    (place / "main").chmod(0o755)
    give(place / "main/.daemons", NOBODY)
    ran = run("status", "--config", config, "--json")
    assert not ran.report["stores"]["main"]["ok"]


def test_a_configuration_and_key_that_root_writes_belong_to_the_directorys_owner(place: Path) -> None:
    home = give(place / "home", NOBODY)
    succeeds(run("init", "--yes", "--path", place / "main", "--output", home / "etc/was.toml"))
    assert {path.name for path in (home / "etc").iterdir()} == {"was.toml", "key", "console-password"}
    assert owners(home) == {NOBODY}


def test_a_daemon_of_root_does_not_serve_another_users_store(place: Path) -> None:
    config = write_config(place, {"main": store(place / "main", NOBODY)})
    ran = run("serve", "--config", config)
    assert ran.code == 1
    assert f"{place}/main belongs to nobody" in ran.err
    assert f"runuser -u nobody -- was-daemon serve --config {config}" in ran.err
    assert owners(place / "main") == {NOBODY}


def test_in_a_directory_of_root_the_owner_of_the_attachments_may_read_the_consoles_password(place: Path) -> None:
    give(place / "main", NOBODY)
    (place / "etc").mkdir()
    succeeds(run("init", "--yes", "--path", place / "main", "--output", place / "etc/was.toml"))
    status = (place / "etc/console-password").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (ROOT, (place / "main").stat().st_gid, 0o640)
    assert (place / "etc/key").stat().st_mode & 0o777 == 0o600
