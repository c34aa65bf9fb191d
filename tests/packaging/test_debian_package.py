"""The Debian package, on fresh machines of the distributions that it is for."""

import io
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.debian import PROGRAM, build_package, changed_package, make_machine_root, make_root
from tests.support.machine import Machine
from tests.support.needs import require
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

RELEASES = ("bookworm", "trixie", "noble")
SERVICE = "was-daemon.service"
STORE = "var/lib/was-daemon/attachments"
URL = "http://127.0.0.1:8080"
CONSOLE_URL = "http://localhost:9180/console/"
NEWER = "99.0"

_LIBRARIES = """
import importlib, subprocess, sys
from pathlib import Path
for name in "rawpy psycopg psycopg_binary.pq pymysql pyvips pypdfium2 pillow_heif botocore.session asyncssh".split():
    importlib.import_module(name)
for library in sorted(Path(sys.prefix, "lib", "python%d.%d" % sys.version_info[:2]).rglob("*.so*")):
    said = subprocess.run(["ldd", library], capture_output=True, text=True)
    if "not found" in said.stdout:
        print(library, said.stdout)
"""
_FETCH = """
import sys, urllib.request
sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package of this repository."""
    directory = tmp_path_factory.mktemp("deb")
    yield build_package(directory)
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def newer(package: Path) -> Path:
    """A package of a newer version, with another configuration."""
    return changed_package(package, package.parent, NEWER, "of the newer version")


@pytest.fixture(scope="module", params=RELEASES)
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root directory of a fresh machine, not to be changed."""
    directory = tmp_path_factory.mktemp(request.param)
    try:
        make_machine_root(request.param, directory / "root")
        yield directory / "root"
    finally:
        shutil.rmtree(directory)


class Server:
    """A machine on which an administrator types commands."""

    def __init__(self, machine: Machine, packages: list[Path]) -> None:
        self.run = machine.run
        self.log = machine.log
        self.show = lambda what: machine.show(SERVICE, what)
        self.root = machine.root
        for package in packages:
            shutil.copy(package, self.root / "root" / package.name)

    def install(self, package: Path, *options: str) -> str:
        environment = ("env", "DEBIAN_FRONTEND=noninteractive")
        return self.run(*environment, "apt-get", "install", "--yes", *options, f"/root/{package.name}")

    def python(self, script: str, *arguments: str) -> str:
        return self.run(f"{PROGRAM}/bin/python3", "-c", script, *arguments)

    def keep_asset(self) -> None:
        """Store an original, as the daemon's user."""
        originals = self.root / STORE / "originals"
        self.run("install", "-d", "-o", "was-daemon", "-g", "was-daemon", f"/{STORE}", f"/{STORE}/originals")
        (originals / "kept.txt").write_text("an attachment")
        self.run("chown", "was-daemon:", f"/{STORE}/originals/kept.txt")

    def asset(self) -> str:
        return self.python(_FETCH, f"{URL}/fileget?filename=kept.txt&coll=a&type=O")

    def path(self, name: str) -> Path:
        return self.root / name.removeprefix("/")

    def owner(self, name: str) -> str:
        return self.run("stat", "--format=%U:%G %a", name).strip()


@pytest.fixture
def server(tmp_path: Path, root: Path, package: Path, newer: Path) -> Iterator[Server]:
    """A machine that runs, with the packages in /root."""
    machine = Machine(tmp_path, root)
    try:
        machine.start()
        yield Server(machine, [package, newer])
    finally:
        machine.stop()


def test_an_installation_leaves_a_server_that_does_what_specify_needs(server: Server, package: Path) -> None:
    server.install(package)
    assert server.show("ActiveState") == "active"
    assert server.show("UnitFileState") == "enabled"
    assert server.show("StatusText") == "Serving"
    checked = server.run("was-daemon", "check", URL, "--key-file", "/etc/was-daemon/key")
    assert "FAILED" not in checked
    assert "This machine lacks" not in server.log()
    assert "public_url" in server.log()
    server.run("systemctl", "reload", SERVICE)
    # Messages name them.
    assert server.path("/usr/share/doc/was-daemon/docs/operations.md").exists()

    assert server.owner("/etc/was-daemon/key") == "root:root 600"
    assert server.owner("/etc/was-daemon/was.toml") == "root:root 644"
    assert server.owner("/var/lib/was-daemon") == "was-daemon:was-daemon 750"
    assert server.owner("/var/cache/was-daemon") == "was-daemon:was-daemon 700"
    assert server.owner(f"/{STORE}").startswith("was-daemon:was-daemon ")
    assert server.run("dpkg", "--verify", "was-daemon") == ""
    assert server.run("dpkg", "--audit") == ""
    assert server.python(_LIBRARIES) == ""
    # What root types finds the configuration, the key and the store of the service.
    assert server.run("was-daemon", "status")
    assert server.run("was-daemon", "token", "a.jpg").count(":") == 1
    assert server.run("was-daemon", "check-store", "main")
    for directory in (PROGRAM, "/etc/was-daemon"):
        assert server.run("find", directory, "-user", "was-daemon") == ""


def test_the_console_is_there_and_one_command_makes_its_password(server: Server, package: Path) -> None:
    assert "was-daemon console-password" in server.install(package)
    password = server.run("was-daemon", "console-password").strip()
    assert len(password) >= 12
    assert server.owner("/etc/was-daemon/console-password") == "root:was-daemon 640"
    assert 'type="password"' in server.python(_FETCH, CONSOLE_URL)
    server.run("apt-get", "purge", "--yes", "was-daemon")
    assert not server.path("/etc/was-daemon").exists()


def test_an_upgrade_a_downgrade_a_removal_and_a_purge_keep_what_is_the_administrators(
    server: Server, package: Path, newer: Path
) -> None:
    server.install(package)
    key = server.path("/etc/was-daemon/key").read_text()
    server.keep_asset()
    configuration = server.path("/etc/was-daemon/was.toml")
    ours = configuration.read_text().replace("# public_url =", "public_url =")
    configuration.write_text(ours)
    process = server.show("MainPID")

    server.install(newer, "-o", "Dpkg::Options::=--force-confold")
    assert server.run("dpkg-query", "--show", "--showformat=${Version}", "was-daemon") == NEWER
    assert server.show("ActiveState") == "active"
    assert server.show("MainPID") != process
    assert configuration.read_text() == ours
    assert "of the newer version" in server.path("/etc/was-daemon/was.toml.dpkg-dist").read_text()
    assert server.path("/etc/was-daemon/key").read_text() == key
    assert server.asset() == "an attachment"

    server.install(package, "--allow-downgrades", "-o", "Dpkg::Options::=--force-confold")
    assert server.show("ActiveState") == "active"
    assert configuration.read_text() == ours
    assert server.asset() == "an attachment"

    server.run("apt-get", "remove", "--yes", "was-daemon")
    assert server.show("ActiveState") == "inactive"
    assert not server.path(PROGRAM).exists()
    assert configuration.read_text() == ours
    assert server.path("/etc/was-daemon/key").read_text() == key

    server.install(package, "-o", "Dpkg::Options::=--force-confold")
    assert server.show("ActiveState") == "active"
    assert configuration.read_text() == ours
    assert server.path("/etc/was-daemon/key").read_text() == key
    assert server.asset() == "an attachment"

    server.run("apt-get", "purge", "--yes", "was-daemon")
    assert not server.path("/etc/was-daemon").exists()
    assert not server.path("/var/cache/was-daemon").exists()
    assert not server.path(PROGRAM).exists()
    assert (server.path(f"/{STORE}") / "originals/kept.txt").read_text() == "an attachment"
    assert server.owner(f"/{STORE}/originals/kept.txt").startswith("was-daemon:was-daemon ")
    assert not list(server.path("/etc/systemd/system").glob(f"*.wants/{SERVICE}"))

    server.install(package)
    assert server.path("/etc/was-daemon/key").read_text() != key
    assert server.asset() == "an attachment"


def test_attachments_may_be_in_another_directory_as_the_guide_says(server: Server, package: Path) -> None:
    server.install(package)
    guide = (ROOT / "docs" / "install.md").read_text("utf-8").partition("<!-- tried: tests/packaging/")[2]
    blocks = re.findall(r"^    ```sh\n(.*?)^    ```", guide, re.M | re.S)
    assert len(blocks) == 2
    configuration = server.path("/etc/was-daemon/was.toml")
    text = configuration.read_text().replace(f'"/{STORE}"', '"/srv/attachments"')
    configuration.write_text(re.sub("^# public_url = .*", f'public_url = "{URL}"', text, flags=re.M))
    for block in blocks:
        server.run("sh", "-euc", block)
    assert "FAILED" not in server.run("was-daemon", "check", URL, "--key-file", "/etc/was-daemon/key")
    assert server.owner("/srv/attachments/originals") == "was-daemon:was-daemon 750"


def test_a_configuration_that_nobody_has_changed_follows_the_package(
    server: Server, package: Path, newer: Path
) -> None:
    server.install(package)
    configuration = server.path("/etc/was-daemon/was.toml")
    before = configuration.read_text()
    server.install(newer)
    assert configuration.read_text() == f"{before}# of the newer version\n"
    server.install(package, "--allow-downgrades")
    assert configuration.read_text() == before


def test_what_was_there_before_is_used(server: Server, package: Path) -> None:
    server.run("useradd", "--system", "--user-group", "--no-create-home", "was-daemon")
    server.path("/etc/was-daemon").mkdir()
    server.path("/etc/was-daemon/key").write_text("the key that Specify knows already\n")
    server.path("/etc/was-daemon/key").chmod(0o600)
    ours = '[server]\nkey_file = "$CREDENTIALS_DIRECTORY/key"\n[stores.main]\nplugin = "filesystem"\npath = "own"\n'
    ours = ours.replace('"own"', f'"/{STORE}"')
    server.path("/etc/was-daemon/was.toml").write_text(ours)
    server.keep_asset()
    # It has no console.
    assert "console-password" not in server.install(package, "-o", "Dpkg::Options::=--force-confold")
    assert server.path("/etc/was-daemon/key").read_text() == "the key that Specify knows already\n"
    assert server.path("/etc/was-daemon/was.toml").read_text() == ours
    assert server.show("ActiveState") == "active"
    assert server.asset() == "an attachment"


def test_a_service_that_the_administrator_has_disabled_stays_so(server: Server, package: Path, newer: Path) -> None:
    server.install(package)
    server.run("systemctl", "disable", "--now", SERVICE)
    server.install(newer)
    assert server.show("ActiveState") == "inactive"
    assert server.show("UnitFileState") == "disabled"


def test_a_port_that_is_taken_does_not_fail_the_installation(server: Server, package: Path) -> None:
    taker = "import socket, time; s = socket.create_server(('', 8080)); time.sleep(1000)"
    server.run("systemd-run", "--unit=taker", "python3", "-c", taker)
    server.install(package)
    assert server.show("ActiveState") != "active"
    server.run("systemctl", "stop", "taker")
    server.run("systemctl", "restart", SERVICE)
    assert server.show("ActiveState") == "active"


def test_after_a_change_of_python_its_bytecode_is_made_and_the_service_started_again(
    server: Server, package: Path
) -> None:
    server.install(package)
    process = server.show("MainPID")
    compiled = [path.relative_to(server.root) for path in server.path(PROGRAM).rglob("was_daemon/__pycache__/*.pyc")]
    assert compiled
    for path in compiled:
        (server.root / path).unlink()
    server.run("dpkg-trigger", "--by-package=python3-minimal", "/usr/bin/python3")
    server.run("dpkg", "--configure", "--pending")
    assert all((server.root / path).exists() for path in compiled)
    assert server.show("MainPID") != process
    assert server.show("ActiveState") == "active"


def test_without_systemd_it_can_be_installed_and_removed(tmp_path: Path, package: Path) -> None:
    root = tmp_path / "root"
    shutil.copy(package, tmp_path)
    # mmdebstrap installs it, and what it depends on, in a chroot.
    hooks = "/usr/share/mmdebstrap/hooks/file-mirror-automount"
    try:
        make_root("bookworm", root, f"--hook-dir={hooks}", f"--include={tmp_path / package.name}")
        assert not (root / "lib/systemd/systemd").exists()
        assert (root / "etc/was-daemon/key").stat().st_mode & 0o777 == 0o600

        def run(*command: str) -> str:
            ran = subprocess.run(["chroot", root, *command], capture_output=True, text=True)
            assert ran.returncode == 0, ran.stderr
            return ran.stdout

        assert run("was-daemon", "--version").startswith("was-daemon, version ")
        assert f"/{STORE}" in run("was-daemon", "config", "check")
        run("dpkg", "--remove", "was-daemon")
        assert (root / "etc/was-daemon/key").exists()
        run("dpkg", "--purge", "was-daemon")
        assert not (root / "etc/was-daemon").exists()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def test_lintian_finds_no_errors(package: Path) -> None:
    require(shutil.which("lintian"), "lintian")
    ran = subprocess.run(["lintian", "--allow-root", "--fail-on=error", package], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_same_sources_give_the_same_bytes(package: Path, tmp_path: Path) -> None:
    shutil.copytree(package.parent / "wheels", tmp_path / "wheels")
    before = os.umask(0o077)
    try:
        again = build_package(tmp_path)
    finally:
        os.umask(before)
    assert again.read_bytes() == package.read_bytes()


def test_a_package_for_arm64_has_nothing_for_another_machine(package: Path, tmp_path: Path) -> None:
    shutil.copytree(package.parent / "wheels", tmp_path / "wheels")
    made = build_package(tmp_path, "arm64")
    contents = subprocess.run(["dpkg-deb", "--fsys-tarfile", made], check=True, capture_output=True).stdout
    machines = {}
    with tarfile.open(fileobj=io.BytesIO(contents)) as files:
        for member in files:
            file = files.extractfile(member) if member.isfile() else None
            begin = file.read(20) if file else b""
            if begin.startswith(b"\x7fELF"):
                machines[member.name] = int.from_bytes(begin[18:20], "little")
    assert machines
    assert set(machines.values()) == {183}
