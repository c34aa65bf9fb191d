"""The attachment key that systemd passes to the daemon: gone, empty, weak, and the first line says what mends it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.cli import write_config
from tests.support.examined import found_by, only
from was_daemon.doctor import configuration, keys, service
from was_daemon.doctor.findings import Finding, State
from was_daemon.doctor.machine import Machine
from was_daemon.doctor.unit import Unit, drop_in

UNIT = "was-daemon.service"
AGAIN = f"systemctl reset-failed {UNIT}; systemctl restart {UNIT}"


def config_of(directory: Path) -> Path:
    return with_key_file(directory, "$CREDENTIALS_DIRECTORY/key")


def with_key_file(directory: Path, key_file: str) -> Path:
    config = write_config(directory, {"main": {"plugin": "filesystem", "path": directory}}, server={"key": "KEY"})
    config.write_text(re.sub('"?key"? = "KEY"', f'key_file = "{key_file}"', config.read_text()))
    return config


def machine(config: Path, credentials: Mapping[str, Path], **properties: str) -> Machine:
    """A machine whose unit has failed, as without a credential."""
    failed = {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "243", "User": "root"}
    known = {"LoadState": "loaded", "ExecStart": f"was --config {config} ;", **failed, **properties}
    return Machine(Unit(UNIT, known, credentials, None), is_seen_by_root=os.geteuid() == 0)


def found_in(config: Path, source: Path, **properties: str) -> list[Finding]:
    """What the checks say that come first."""
    examined = machine(config, {"key": source}, **properties)
    return [each for look in (configuration.look, service.look) for each in found_by(look, config, examined)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "names no file, so was-daemon.service does not start"),
        (b"", "names an empty file"),
        (b" \n", "names an empty file"),
        (b"\xff\xfe\xff", "names a file that is not a text"),
    ],
)
def test_a_key_that_is_gone_or_empty_is_mended_by_what_the_first_line_says(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    source = tmp_path / "key"
    if content is not None:
        source.write_bytes(content)
        source.chmod(0o600)
    found = found_in(config_of(tmp_path), source)
    assert not any("there is no such file" in each.message for each in found)
    key, unit = (each for each in found if each.state is State.FAILED)
    assert key.message == f"server.key_file: LoadCredential=key:{source} {key.message[key.message.index('names') :]}"
    assert words in key.message
    remedy = str(key.remedy)
    assert remedy.index("Try the old key first") < remedy.index("make a NEW one: openssl rand -hex 32 | install")
    assert "every upload is refused until Specify has it" in remedy
    assert remedy.endswith(AGAIN)
    assert unit.message == f"{UNIT} has failed (exit-code, status 243: a file of LoadCredential= cannot be passed)"
    assert str(unit.remedy).endswith(AGAIN)


def test_a_key_elsewhere_is_not_missed_beside_the_configuration(tmp_path: Path) -> None:
    source = tmp_path / "secrets/key"
    source.parent.mkdir()
    source.write_text("a key that is long enough")
    source.chmod(0o600)
    found = found_in(config_of(tmp_path), source, ActiveState="inactive")
    assert only(found).message == f"{UNIT} is stopped"
    assert f"systemd passes {source} to the daemon when that is started" in only(found, State.SKIPPED).message


def test_a_credential_that_is_no_key_is_not_made_of_chance(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    (tmp_path / "key").write_text("a key that is long enough")
    (tmp_path / "key").chmod(0o600)
    examined = machine(config, {"key": tmp_path / "key", "database": tmp_path / "database"}, ActiveState="active")
    finding = only(found_by(service.look, config, examined))
    assert "openssl" not in str(finding.remedy)
    assert f"install -m 600 /dev/stdin {tmp_path}/database" in str(finding.remedy)


def test_an_empty_key_file_of_the_daemons_own_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "own").touch()
    config = with_key_file(tmp_path, "own")
    finding = only(found_by(configuration.look, config))
    assert finding.message == f"server.key_file: {tmp_path}/own: is empty"
    assert "Try the old key first" in str(finding.remedy)
    assert f"/dev/stdin {tmp_path}/own" in str(finding.remedy)


def test_a_weak_key_is_replaced_in_its_file_and_by_a_restart(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    (tmp_path / "key").write_text("short")
    (tmp_path / "key").chmod(0o600)
    source = tmp_path / "secrets/key"
    finding = only(found_by(keys.look, config, machine(config, {"key": source}, ActiveState="active")))
    assert str(finding.remedy).startswith(f"openssl rand -hex 32 > {source}; then enter the same in Specify")
    assert str(finding.remedy).endswith(f"systemctl restart {UNIT}")
    own = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path}}, server={"key": "short"})
    assert f"as server.key in {own}: openssl" in str(only(found_by(keys.look, own)).remedy)


def test_a_unit_that_was_started_too_often_starts_by_what_is_told(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    failed, looping, running = (
        machine(config, {}, ActiveState=state).unit for state in ("failed", "activating", "active")
    )
    assert [failed.restart, looping.restart, running.restart] == [AGAIN, AGAIN, f"systemctl restart {UNIT}"]
    assert AGAIN in drop_in(failed, "paths", "ProtectHome=no")
