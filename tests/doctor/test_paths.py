"""Paths that the daemon's user may not use, and the commands that mend that."""

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
import pytest_twisted

from tests.support.cli import write_config
from tests.support.examined import found_by, only, patient
from tests.support.needs import require_reach
from tests.support.reachable import reachable_directory
from was_daemon.doctor import databases, paths
from was_daemon.doctor.account import Account, obstacle
from was_daemon.doctor.findings import Finding, State
from was_daemon.doctor.machine import Machine
from was_daemon.doctor.unit import Unit

NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def place() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory


@contextmanager
def nobody() -> Iterator[None]:
    """Be another user, who has to be able to import what is needed only then."""
    require_reach()
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def config_of(place: Path) -> Path:
    """A configuration whose store and spool are nobody's."""
    for name in ("deep", "deep/store", "deep/store/originals", "spool"):
        (place / name).mkdir()
        os.chown(place / name, NOBODY, NOBODY)
    config = write_config(place, {"main": {"plugin": "filesystem", "path": place / "deep/store"}})
    config.chmod(0o644)
    return config


def found_by_nobody(config: Path) -> list[Finding]:
    with nobody():
        return found_by(paths.look, config)


@as_root
def test_all_is_well_where_everything_belongs_to_the_user(place: Path) -> None:
    found = found_by_nobody(config_of(place))
    assert [each.state for each in found] == [State.OK], found


@as_root
@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        ("chmod 700 {0}/deep && chown root {0}/deep", "may not enter {0}/deep, on the way to {0}/deep/store"),
        ("chown -R root {0}/deep/store", "may not read and write to {0}/deep/store"),
        ("chown root:root {0}/deep/store/originals", "may not read and write to {0}/deep/store/originals"),
        ("chmod 500 {0}/deep/store/originals", "may not read and write to {0}/deep/store/originals"),
        ("rm -r {0}/deep/store", "{0}/deep/store does not exist"),
        ("rmdir {0}/spool", "{0}/spool does not exist, and nobody may not make it in {0}"),
        ("chmod 600 {0}/was.toml", "may not read {0}/was.toml"),
    ],
)
def test_what_the_user_may_not_use_is_mended_by_the_command_that_is_told(
    place: Path, break_it: str, message: str
) -> None:
    config = config_of(place)
    examined = patient(config)
    subprocess.run(["sh", "-ec", break_it.format(place)], check=True)
    with nobody():
        finding = next(each for each in paths.look(examined_by_nobody(examined)))
    assert finding.state is State.FAILED
    assert message.format(place) in finding.message
    assert finding.remedy
    for _ in range(3):
        with nobody():
            rest = list(paths.look(examined_by_nobody(examined)))
        if rest[0].state is State.OK:
            break
        # One more may have been behind it.
        subprocess.run(["sh", "-ec", str(rest[0].remedy)], check=True)
    assert [each.state for each in rest] == [State.OK], rest


@as_root
def test_one_command_mends_a_store_that_root_has_copied(place: Path) -> None:
    config = config_of(place)
    for path in (".staging", "originals/.staging", "thumbnails"):
        (place / "deep/store" / path).mkdir()
    subprocess.run(["sh", "-ec", f"chown -R root:root {place}/deep/store; chmod 700 {place}/deep/store/*"], check=True)
    assert only(found_by_nobody(config)).remedy == f"chown -R nobody:nogroup {place}/deep/store"


def examined_by_nobody(examined: paths.Patient) -> paths.Patient:
    return attrs.evolve(examined, account=Account.current())


def test_what_the_unit_hides_or_keeps_read_only_is_told_with_a_drop_in(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": store}})
    properties = {
        "LoadState": "loaded",
        "ExecStart": f"{{ argv[]=was --config {config} ; }}",
        "ProtectSystem": "strict",
    }
    unit = Unit(
        "was-daemon.service", {**properties, "ReadWritePaths": f"{tmp_path}/spool {tmp_path}/elsewhere"}, {}, None
    )
    finding = only(found_by(paths.look, config, Machine(unit)))
    assert finding.message == f"was-daemon.service lets the daemon only read {store} (ProtectSystem=strict)"
    assert f"ReadWritePaths={store}" in str(finding.remedy)
    unit = Unit("was-daemon.service", {**properties, "InaccessiblePaths": f"-{store}", "ProtectSystem": "no"}, {}, None)
    assert "InaccessiblePaths=" in only(found_by(paths.look, config, Machine(unit))).message


def test_a_link_in_the_place_of_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store/originals").mkdir(parents=True)
    (tmp_path / "store/.staging").symlink_to(tmp_path / "elsewhere")
    config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path / "store"}})
    assert "a link is in the place of a directory" in only(found_by(paths.look, config)).message


@as_root
def test_the_owner_of_a_directory_of_the_system_is_never_to_be_changed(place: Path) -> None:
    with nobody():
        account = Account.current()
        found = [obstacle(account, Path(path), os.R_OK | os.W_OK | os.X_OK) for path in ("/var/lib", "/srv", "/")]
    for each in found:
        assert each
        assert "choose a directory of its own" in each.remedy
        assert "chown" not in each.remedy


@as_root
def test_what_is_beside_a_database_stays_its_owners(place: Path) -> None:
    config_of(place)
    (place / "state").mkdir()
    stores = {"main": {"plugin": "filesystem", "path": place / "deep/store"}}
    config = write_config(place, stores, catalogue={"path": place / "state/catalogue.sqlite"})
    config.chmod(0o644)
    assert only(found_by_nobody(config)).remedy == f"chown nobody:nogroup {place}/state"


def test_another_user_than_the_daemons_cannot_tell(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path}})
    properties = {"LoadState": "loaded", "ExecStart": f"was --config {config} ;", "User": "somebody-else"}
    found = found_by(paths.look, config, Machine(Unit("was-daemon.service", properties, {}, None)))
    assert only(found, State.SKIPPED).message.endswith(", and the daemon is somebody-else")


def test_a_directory_of_the_units_that_was_removed_meanwhile_is_made_by_a_restart(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    spool = Path("/var/cache/was-daemon-of-a-test/spool")
    stores = {"main": {"plugin": "filesystem", "path": tmp_path / "store"}}
    config = write_config(tmp_path, stores, spool={"path": spool})
    properties = {"LoadState": "loaded", "ExecStart": f"was --config {config} ;", "CacheDirectory": spool.parent.name}
    stopped = Unit("was-daemon.service", {**properties, "ActiveState": "inactive"}, {}, None)
    assert only(found_by(paths.look, config, Machine(stopped)), State.OK)
    running = attrs.evolve(stopped, properties={**properties, "ActiveState": "active"})
    finding = only(found_by(paths.look, config, Machine(running)))
    assert finding.message.startswith(f"{spool.parent} has been removed since was-daemon.service was started")
    assert finding.remedy == "systemctl restart was-daemon.service"


@as_root
def test_the_password_of_the_console_that_only_root_may_read_is_told_and_mended(place: Path) -> None:
    config, file = config_of(place), place / "console-password"
    stores = {"main": {"plugin": "filesystem", "path": place / "deep/store"}}
    write_config(place, stores, server={"admin_listen": ["tcp:0:interface=127.0.0.1"]}, admin={"password_file": file})
    config.chmod(0o644)
    file.write_text("secret")
    file.chmod(0o400)
    # Python's own files may be closed to nobody: what it imports to read the secret is imported here.
    patient(config)
    finding = only(found_by_nobody(config))
    assert finding.message == f"nobody may not read {file} (admin.password_file)"
    subprocess.run(["sh", "-ec", str(finding.remedy)], check=True)
    assert only(found_by_nobody(config), State.OK)
    assert stat.S_IMODE(file.stat().st_mode) == 0o440
    file.unlink()
    # The command that makes it is told with the warnings.
    assert only(found_by_nobody(config), State.OK)


def test_all_files_with_secrets_are_among_the_paths(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("key", "collection", "database", "password")}
    for file in files.values():
        file.write_text("a secret that is long enough")
        file.chmod(0o600)
    config = write_config(
        tmp_path,
        {"main": {"plugin": "filesystem", "path": tmp_path}},
        server={"admin_listen": ["tcp:0:interface=127.0.0.1"]},
        admin={"password_file": files["password"]},
        **{
            "collections.map.herbarium": {"directory": "herbarium", "key_file": files["collection"]},
            "specify.fish": {"url": "mysql://specify@127.0.0.1/specify", "password_file": files["database"]},
        },
    )
    config.write_text(re.sub('"key" = .*', f'"key_file" = "{files["key"]}"', config.read_text()))
    named = {need.setting: need.path for need in paths.needs(patient(config))}
    assert {name: path for name, path in named.items() if name.endswith("_file")} == {
        "server.key_file": files["key"],
        "admin.password_file": files["password"],
        "collections.map.herbarium.key_file": files["collection"],
        "specify.fish.password_file": files["database"],
    }


@as_root
@pytest_twisted.ensureDeferred
async def test_of_a_directory_that_is_gone_the_paths_tell_and_not_the_databases(place: Path) -> None:
    config_of(place)
    stores = {"main": {"plugin": "filesystem", "path": place / "deep/store"}}
    config = write_config(place, stores, catalogue={"path": place / "state/catalogue.sqlite"})
    config.chmod(0o644)
    # Imports what nobody may not.
    await databases.look(patient(config))
    with nobody():
        found = list(await databases.look(examined_by_nobody(patient(config))))
    assert {(each.state, each.remedy) for each in found} == {(State.SKIPPED, None)}
    assert found[0].message == f"catalogue: {place}/state does not exist"
    assert only(found_by_nobody(config)).remedy == f"install -d -o nobody -g nogroup {place}/state"
