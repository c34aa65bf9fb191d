"""Stores whose disk is gone: what is at its place is no directory to be given to the daemon."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.doctor.test_paths import as_root, nobody
from tests.support.cli import write_config
from tests.support.examined import bad, patient
from tests.support.reachable import reachable_directory
from was_daemon.doctor import disks, mount_points, paths
from was_daemon.doctor.account import Account
from was_daemon.doctor.findings import Finding
from was_daemon.doctor.machine import Machine
from was_daemon.doctor.unit import Unit
from was_daemon.stores.local import mounts


@pytest.fixture
def place() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory


def found_in(place: Path, **properties: str) -> list[Finding]:
    """What nobody meets whose store's directory is root's."""
    (place / "store").mkdir(exist_ok=True)
    (place / "spool").mkdir(mode=0o777)
    (place / "spool").chmod(0o777)
    config = write_config(place, {"main": {"plugin": "filesystem", "path": place / "store"}})
    config.chmod(0o644)
    known = {"LoadState": "loaded", "ExecStart": f"was --config {config} ;", "User": "nobody"}
    examined = patient(config, Machine(Unit("was-daemon.service", known | properties, {}, None)))
    with nobody():
        examined = attrs.evolve(examined, account=Account.current())
        return bad([*paths.look(examined), *disks.look(examined)])


@as_root
def test_a_mount_unit_that_is_not_started_is_told_and_no_owner_is_changed(place: Path) -> None:
    escaped = str(place / "store").strip("/").replace("-", r"\x2d").replace("/", "-")
    quoted = escaped.replace("\\", r"\\")
    first = found_in(place, Requires=f'-.mount "{quoted}.mount" system.slice')[0]
    assert first.check == "disks"
    assert f"nothing is mounted on {place}/store, where {escaped}.mount wants a disk" in first.message
    assert "systemctl start" in str(first.remedy)
    assert mounts.place_of_unit(f"{escaped}.mount") == place / "store"


@as_root
def test_an_empty_mount_point_that_only_the_daemons_unit_knows_is_told(place: Path) -> None:
    first = found_in(place, RequiresMountsFor=f"{place}/store")[0]
    assert f"{place}/store is empty, and nothing is mounted on it: its disk is missing" in first.message
    assert str(first.remedy).startswith(f"mount {place}/store, as it was before")


@as_root
def test_an_empty_directory_of_which_the_catalogue_has_originals_is_a_mount_point(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mount_points, "is_recorded", lambda _, name: name == "main")
    assert "its disk is missing" in found_in(place)[0].message


@as_root
@pytest.mark.parametrize("wanted", ["{0}/store", "{0}/elsewhere", "/var/lib/was-daemon"])
def test_a_directory_with_files_or_without_a_disk_is_given_to_the_daemon(place: Path, wanted: str) -> None:
    (place / "store").mkdir()
    if wanted.endswith("/store"):
        (place / "store/originals").mkdir()
    first = found_in(place, RequiresMountsFor=wanted.format(place))[0]
    assert str(first.remedy).startswith("chown -R nobody:nogroup")
