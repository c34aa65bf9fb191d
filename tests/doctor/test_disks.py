"""File systems that are full, read-only, not mounted, or of the wrong kind."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.support.cli import write_config
from tests.support.examined import bad, found_by, only
from was_daemon.doctor import disks, paths
from was_daemon.doctor.findings import State
from was_daemon.doctor.machine import Machine
from was_daemon.doctor.unit import Unit
from was_daemon.stores.local import mounts

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount file systems,")

MOUNTINFO = r"""
22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw
30 22 0:26 / /srv/nas rw,nosuid - nfs4 nas.example.org:/export rw,vers=4.2
31 22 0:27 / /srv/old\040disk ro,relatime shared:1 - xfs /dev/sdb1 rw
32 22 0:28 / /mnt/usb rw - vfat /dev/sdc1 rw
33 22 0:29 / /srv/nas rw - cifs //nas/share rw
34 22 0:30 / /srv/broken rw - ext4 /dev/sdd1 ro,errors=remount-ro
"""


def config_of(directory: Path, **sections: dict[str, object]) -> Path:
    (directory / "store").mkdir(exist_ok=True)
    return write_config(directory, {"main": {"plugin": "filesystem", "path": directory / "store"}}, **sections)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB and twenty files."""
    disk = tmp_path / "store"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M,nr_inodes=20", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@as_root
def test_a_full_disk_is_told_with_how_to_find_what_fills_it(tmp_path: Path, small_disk: Path) -> None:
    config = config_of(tmp_path)
    finding = only(found_by(disks.look, config))
    assert finding.message.startswith(f"{small_disk}: 1 MiB free, 0 % used: less than limits.min_free (256 MiB)")
    assert str(finding.remedy).startswith(f"du --one-file-system --human-readable --max-depth=2 {small_disk}")
    config = config_of(tmp_path, limits={"min_free": "1 kB"})
    assert "but only" in only(found_by(disks.look, config)).message
    assert "inodes" in only(found_by(disks.look, config)).message
    config = config_of(tmp_path, limits={"min_free": "400 kB"})
    memory = next(each for each in bad(found_by(disks.look, config)) if each.state is State.WARNING)
    assert "in memory: it is lost when the machine stops" in memory.message


@as_root
def test_a_disk_that_is_mounted_read_only_is_told(tmp_path: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    finding = found_by(disks.look, config_of(tmp_path))[0]
    assert (finding.state, "which is mounted read-only" in finding.message) == (State.FAILED, True)
    assert str(finding.remedy).endswith(f"mount -o remount,rw {small_disk}")
    # No command about permissions mends that.
    finding = only(found_by(paths.look, config_of(tmp_path)), State.SKIPPED)
    assert (f"what is on {small_disk} is not looked at" in finding.message, finding.remedy) == (True, None)


def test_a_mount_that_only_the_running_daemon_sees_read_only_is_mended_by_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tmp_path)
    properties = {
        "LoadState": "loaded",
        "ActiveState": "active",
        "ExecStart": f"{{ argv[]=was --config {config} ; }}",
        "ProtectSystem": "strict",
        "ReadWritePaths": str(tmp_path),
    }
    unit = Unit("was-daemon.service", properties, {}, None)
    seen = [mounts.Mount(Path("/"), "ext4", "/dev/sda1", True), mounts.Mount(tmp_path, "ext4", "/dev/sda1", False)]
    assert bad(found_by(disks.look, config, Machine(unit, seen_mounts=seen))) == []
    for gone in (seen[:1], [*seen[:1], attrs.evolve(seen[1], is_read_only=True)]):
        found = bad(found_by(disks.look, config, Machine(unit, seen_mounts=gone)))
        assert {each.remedy for each in found} == {"systemctl restart was-daemon.service"}
        assert all("only the running daemon sees" in each.message for each in found)
        assert any(str(tmp_path / "store") in each.message for each in found)
    kept = attrs.evolve(unit, properties={**properties, "ReadWritePaths": ""})
    # The check of paths tells.
    assert bad(found_by(disks.look, config, Machine(kept, seen_mounts=seen[:1]))) == []
    monkeypatch.setattr(disks, "obstacle", lambda *_: "it is the place of a disk that is gone")
    assert bad(found_by(disks.look, config, Machine(unit, seen_mounts=seen[:1]))) == []


def test_the_mounts_of_a_process_are_those_of_its_namespace() -> None:
    assert [each.place for each in mounts.mounts(os.getpid())] == [each.place for each in mounts.mounts()]
    assert mounts.mounts(1 << 30) == []


def test_a_mount_point_on_which_nothing_is_mounted_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fstab = tmp_path / "fstab"
    fstab.write_text(
        f"# disks\nUUID=1 / ext4 defaults 0 1\n/dev/sdb1 {tmp_path}/store xfs defaults 0 2\nswap none swap\n"
    )
    monkeypatch.setattr(mounts, "FSTAB", fstab)
    finding = found_by(disks.look, config_of(tmp_path))[0]
    assert f"nothing is mounted on {tmp_path}/store, where /etc/fstab wants a disk" in finding.message
    assert (finding.state, finding.remedy) == (State.FAILED, f"mount {tmp_path}/store")


def test_a_database_on_a_network_and_a_store_that_ignores_case_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "mountinfo"
    info.write_text(
        f"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:9 / {tmp_path}/nas rw - nfs4 nas:/x rw\n"
        f"3 1 0:9 / {tmp_path}/store rw - vfat /dev/sdc1 rw\n"
    )
    monkeypatch.setattr(mounts, "MOUNTINFO", info)
    (tmp_path / "nas").mkdir()
    found = bad(found_by(disks.look, config_of(tmp_path, catalogue={"path": tmp_path / "nas/catalogue.sqlite"})))
    assert any("SQLite needs a local disk" in each.message and each.state is State.FAILED for each in found)
    assert any("differ in case only" in each.message for each in found)
    assert len(found) == 2


def test_mounts_are_read_as_the_kernel_writes_them() -> None:
    known = mounts.parse_mounts(MOUNTINFO)
    where = {path: mounts.mount_of(Path(path), known) for path in ("/srv", "/srv/nas/a", "/srv/old disk/x", "/mnt/usb")}
    assert [mount and str(mount.place) for mount in where.values()] == ["/", "/srv/nas", "/srv/old disk", "/mnt/usb"]
    # Of two mounts at one place, the later one is seen.
    nas, old, usb = where["/srv/nas/a"], where["/srv/old disk/x"], where["/mnt/usb"]
    assert nas and old and usb
    assert (nas.kind, nas.is_network, old.is_read_only, usb.ignores_case) == ("cifs", True, True, True)
    broken = mounts.mount_of(Path("/srv/broken/a"), known)
    assert broken and broken.is_read_only
    assert mounts.parse_mounts("") == []
    assert mounts.mount_of(Path("/srv"), []) is None
