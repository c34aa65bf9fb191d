"""Doctor called by a user who is neither root nor the daemon's."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import attrs
import pytest
import pytest_twisted

from tests.doctor.test_paths import as_root, nobody
from tests.support.cli import write_config
from tests.support.examined import patient
from tests.support.reachable import reachable_directory
from was_daemon.cli.daemon_user import other_user
from was_daemon.config.load import ConfigSource
from was_daemon.doctor.account import Account
from was_daemon.doctor.examination import examine
from was_daemon.doctor.findings import Finding, State
from was_daemon.doctor.patient import OtherUser, Patient
from was_daemon.doctor.unit import Unit

GAMES, GROUP_OF_GAMES = 5, 60

pytestmark = as_root


@pytest.fixture
def place() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory


def config_of(place: Path, owner: int = GAMES) -> Path:
    (place / "state/store").mkdir(parents=True)
    config = write_config(place, {"main": {"plugin": "filesystem", "path": place / "state/store"}})
    config.chmod(0o644)
    for path in (place / "state", place / "state/store"):
        os.chown(path, owner, owner)
        path.chmod(0o750)
    return config


def unit_of(config: Path, user: str) -> Unit:
    properties = {"LoadState": "loaded", "ExecStart": f"was --config {config} ;", "User": user}
    return Unit("was-daemon.service", properties, {}, None)


def found_for_nobody(config: Path, unit: Unit | None = None) -> OtherUser | None:
    settings = ConfigSource(config, {}).load()
    with nobody():
        return other_user(settings, config, unit)


def test_the_units_user_counts_first(place: Path) -> None:
    config = config_of(place)
    assert found_for_nobody(config, unit_of(config, "mail")) == OtherUser("mail", "was-daemon.service says so")
    assert found_for_nobody(config, unit_of(config, "")) == OtherUser("root", "was-daemon.service says so")
    assert found_for_nobody(config, unit_of(config, "nobody")) is None


def test_a_running_daemon_tells_its_user(place: Path) -> None:
    config = config_of(place)
    pretence = [sys.executable, "-c", "input()", "/usr/bin/was-daemon", "serve", "--config", str(config)]
    with subprocess.Popen(pretence, stdin=subprocess.PIPE) as process:
        assert found_for_nobody(config) == OtherUser("root", "it runs as that user")
        process.communicate(b"\n")


def test_or_else_the_owner_of_what_may_not_be_looked_into(place: Path) -> None:
    config = config_of(place)
    assert found_for_nobody(config) == OtherUser("games", f"{place}/state belongs to that user")
    (place / "state").chmod(0o755)
    assert found_for_nobody(config) == OtherUser("games", f"{place}/state/store belongs to that user")
    (place / "state/store").chmod(0o777)
    assert found_for_nobody(config) is None


def test_or_else_the_user_whose_group_may_read_the_configuration(place: Path) -> None:
    config = config_of(place)
    os.chown(config, 0, GROUP_OF_GAMES)
    config.chmod(0o640)
    with nobody():
        assert other_user(None, config, None) == OtherUser("games", f"the group of {config} is that user's")


def test_root_and_the_owner_are_no_others(place: Path) -> None:
    config = config_of(place)
    settings = ConfigSource(config, {}).load()
    assert other_user(settings, config, unit_of(config, "mail")) is None
    for path in (place / "state", place / "state/store"):
        os.chown(path, 65534, 65534)
    assert found_for_nobody(config) is None


@pytest_twisted.ensureDeferred
async def test_it_is_said_first_and_nothing_is_to_be_given_to_the_caller(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(place)
    examined = patient(config)
    with nobody():
        account = Account.current()
    denied = [f"server.key_file: {place}/key: permission denied", f"server.key_file: {place}/key: is empty"]
    stranger = attrs.evolve(
        examined, account=account, mistakes=denied, other_user=OtherUser("games", "it runs as that user")
    )
    found = await examine_quickly(stranger, monkeypatch)
    assert (found[0].check, found[0].state) == ("user", State.FAILED)
    assert found[0].message.startswith("this is nobody, and the daemon is games (it runs as that user): ")
    assert found[0].remedy == "Run doctor as root or as games: sudo was-daemon doctor"
    assert [each.check for each in found if each.state is State.SKIPPED] == ["configuration", "paths"], found
    assert [each.check for each in found if each.state is State.FAILED] == ["user", "configuration"]
    found = [each for each in found if each.state is not State.WARNING]
    remedies = " ".join(str(each.remedy) for each in found)
    for word in ("chown", "chmod", "chgrp", "install", "nogroup"):
        assert word not in remedies


@pytest_twisted.ensureDeferred
async def test_what_only_a_stranger_may_not_read_is_no_failure_of_stores_or_databases(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody could not.
    import_module("was_daemon.catalogue.catalogue")
    config_of(place)
    secret = place / "state/key"
    secret.write_text("secret")
    tables = {
        "main": {"plugin": "filesystem", "path": place / "state/store"},
        "dam": {"plugin": "webdav", "url": "http://127.0.0.1:1/dav", "ca_file": secret},
    }
    config = write_config(place, tables, catalogue={"path": place / "state/catalogue.sqlite"})
    config.chmod(0o644)
    unread = [f"Nobody can log in to the console: {secret} cannot be read by the daemon (Permission denied)"]
    examined = attrs.evolve(patient(config), other_user=OtherUser("games", "it runs as that user"), warnings=unread)
    with nobody():
        stranger = attrs.evolve(examined, account=Account.current())
        found = await examine_quickly(stranger, monkeypatch, "configuration", "stores", "databases")
    assert {(each.check, each.state) for each in found} == {
        ("user", State.FAILED),
        ("configuration", State.OK),
        ("configuration", State.SKIPPED),
        ("stores", State.SKIPPED),
        ("databases", State.SKIPPED),
    }, found
    skipped = [each for each in found if each.state is State.SKIPPED]
    assert {each.remedy for each in skipped} == {"sudo was-daemon doctor"}
    assert any("permission denied, as nobody" in each.message for each in found)


async def examine_quickly(examined: Patient, monkeypatch: pytest.MonkeyPatch, *names: str) -> list[Finding]:
    """Make some of the checks, or those that look at rights."""
    from was_daemon.doctor import examination

    names = names or ("configuration", "paths")
    wanted = tuple(each for each in examination.CHECKS if each.name in names)
    monkeypatch.setattr(examination, "CHECKS", wanted)
    return await examine(examined)
