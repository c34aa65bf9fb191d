"""What a machine offers the daemon: the unit, limits, a clock, a sandbox, and versions without known faults."""

from pathlib import Path

import pytest

from tests.support.cli import write_config
from tests.support.examined import found_by, only
from was_daemon.doctor import clock, kernel, limits, service, unit, versions
from was_daemon.doctor.commands import CommandFailed, output_of
from was_daemon.doctor.findings import State
from was_daemon.doctor.machine import Machine, Nginx
from was_daemon.doctor.unit import Unit
from was_daemon.doctor.versions import FAULTS
from was_daemon.workers import landlock

SHOWN = """LoadState=loaded
ActiveState=active
User=was-daemon
ExecStart={ path=/opt/twistd ; argv[]=/opt/twistd was --config /etc/was-daemon/was.toml ; ignore_errors=no }
CacheDirectory=was-daemon
StateDirectory=was-daemon more
Environment=A=1 "B=two words"
ReadWritePaths=/srv/attachments
RequiresMountsFor=/var/tmp /srv/attachments /var/lib/was-daemon
Requires="srv-a\\\\x2ddisk.mount" system.slice
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
MainPID=0
"""
FILES = """# /lib/systemd/system/was-daemon.service
[Service]
LoadCredential=key:/etc/was-daemon/old
#LoadCredential=no:/etc/no
# /etc/systemd/system/was-daemon.service.d/key.conf
[Service]
LoadCredential=
LoadCredential=key:/etc/was-daemon/key
LoadCredential=other:own
"""


def config_of(directory: Path, **sections: dict[str, object]) -> Path:
    return write_config(directory, {"main": {"plugin": "filesystem", "path": directory}}, **sections)


def shown(config: Path, **properties: str) -> Machine:
    """A machine whose unit runs with `config`, and has these properties."""
    known = {"LoadState": "loaded", "ActiveState": "active", "User": "root", "ExecStart": f"was --config {config} ;"}
    return Machine(Unit("was-daemon.service", known | properties, {}, None))


def test_a_unit_is_read_as_systemd_prints_it() -> None:
    found = Unit("was-daemon.service", unit._properties(SHOWN), dict(unit._credentials(FILES)), None)
    assert found.runs(Path("/etc/was-daemon/was.toml"))
    assert not found.runs(Path("/etc/was-daemon"))
    assert found.credentials == {"key": Path("/etc/was-daemon/key")}
    assert found.environment() == {
        "A": "1",
        "B": "two words",
        "CACHE_DIRECTORY": "/var/cache/was-daemon",
        "STATE_DIRECTORY": "/var/lib/was-daemon",
    }
    assert found.disks() == [Path("/srv/attachments")]
    assert found.words("Requires") == [r"srv-a\x2ddisk.mount", "system.slice"]
    written = ["/srv/attachments/a", "/var/lib/more/a", "/var/cache/was-daemon", "/tmp/was"]
    assert [found.keeps_read_only(Path(path)) for path in written] == [None] * 4
    assert found.keeps_read_only(Path("/srv/other")) == "ProtectSystem=strict"
    assert (found.hides(Path("/home/me/a")), found.hides(Path("/srv"))) == ("ProtectHome=yes", None)


@pytest.mark.parametrize(
    ("properties", "state", "words", "remedy"),
    [
        ({}, State.OK, "runs as root", None),
        ({"ActiveState": "inactive"}, State.FAILED, "is stopped", "systemctl start was-daemon.service"),
        (
            {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "1"},
            State.FAILED,
            "exit-code",
            "journalctl",
        ),
        ({"ActiveState": "activating", "SubState": "auto-restart"}, State.FAILED, "ends right after", "journalctl"),
        ({"UnitFileState": "disabled"}, State.WARNING, "does not start with the machine", "systemctl enable"),
        ({"NeedDaemonReload": "yes"}, State.WARNING, "has been changed since", "systemctl daemon-reload"),
        ({"NRestarts": "7"}, State.WARNING, "restarted was-daemon.service 7 times", "journalctl"),
        ({"User": "nobody-of-this-name"}, State.FAILED, "there is no user nobody-of-this-name", "useradd --system"),
        ({"User": ""}, State.FAILED, "has no User=", "User=was-daemon"),
        ({"LoadState": "masked"}, State.FAILED, "is masked", "systemctl unmask"),
        ({"LoadState": "bad-setting"}, State.FAILED, "cannot read", "systemd-analyze verify"),
        ({"LoadState": "not-found"}, State.SKIPPED, "there is no was-daemon.service", None),
        ({"ExecStart": "was --config /other ;"}, State.SKIPPED, "runs with another configuration", None),
    ],
)
def test_the_state_of_the_unit_is_told(
    tmp_path: Path, properties: dict[str, str], state: State, words: str, remedy: str | None
) -> None:
    config = config_of(tmp_path)
    finding = only(found_by(service.look, config, shown(config, **properties)), state)
    assert words in finding.message
    assert (finding.remedy is None) is (remedy is None)
    assert (remedy or "") in (finding.remedy or "")


def test_credentials_that_are_not_there_are_told(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    machine = Machine(Unit("was-daemon.service", shown(config).unit.properties, {"key": tmp_path / "key"}, None))
    finding = only(found_by(service.look, config, machine))
    assert f"LoadCredential=key:{tmp_path}/key names no file" in finding.message
    assert f"install -m 600 /dev/stdin {tmp_path}/key" in str(finding.remedy)


def test_few_open_files_are_told(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    finding = only(found_by(limits.look, config, shown(config, LimitNOFILE="1024")), State.WARNING)
    assert "may open 1024 files" in finding.message
    assert "LimitNOFILE=65536" in str(finding.remedy)


@pytest.mark.parametrize(
    ("most", "memory", "workers", "state"),
    [
        (200 << 20, "1 GiB", 1, State.FAILED),
        (1 << 30, "1 GiB", 1, State.WARNING),
        (1 << 31, "1 GiB", 2, State.WARNING),
        (1 << 30, "256 MiB", 2, State.OK),
    ],
)
def test_less_memory_than_the_workers_may_use_is_told(
    tmp_path: Path, most: int, memory: str, workers: int, state: State
) -> None:
    config = config_of(tmp_path, thumbnails={"memory": memory, "workers": workers})
    finding = only(found_by(limits.look, config, shown(config, LimitNOFILE="65536", MemoryMax=str(most))), state)
    assert state is State.OK or "MemoryMax= of was-daemon.service" in finding.message


@pytest.mark.parametrize(
    ("is_synchronised", "state"), [(True, State.OK), (False, State.WARNING), (None, State.SKIPPED)]
)
def test_a_clock_that_follows_no_other_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_synchronised: bool | None, state: State
) -> None:
    assert clock.is_synchronised() in (True, False, None)
    monkeypatch.setattr(clock, "is_synchronised", lambda: is_synchronised)
    (finding,) = found_by(clock.look, config_of(tmp_path))
    assert finding.state is state
    assert (finding.remedy is None) is (state is not State.WARNING)


def test_a_clock_that_is_before_the_installation_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(tmp_path)
    monkeypatch.setattr(clock.time, "time", lambda: 1e9)
    assert "before this program was installed" in only(found_by(clock.look, config), State.WARNING).message


def test_a_kernel_without_landlock_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)
    finding = found_by(kernel.look, config_of(tmp_path))[0]
    assert (finding.state, "lacks Landlock" in finding.message) == (State.WARNING, True)
    assert "landlock" in str(finding.remedy).lower()


def test_faults_hit_the_versions_that_have_them() -> None:
    sqlite = next(each for each in FAULTS if each.program == "SQLite")
    hit = [(3, 40, 1), (3, 44, 5), (3, 46, 1), (3, 50, 6), (3, 51, 2)]
    spared = [(3, 6, 23), (3, 44, 6), (3, 50, 7), (3, 51, 3), (3, 53, 0)]
    assert all(map(sqlite.hits, hit))
    assert not any(map(sqlite.hits, spared))
    assert all(each.source for each in FAULTS)


def test_versions_with_known_faults_are_told_with_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(tmp_path)
    found = versions.installed(shown_patient(config_of(tmp_path, catalogue={"path": tmp_path / "catalogue.sqlite"})))
    assert {"SQLite", "OpenSSL", "libwebp", "OpenJPEG", "libheif", "nginx"} <= found.keys()
    monkeypatch.setattr(versions, "installed", lambda _: {"libwebp": (1, 3, 1), "OpenSSL": (3, 5, 0)})
    finding = only(found_by(versions.look, config), State.WARNING)
    assert finding.message.startswith("libwebp 1.3.1: a WebP file can write beyond a buffer")
    assert finding.message.endswith("see https://nvd.nist.gov/vuln/detail/CVE-2023-4863")
    monkeypatch.setattr(versions, "installed", lambda _: {"libwebp": (1, 5, 0)})
    assert only(found_by(versions.look, config), State.OK).message == "libwebp 1.5.0: no known faults"


def shown_patient(config: Path) -> versions.Patient:
    from tests.support.examined import patient

    return patient(config, Machine(nginx=[Nginx("1.22.1")]))


def test_programs_that_fail_hang_or_are_missing_are_told_in_a_phrase() -> None:
    assert output_of(["echo", "well"]) == ("well\n", "")
    for command, words in (
        (["sleep", "60"], "did not answer within 0.1 s"),
        (["no-program-of-this-name"], "there is no no-program"),
        (["cat", "/nowhere"], "cat says: .*/nowhere: No such file"),
    ):
        with pytest.raises(CommandFailed, match=words):
            output_of(command, seconds=0.1)


def test_instances_count_where_the_unit_itself_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def systemctl(command: list[str]) -> tuple[str, str]:
        if command[1] == "list-units":
            assert command[-1] == "was-daemon@*.service"
            return ("was-daemon@1.service loaded active running Asset server\n", "")
        if command[1] == "cat":
            return (FILES, "")
        state = "active" if "@" in command[-1] else "inactive"
        return (f"LoadState=loaded\nActiveState={state}\n", "")

    monkeypatch.setattr(unit, "output_of", systemctl)
    monkeypatch.setattr(unit, "_BOOTED", tmp_path)
    found = unit.look_at_unit()
    assert (found.name, found.is_active) == ("was-daemon@1.service", True)
    assert found.credentials == {"key": Path("/etc/was-daemon/key")}
