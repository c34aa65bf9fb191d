"""The image of etc/docker, built as `make image` does, and run by podman as compose files run it."""

import json
import os
import platform
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_twisted
from packaging.utils import canonicalize_name

from tests.distribution.test_constraints import pinned
from tests.support.client import Client, Connection
from tests.support.daemon import KEY, eventually
from tests.support.http_contract import BLUE, RED, plain_picture, shows
from tests.support.paths import ROOT
from tests.support.podman import IMAGE, Container, Podman

pytestmark = pytest.mark.slow

CONFINED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")
"""What the compose files allow the daemon."""
VARIABLES = (f"--env=ATTACHMENT_KEY={KEY}", "--env=SERVER_NAME=assets.example.org", "--env=SERVER_PORT=443")
SPECIFY = 999
PACKAGES = """
import json
from importlib.metadata import distributions
print(json.dumps({each.name: each.version for each in distributions()}))
"""
COMPILED = """
import sys
import was_daemon.daemon.service
import was_daemon.workers.worker
for module in list(sys.modules.values()):
    if getattr(module, "__cached__", None):
        with open(module.__cached__, "rb") as file:
            # Compiled by content, which is not looked at again: PEP 552.
            assert file.read(8)[4:] == bytes([1, 0, 0, 0]), module
"""
SETTINGS = """
[stores.main]
plugin = "filesystem"
path = "/home/specify/attachments"
[spool]
path = "/var/lib/was-daemon/spool"
[catalogue]
path = "/var/lib/was-daemon/catalogue.sqlite"
[collections]
mode = "map"
[collections.map]
KUFishvoucher = { directory = "Ichthyology" }
"""


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Podman with the image."""
    podman = Podman(tmp_path_factory.mktemp("podman") / "storage")
    try:
        yield podman
    finally:
        podman.remove()


@pytest.fixture(scope="module")
def archive(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of the image, which podman has loaded."""
    return podman.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture
def start(podman: Podman, archive: Path) -> Iterator[Callable[..., Container]]:
    """A function that starts a container with options of `podman run`."""
    started = []

    def start(*options: str, command: Sequence[str] = ()) -> Container:
        container = Container(podman, options, command)
        started.append(container)
        return container

    yield start
    for container in started:
        container.remove()


def attachments(directory: Path) -> Path:
    """A volume as the official image leaves it: everything belongs to its user."""
    for name in ("originals", "thumbnails"):
        (directory / "attachments" / name).mkdir(parents=True)
    volume = directory / "attachments"
    (volume / "originals" / "before.jpg").write_bytes(plain_picture(RED))
    (volume / "originals" / "sp6123.att.jpg").write_bytes(plain_picture(BLUE))
    own(volume, SPECIFY)
    return volume


def own(directory: Path, user: int) -> None:
    """Give a directory and all that is in it to a user and the group of the same number."""
    for path in (directory, *directory.rglob("*")):
        os.chown(path, user, user)


def manifest_in(archive: Path) -> dict[str, Any]:
    """What an archive says of its image."""
    with tarfile.open(archive) as tar:
        (manifest,) = json.load(tar.extractfile("manifest.json"))
    return dict(manifest)


def config_in(archive: Path) -> dict[str, Any]:
    """How the image in an archive is run, and its layers."""
    name = manifest_in(archive)["Config"]
    with tarfile.open(archive) as tar:
        return dict(json.load(tar.extractfile(name)))


# -- what is in it -----------------------------------------------------------------------------------------------------


def test_it_has_the_pinned_packages_and_the_viewer_and_nothing_to_install_others(podman: Podman, archive: Path) -> None:
    found = json.loads(podman("run", "--rm", IMAGE, "python", "-c", PACKAGES))
    versions = {canonicalize_name(name): version for name, version in found.items()}
    ours = versions.pop("was-daemon")
    assert podman("run", "--rm", IMAGE, "was-daemon", "--version").endswith(ours)
    assert versions.items() <= pinned("3.13", platform.machine()).items()
    assert {"twisted", "botocore", "psycopg", "pymysql"} <= versions.keys()
    assert not {"rawpy", "numpy", "pip", "setuptools"} & versions.keys()
    viewer = "import was_daemon.web.viewer as viewer; print(viewer.__path__[0])"
    directory = podman("run", "--rm", IMAGE, "python", "-c", viewer)
    podman("run", "--rm", IMAGE, "test", "-s", f"{directory}/openseadragon/openseadragon.js")


def test_no_module_is_compiled_at_the_start(podman: Podman, archive: Path) -> None:
    podman("run", "--rm", "--read-only", IMAGE, "python", "-c", COMPILED)


def test_what_the_build_was_told_of_this_machine_is_not_in_it(podman: Podman, archive: Path) -> None:
    places = "/etc/pip.conf /etc/apt/apt.conf.d/99site /usr/local/share/ca-certificates/site.crt /root/.cache"
    assert not podman("run", "--rm", "--user=0", IMAGE, "sh", "-c", f"ls -d {places} 2>/dev/null || true")
    trusted = podman("run", "--rm", IMAGE, "cat", "/etc/ssl/certs/ca-certificates.crt")
    # Those of Debian, for stores by https, and none of this machine's own.
    own = [path.read_text().strip() for path in Path("/usr/local/share/ca-certificates").glob("**/*.crt")]
    assert trusted.count("BEGIN CERTIFICATE") > 100
    assert not any(certificate in trusted for certificate in own)


def test_the_archive_is_one_that_every_docker_loads(archive: Path) -> None:
    assert manifest_in(archive)["RepoTags"] == ["localhost/was-daemon:latest"]
    settings = config_in(archive)["config"]
    assert settings["User"] == f"{SPECIFY}:{SPECIFY}"
    assert settings["ExposedPorts"].keys() == {"8080/tcp"}
    assert settings["Volumes"].keys() == {"/home/specify/attachments"}
    assert settings["WorkingDir"] == "/home/specify"
    assert settings["Healthcheck"]["Test"][0] == "CMD"
    assert settings["StopSignal"] == "SIGTERM"


def test_it_is_as_small_as_the_documentation_says(podman: Podman, archive: Path) -> None:
    text = (ROOT / "docs" / "containers.md").read_text("utf-8")
    (said,) = re.findall(r"(\d+) MB on\s+the disk, and (\d+) MB in the\s+file", text)
    measured = (int(podman("inspect", "--format", "{{.Size}}", IMAGE)), archive.stat().st_size)
    assert [int(each) for each in said] == [pytest.approx(size / 1e6, rel=0.1) for size in measured]


def test_the_same_sources_make_the_same_archive(archive: Path, tmp_path: Path) -> None:
    again = Podman(tmp_path / "again")
    try:
        other = again.build(tmp_path)
    finally:
        again.remove()
    assert config_in(archive) == config_in(other)
    assert archive.read_bytes() == other.read_bytes()


# -- in the place of the official image --------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_it_takes_over_the_volume_of_the_official_image(start: Callable[..., Container], tmp_path: Path) -> None:
    volume = attachments(tmp_path)
    container = start(*CONFINED, *VARIABLES, f"--volume={volume}:/home/specify/attachments").await_start()
    client = Client(container.url, KEY)
    assert (await client.original("before.jpg")).body == plain_picture(RED)
    assert shows(await client.thumbnail("before.jpg", 50), RED)
    await client.store("new.jpg", plain_picture(BLUE))
    assert shows(await client.thumbnail("new.jpg", 50), BLUE)
    assert (await client.delete("sp6123.att.jpg")).status == 200
    discovery = (await client.get("/web_asset_store.xml")).text
    assert '<url type="read">https://assets.example.org/fileget</url>' in discovery
    container.signal("TERM")
    assert container.wait() == 0

    files = {path.relative_to(volume).as_posix(): path for path in volume.rglob("*") if path.is_file()}
    assert {name for name in files if name.startswith("originals/")} == {"originals/before.jpg", "originals/new.jpg"}
    assert {name for name in files if name.startswith("thumbnails/")} == {
        "thumbnails/before_50.jpg",
        "thumbnails/new_50.jpg",
    }
    assert {(path.stat().st_uid, path.stat().st_gid) for path in volume.rglob("*")} == {(SPECIFY, SPECIFY)}


def test_a_new_volume_belongs_to_the_daemon(podman: Podman, start: Callable[..., Container]) -> None:
    volume = f"was-{uuid4().hex}"
    local = ("--env=SERVER_NAME=127.0.0.1", "--env=SERVER_PORT=8080")
    container = start(*CONFINED, *VARIABLES, *local, f"--volume={volume}:/home/specify/attachments").await_start()
    key = KEY.encode()
    checked = container.run("was-daemon", "check", "http://127.0.0.1:8080", "--key-stdin", stdin=key)
    assert "FAILED" not in checked
    container.remove()
    podman("volume", "rm", volume)


def test_without_a_key_it_makes_one_in_the_volume(start: Callable[..., Container]) -> None:
    container = start(*CONFINED).await_start()
    assert len(container.run("cat", "attachments/.key")) >= 32


def test_a_variable_that_is_wrong_is_named(start: Callable[..., Container]) -> None:
    container = start(*CONFINED, *VARIABLES, "--env=SERVER_PORT=http")
    assert container.wait() == 1
    assert "SERVER_PORT" in container.log()


# -- what it may do ----------------------------------------------------------------------------------------------------


def test_it_is_the_first_process_and_nobody_in_particular(start: Callable[..., Container]) -> None:
    container = start(*CONFINED, *VARIABLES).await_start()
    status = dict(re.findall(r"^(\w+):\s+(.*)$", container.run("cat", "/proc/1/status"), re.MULTILINE))
    assert status["Uid"].split() == [str(SPECIFY)] * 4
    assert status["Gid"].split() == [str(SPECIFY)] * 4
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert container.run("cat", "/proc/1/cmdline").split("\0")[1:] == ["/opt/was-daemon/bin/was-daemon", "serve", ""]
    for directory in ("/", "/opt/was-daemon", "/home/specify", "/etc"):
        assert container.run("sh", "-c", f"touch {directory}/x 2>/dev/null || echo refused") == "refused"
    for complaint in ("can read what the daemon can read", "plugin cache"):
        assert complaint not in container.log()


@pytest_twisted.ensureDeferred
async def test_it_also_runs_as_another_user(start: Callable[..., Container], tmp_path: Path) -> None:
    volume = attachments(tmp_path)
    own(volume, 1234)
    container = start(*CONFINED, *VARIABLES, "--user=1234:1234", f"--volume={volume}:/home/specify/attachments")
    client = Client(container.await_start().url, KEY)
    await client.store("new.jpg", plain_picture(BLUE))
    assert shows(await client.thumbnail("new.jpg", 50), BLUE)


def test_it_ends_at_once_while_it_starts(start: Callable[..., Container], tmp_path: Path) -> None:
    directory = tmp_path / "plugins" / "storage_plugins"
    directory.mkdir(parents=True)
    (directory / "slow.py").write_text("import time\nprint('starting', flush=True)\ntime.sleep(1000)\n")
    (tmp_path / "was.toml").write_text(f"{SETTINGS}[plugins]\npath = ['plugins']\n")
    tmp_path.chmod(0o755)
    command = ["was-daemon", "serve", "--config", "/settings/was.toml"]
    container = start(*CONFINED, *VARIABLES, f"--volume={tmp_path}:/settings:ro", command=command)
    eventually(lambda: "starting" in container.log(), "for the daemon to start")
    container.signal("TERM")
    assert container.wait() == 0


@pytest.mark.parametrize("init", [(), ("--init",)])
@pytest.mark.parametrize("signal", ["TERM", "INT"])
def test_it_finishes_the_upload_under_way_and_ends_well(
    start: Callable[..., Container], signal: str, init: tuple[str, ...]
) -> None:
    container = start(*CONFINED, *VARIABLES, *init).await_start()
    form = Client(container.url, KEY).specify7_form("slow.jpg")
    with Connection(("127.0.0.1", int(container.url.rpartition(":")[2]))) as connection:
        content = plain_picture(RED)
        connection.send(form.head(len(content)) + form.before)
        eventually(lambda: container.run("ls", "-A", "attachments/.staging"), "for the upload to begin")
        container.signal(signal)
        eventually(lambda: "(TCP Port 8080 Closed)" in container.log(), "for the port to be closed")
        connection.send(content + form.after)
        assert (connection.answer().status, container.wait()) == (200, 0)


def test_the_health_check_fails_where_no_daemon_answers(podman: Podman, start: Callable[..., Container]) -> None:
    container = start(command=["sleep", "1000"])
    assert podman.tried("healthcheck", "run", container.name).returncode == 1


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_configuration_takes_the_place_of_what_has_no_variable(
    start: Callable[..., Container], tmp_path: Path
) -> None:
    settings = tmp_path / "was.toml"
    settings.write_text(SETTINGS)
    volumes = (f"--volume={settings}:/etc/was-daemon/was.toml:ro", "--volume=state:/var/lib/was-daemon")
    command = ["was-daemon", "serve", "--config", "/etc/was-daemon/was.toml"]
    container = start(*CONFINED, *VARIABLES, *volumes, command=command).await_start()
    client = Client(container.url, KEY)
    await client.store("fish.jpg", plain_picture(RED), coll="KUFishvoucher")
    assert container.run("ls", "attachments/Ichthyology/originals") == "fish.jpg"
    assert "catalogue.sqlite" in container.run("ls", "/var/lib/was-daemon").split()
    # Commands find the same configuration.
    assert "KUFishvoucher" in container.run("was-daemon", "config", "check")
    settings.write_text(SETTINGS + 'KUHerbarium = { directory = "Botany" }\n')
    container.signal("HUP")
    # The daemon reads it in a moment.
    for _ in range(300):
        answer = await client.upload_like_specify7("plant.jpg", plain_picture(BLUE), coll="KUHerbarium")
        if answer.status == 200:
            break
    assert container.run("ls", "attachments/Botany/originals") == "plant.jpg"
