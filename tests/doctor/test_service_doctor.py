"""`was-daemon doctor` on a machine with systemd: as root, beside the unit in etc/, and what it says mends."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.test_systemd_service import SERVICE, Service
from tests.support.daemon import eventually
from tests.support.machine import Machine

pytestmark = pytest.mark.slow

_COMMAND = "/opt/was-daemon/bin/was-daemon"
_PYTHON = "/opt/was-daemon/bin/python"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    machine = Machine(tmp_path)
    try:
        machine.start()
        lines = (Path(sys.prefix) / "bin/was-daemon").read_text().splitlines(keepends=True)
        command = machine.root / _COMMAND.lstrip("/")
        command.write_text("".join(["#!/opt/was-daemon/bin/python\n", *lines[1:]]))
        command.chmod(0o755)
        found = Service(machine)
        machine.run("systemctl", "enable", SERVICE)
        machine.run("systemctl", "start", SERVICE)
        yield found
    finally:
        machine.stop()


def examined(service: Service, *user: str) -> list[dict[str, Any]]:
    command = f"{' '.join(user)} {_COMMAND} doctor --json || true"
    findings: list[dict[str, Any]] = json.loads(service.machine.run("sh", "-c", command))["findings"]
    return findings


def failed(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in findings if each["state"] == "failed"]


def mend(service: Service, finding: dict[str, Any]) -> None:
    """Do what the finding says."""
    service.machine.run("sh", "-ec", finding["remedy"])


def test_a_service_that_is_well_is_found_well_by_root_and_by_its_user(service: Service) -> None:
    found = examined(service)
    assert failed(found) == [], found
    unit = next(each for each in found if each["check"] == "service")
    assert unit["message"].startswith("was-daemon.service runs as was-daemon, with /etc/systemd/system/")
    paths = next(each for each in found if each["check"] == "paths")
    assert paths["message"].startswith("was-daemon may use all")
    by_user = examined(service, "runuser", "-u", "was-daemon", "--")
    assert failed(by_user) == [], by_user


def test_a_stopped_service_is_told_and_its_key_is_not_missed(service: Service) -> None:
    service.systemctl("stop", SERVICE)
    by_user = examined(service, "runuser", "-u", "was-daemon", "--")
    assert {each["check"] for each in failed(by_user)} == {"daemon"}, by_user
    assert "only root may read it" in [each["message"] for each in by_user if each["check"] == "key"]
    found = failed(examined(service))
    assert [each["check"] for each in found] == ["service", "daemon"], found
    mend(service, found[0])
    assert failed(examined(service)) == []


def test_a_changed_key_a_lost_key_and_a_store_elsewhere_are_mended_by_what_is_told(service: Service) -> None:
    key = service.machine.root / "etc/was-daemon/key"
    key.write_text("a key that was changed since")
    found = failed(examined(service))
    assert [each["check"] for each in found] == ["service"], found
    assert "which still has the old one" in found[0]["message"]
    mend(service, found[0])
    assert failed(examined(service)) == []

    key.unlink()
    service.machine.run("sh", "-c", f"for each in $(seq 12); do systemctl restart {SERVICE}; done; true")
    first, unit, *_ = failed(examined(service))
    assert "server.key_file: LoadCredential=key:/etc/was-daemon/key names no file" in first["message"]
    assert (unit["check"], "status 243" in unit["message"]) == ("service", True)

    key.write_text("a key that was changed since")
    # More starts than StartLimitBurst= allows are behind it.
    service.machine.run("sh", "-ec", unit["remedy"].partition(", then: ")[2])
    assert failed(examined(service)) == []
    elsewhere = {"main": {"plugin": "filesystem", "path": "/srv/attachments"}}
    text = (service.machine.root / "etc/was-daemon/was.toml").read_text()
    path = service.machine.root / "etc/was-daemon/was.toml"
    path.write_text(re.sub(r"/var/lib/was-daemon/files", elsewhere["main"]["path"], text))
    service.machine.run("install", "-d", "-o", "was-daemon", "-g", "was-daemon", "/srv/attachments")
    kept = next(each for each in failed(examined(service)) if each["check"] == "paths")
    assert "was-daemon.service lets the daemon only read /srv/attachments (ProtectSystem=strict)" in kept["message"]
    mend(service, kept)
    assert failed(examined(service)) == []
    service.machine.run("chown", "-R", "root:root", "/srv/attachments")
    kept = next(each for each in failed(examined(service)) if each["check"] == "paths")
    assert kept["remedy"] == "chown -R was-daemon:was-daemon /srv/attachments"
    mend(service, kept)
    assert failed(examined(service)) == []


def test_within_the_sandbox_of_the_unit_it_finds_no_other_faults(service: Service) -> None:
    """As the daemon itself does for the console."""
    told = "/var/lib/was-daemon/doctor"
    config = "--config /etc/was-daemon/was.toml"
    url = f"http://127.0.0.1:{service.port}"
    waits = f"until {_PYTHON} -c 'import urllib.request; urllib.request.urlopen(\"{url}\")'; do sleep 0.1; done"
    examines = f"{_COMMAND} doctor {config} --json > {told}.json; touch {told}.done"
    script = service.machine.root / "opt/was-daemon/bin/both"
    script.write_text(
        f"#!/bin/sh\n({waits}; {examines}) &\nexec /opt/was-daemon/bin/twistd -n --pidfile= was {config}\n"
    )
    script.chmod(0o755)
    service.amend(SERVICE, f"[Service]\nExecStart=\nExecStart=/opt/was-daemon/bin/both {config}\n")
    service.systemctl("restart", SERVICE)
    eventually((service.machine.root / f"{told}.done".lstrip("/")).exists, "for the checks to be made")
    report = json.loads((service.machine.root / f"{told}.json".lstrip("/")).read_text())
    assert failed(report["findings"]) == [], report
    assert [each["state"] for each in report["findings"] if each["check"] in ("paths", "stores", "key")] == ["ok"] * 3


def test_a_disk_that_is_not_mounted_is_mounted_by_what_is_told_and_its_place_stays_roots(service: Service) -> None:
    etc = service.machine.root / "etc/systemd/system"
    disk = "[Mount]\nWhat=tmpfs\nWhere=/srv/a-disk\nType=tmpfs\nOptions=mode=777\n"
    (etc / r"srv-a\x2ddisk.mount").write_text(disk)
    service.machine.run("mkdir", "/srv/a-disk")
    service.amend(SERVICE, "[Unit]\nRequiresMountsFor=/srv/a-disk\n[Service]\nReadWritePaths=/srv/a-disk\n")
    path = service.machine.root / "etc/was-daemon/was.toml"
    path.write_text(re.sub(r"/var/lib/was-daemon/files", "/srv/a-disk", path.read_text()))
    service.systemctl("restart", SERVICE)
    assert failed(examined(service)) == []
    service.systemctl("stop", r"srv-a\x2ddisk.mount")
    found = failed(examined(service))
    assert [each["check"] for each in found[:2]] == ["service", "disks"], found
    assert "nothing is mounted on /srv/a-disk" in found[1]["message"]
    assert not any("chown" in str(each["remedy"]) for each in found)
    mend(service, found[1])
    mend(service, found[0])
    assert failed(examined(service)) == []


def test_what_only_the_running_daemon_sees_is_mended_by_a_restart(service: Service) -> None:
    spool, run = "/var/cache/was-daemon", service.machine.run
    run("rm", "-rf", spool)
    first = failed(examined(service))[0]
    assert first["message"].startswith(f"{spool} has been removed since {SERVICE} was started"), first
    run("install", "-d", "-o", "was-daemon", "-g", "was-daemon", "-m", "700", spool)
    found = failed(examined(service))
    assert found[0]["message"].startswith(f"only the running daemon sees {spool}"), found
    mend(service, found[0])
    assert failed(examined(service)) == []

    # A disk that was read-only when the daemon was started stays so in its namespace.
    disk = "/srv/attachments"
    run("install", "-d", disk)
    run("mount", "-t", "tmpfs", "-o", "mode=755,uid=was-daemon,gid=was-daemon", "tmpfs", disk)
    path = service.machine.root / "etc/was-daemon/was.toml"
    path.write_text(path.read_text().replace("/var/lib/was-daemon/files", disk))
    kept = next(each for each in failed(examined(service)) if each["check"] == "paths")
    run("mount", "-o", "remount,ro", disk)
    mend(service, kept)
    (found_first, *_) = [each for each in failed(examined(service)) if each["check"] == "disks"]
    assert found_first["message"].endswith(f"which is mounted read-only at {disk}")
    run("mount", "-o", "remount,rw", disk)
    found = failed(examined(service))
    assert found[0]["message"].startswith(f"only the running daemon sees {disk} read-only"), found
    mend(service, found[0])
    assert failed(examined(service)) == []
