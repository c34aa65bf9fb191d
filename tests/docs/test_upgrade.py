"""The guide to upgrades: what it promises of the catalogue and the configuration, and its commands."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_twisted

from tests.support.client import Client
from tests.support.daemon import KEY
from tests.support.guides import Machine, is_said, messages, page, tried
from tests.support.paths import ROOT
from was_daemon.catalogue.schema import FORM

GUIDE = page("upgrade.md")
BEFORE, LOOK, BACK = tried(GUIDE, "tests/docs/test_upgrade.py")
LATER_CATALOGUE, UNKNOWN_SETTING = (message for _, message in messages(GUIDE))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with Machine.running(tmp_path) as machine:
        yield machine


@pytest.fixture
def client(machine: Machine) -> Client:
    return Client(machine.daemon.url, KEY)


def make_later(database: Path) -> None:
    """Give a catalogue the form of a version that is not there yet."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("ALTER TABLE assets RENAME COLUMN name TO title")


def test_the_guide_knows_every_form_of_the_catalogue() -> None:
    told = re.findall(r"^\| `([0-9]{4})` \|", GUIDE, re.MULTILINE)
    versions = sorted((ROOT / "was_daemon/catalogue/migrations/versions").glob("v*.py"))
    assert told == [path.name[1:5] for path in versions]
    assert told[-1] == FORM


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_an_earlier_version_serves_beside_a_later_catalogue_and_the_guide_leads_back(
    machine: Machine, client: Client
) -> None:
    await client.store("before.jpg", b"before")
    machine.run(BEFORE)
    machine.run(LOOK)
    machine.daemon.stop()
    catalogue = machine.state / "catalogue.sqlite"
    make_later(catalogue)
    later = catalogue.read_bytes()

    # It serves, and keeps what happens, and says so.
    machine.daemon.start()
    await client.store("between.jpg", b"between")
    assert (await client.original("before.jpg")).body == b"before"
    assert is_said(LATER_CATALOGUE, machine.run(LOOK, status=1))
    machine.daemon.stop()
    assert catalogue.read_bytes() == later

    said = machine.run(BACK)
    assert said.startswith("1 as recorded, 0 changed, 0 missing")
    assert "1 recorded" in said
    assert (machine.state / "newer/catalogue.sqlite").read_bytes() == later
    machine.daemon.start()
    machine.run(LOOK)
    await client.store("after.jpg", b"after")
    assert (await client.original("between.jpg")).body == b"between"


@pytest.mark.slow
def test_a_setting_of_a_later_version_is_named_and_the_old_configuration_comes_back(machine: Machine) -> None:
    machine.run(BEFORE)
    machine.configure({"server": {"new_setting": 3}})
    said = machine.run("was-daemon config check --config /etc/was-daemon/was.toml", status=1)
    assert is_said(UNKNOWN_SETTING, said)
    machine.run("rsync -a /mnt/backup/before/etc/ /etc/was-daemon/")
    machine.run("was-daemon config check --config /etc/was-daemon/was.toml")


def test_settings_of_earlier_versions_are_still_read(tmp_path: Path) -> None:
    machine = Machine.made(tmp_path)
    machine.configure({"checksums": {"path": machine.state / "checksums.sqlite"}})
    machine.run("was-daemon config check --config /etc/was-daemon/was.toml")


def test_the_forms_of_the_catalogue_are_told_by_the_versions_that_have_them() -> None:
    forms = dict(re.findall(r"^\| `([0-9]{4})` \| (.*) \|$", GUIDE, re.MULTILINE))
    released = re.findall(r"^## ([0-9.]+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert max(forms) == FORM
    assert forms.pop("0001") == "development versions before the first release"
    assert forms
    for versions in forms.values():
        assert re.match(r"[0-9.]+", versions)[0] in released  # type: ignore[index]
