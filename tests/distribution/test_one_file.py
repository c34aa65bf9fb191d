"""The one file that `make dist` builds, on a machine that has nothing but a Python."""

import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import pytest_twisted
from packaging.utils import canonicalize_name
from PIL import Image

from tests.distribution.test_constraints import pinned
from tests.support import images
from tests.support.client import Client
from tests.support.daemon import BIN, KEY, Daemon
from tests.support.paths import ROOT
from was_daemon import __version__

VIEWER_LIBRARY = "was_daemon/web/viewer/openseadragon"
_DIST = ROOT / "etc" / "dist"
_PYTHON = Path(sys.base_prefix) / "bin" / "python3"

_PLUGIN = """
import attrs
from zope.interface import implementer
from was_daemon.model.interfaces import IAssetStorePlugin
from was_daemon.testing.memory import MemoryStore

@attrs.frozen
class Options: pass

@implementer(IAssetStorePlugin)
class Plugin:
    name, options = "forgetful", Options
    def create(self, options): return MemoryStore()

plugin = Plugin()
"""


def _tiff() -> bytes:
    return images.encode(images.chart(), "TIFF")


_ORIGINALS = {"a.jpg": images.photograph, "b.tif": _tiff, "c.pdf": images.pdf, "d.heic": images.heic}


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file, as `make dist` builds it, for this Python."""
    directory = tmp_path_factory.mktemp("dist")
    environ = {"PATH": f"{BIN}:/usr/bin:/bin", "TOOLS": str(BIN), **_registry()}
    command = [_DIST / "build.sh", directory, _PYTHON]
    finished = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return directory / f"was-daemon-{__version__}.pyz"


def pack(scripts: Path, wheel: Path, file: Path) -> subprocess.CompletedProcess[str]:
    """Make the one file of a wheel, for this Python."""
    environ = {"PATH": f"{BIN}:/usr/bin:/bin", **_registry()}
    command = [scripts / "one-file.sh", wheel, file, _PYTHON]
    return subprocess.run(command, env=environ, capture_output=True, text=True)


def list_packages(file: Path, time: str) -> None:
    """List what is in the one file, beside it, for a release of that time in ISO 8601."""
    seconds = f"{datetime.fromisoformat(time).timestamp():.0f}"
    environ = {"PATH": f"{BIN}:/usr/bin:/bin", "SOURCE_DATE_EPOCH": seconds}
    subprocess.run([_DIST / "sbom.sh", file], check=True, env=environ)


def _registry() -> dict[str, str]:
    """Where pip finds packages on this machine, and where it may write."""
    return {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name == "HOME"}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """A command that runs another in an environment without anything but two empty directories."""
    directory = tmp_path_factory.mktemp("bare")
    for name in ("home", "tmp"):
        (directory / name).mkdir()
    return ("env", "-i", f"HOME={directory / 'home'}", f"TMPDIR={directory / 'tmp'}")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, one_file: Path, bare: tuple[str, ...]) -> Iterator[Daemon]:
    """A daemon that runs from the file, with a plugin dropped in."""
    directory = tmp_path_factory.mktemp("served")
    plugins = directory / "plugins" / "storage_plugins"
    plugins.mkdir(parents=True)
    (plugins / "forgetful.py").write_text(_PLUGIN)
    config = {
        "stores": {
            "main": {"plugin": "filesystem", "path": directory / "store"},
            "other": {"plugin": "forgetful"},
        },
        "collections": {
            "mode": "map",
            "map": {"disk": {"directory": "disk"}, "memory": {"directory": "memory", "store": "other"}},
        },
        "plugins": {"path": [directory / "plugins"]},
    }
    daemon = Daemon(directory, config, wrapper=bare, command=(_PYTHON, one_file, "serve")).start()
    yield daemon
    daemon.stop()


@pytest.mark.slow
@pytest.mark.parametrize("coll", ["disk", "memory"])
@pytest.mark.parametrize("name", _ORIGINALS)
@pytest_twisted.ensureDeferred
async def test_the_file_stores_shows_and_deletes(daemon: Daemon, name: str, coll: str) -> None:
    client = Client(daemon.url, KEY)
    content = _ORIGINALS[name]()
    await client.store(name, content, coll=coll)
    assert (await client.original(name, coll=coll)).body == content

    thumbnail = await client.thumbnail(name, 50, coll=coll)
    assert thumbnail.status == 200, daemon.log()
    with Image.open(io.BytesIO(thumbnail.body)) as image:
        assert max(image.size) == 50
    assert (await client.metadata(name, coll=coll)).status == 200

    assert (await client.delete(name, coll=coll)).body == b"Ok."
    assert (await client.original(name, coll=coll)).status == 404
    assert (await client.thumbnail(name, 50, coll=coll)).status == 404


@pytest.mark.slow
def test_its_workers_are_confined_and_find_what_they_need(daemon: Daemon) -> None:
    assert "This machine lacks" not in daemon.log()
    assert "worker ended" not in daemon.log().lower()


@pytest.mark.slow
def test_the_file_has_the_other_commands(one_file: Path, bare: tuple[str, ...], tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        command = [*bare, _PYTHON, one_file, *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    assert __version__ in run("--version")
    homeless = subprocess.run(["env", "-i", "HOME=nowhere", _PYTHON, one_file], capture_output=True, text=True)
    assert (homeless.returncode, homeless.stderr.count("\n")) == (1, 1)
    assert "set SHIV_ROOT" in homeless.stderr
    run("init", "--yes", "--path", str(tmp_path / "attachments"))
    assert re.fullmatch(r"[0-9a-f]{32}:[0-9]+\n", run("token", "a.jpg", "--config", "was.toml"))
    assert "sftp" in run("config", "check", "--plugins", "--config", "was.toml")


def packed(one_file: Path) -> dict[str, str]:
    """The versions of what is in the file, by name."""
    with zipfile.ZipFile(one_file) as archive:
        found = {name.split("/")[1] for name in archive.namelist() if ".dist-info/" in name}
    names = (each.removesuffix(".dist-info").rpartition("-") for each in found)
    return {canonicalize_name(name): version for name, _, version in names}


@pytest.mark.slow
def test_it_holds_what_is_pinned_and_nothing_else(one_file: Path) -> None:
    found = packed(one_file)
    allowed = pinned(f"{sys.version_info[0]}.{sys.version_info[1]}", platform.machine()).items()
    assert found.items() - allowed == {("was-daemon", __version__)}
    assert not {"rawpy", "numpy"} & found.keys()


@pytest.mark.slow
def test_its_modules_are_compiled_since_workers_cannot_keep_what_they_compile(one_file: Path) -> None:
    with zipfile.ZipFile(one_file) as archive:
        names = set(archive.namelist())
    modules = [Path(name) for name in names if re.match(r"site-packages/(was_daemon|twisted|PIL)/.*\.py$", name)]
    compiled = {
        str(each.parent / "__pycache__" / f"{each.stem}.{sys.implementation.cache_tag}.pyc") for each in modules
    }
    assert len(compiled) > 1000
    assert compiled - names == set()


@pytest.mark.slow
def test_its_packages_are_listed_with_their_licences_and_the_list_is_always_the_same(one_file: Path) -> None:
    text = one_file.with_suffix(".cdx.json").read_text("utf-8")
    document = json.loads(text)
    assert document["bomFormat"] == "CycloneDX"
    listed = {canonicalize_name(each["name"]): each for each in document["components"]}
    library = listed.pop("openseadragon")
    assert library["purl"] == f"pkg:npm/openseadragon@{library['version']}"
    assert library["licenses"] == [{"license": {"id": "BSD-3-Clause"}}]
    assert {name: each["version"] for name, each in listed.items()} == packed(one_file)
    assert [name for name, each in listed.items() if not each.get("licenses")] == []
    assert "file://" not in text
    assert str(one_file.parent) not in text
    list_packages(one_file, document["metadata"]["timestamp"])
    assert one_file.with_suffix(".cdx.json").read_text("utf-8") == text


@pytest.mark.slow
def test_a_file_with_another_hash_is_not_packed(one_file: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "etc" / "dist", tmp_path / "etc" / "dist")
    constraints = (ROOT / "constraints.txt").read_text("utf-8")
    another, count = re.subn(
        r"(^attrs==.*\n)((?: +--hash.*\n)+)", rf"\1    --hash=sha256:{'0' * 64}\n", constraints, flags=re.M
    )
    assert count == 1
    (tmp_path / "constraints.txt").write_text(another)
    (wheel,) = one_file.parent.glob("*.whl")
    finished = pack(tmp_path / "etc" / "dist", wheel, tmp_path / "was-daemon.pyz")
    assert finished.returncode != 0
    assert "DO NOT MATCH" in finished.stderr
    assert not (tmp_path / "was-daemon.pyz").exists()


@pytest.mark.slow
def test_the_source_distribution_is_whole(one_file: Path, tmp_path: Path) -> None:
    (archive,) = one_file.parent.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", archive, "-C", tmp_path, "--strip-components=1"], check=True)
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    missing = [file for file in tracked.splitlines() if not (tmp_path / file).exists()]
    assert missing == [".gitignore"]
    assert (tmp_path / VIEWER_LIBRARY / "openseadragon.js").exists()
    assert (tmp_path / VIEWER_LIBRARY / "LICENSE.txt").exists()


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_the_file_has_the_viewer_and_the_licence_of_what_it_is_made_of(daemon: Daemon, one_file: Path) -> None:
    with zipfile.ZipFile(one_file) as archive:
        licence = archive.read(f"site-packages/{VIEWER_LIBRARY}/LICENSE.txt").decode()
    assert "OpenSeadragon contributors" in licence
    client = Client(daemon.url, KEY)
    await client.store("seen.jpg", images.photograph(), coll="disk")
    page = await client.get("/view?coll=disk&filename=seen.jpg")
    assert page.status == 200, page
    (script,) = re.findall(r'src="(view/\w+/openseadragon\.js)"', page.text)
    assert (await client.get(f"/{script}")).status == 200


@pytest.mark.slow
def test_the_wheel_installs_into_an_empty_environment(one_file: Path, tmp_path: Path) -> None:
    (wheel,) = one_file.parent.glob("*.whl")
    subprocess.run([_PYTHON, "-m", "venv", tmp_path / "venv"], check=True)
    binaries = tmp_path / "venv" / "bin"
    subprocess.run([binaries / "pip", "install", "--quiet", wheel], check=True)
    (site,) = (tmp_path / "venv" / "lib").glob("*/site-packages")
    # Plugin directories of others are of the same names.
    assert not (site / "twisted" / "plugins" / "was_daemon_plugin" / "__init__.py").exists()
    assert (site / "twisted" / "plugins" / "was_daemon_plugin.py").exists()
    assert {file.stem for file in (site / "storage_plugins").glob("*.py")} >= {"filesystem", "sftp", "webdav"}
    usage = subprocess.run([binaries / "twistd", "--help"], check=True, capture_output=True, text=True).stdout
    assert re.search(r"^ +was +An asset server", usage, re.M)
    metadata = next(site.glob("was_daemon-*.dist-info")) / "METADATA"
    assert metadata.parent.name == f"was_daemon-{__version__}.dist-info"
    assert "Description-Content-Type: text/markdown" in metadata.read_text("utf-8")


def test_the_file_says_which_python_it_needs(tmp_path: Path) -> None:
    preamble = tmp_path / "preamble.py"
    source = (ROOT / "etc" / "dist" / "preamble.py").read_text("utf-8")
    preamble.write_text(f"PYTHONS = '2.6 2.7'\n{source}")
    finished = subprocess.run([sys.executable, preamble], capture_output=True, text=True)
    assert finished.returncode == 1
    assert finished.stderr.startswith("This file is for Python 2.6 2.7; this is 3.")

    preamble.write_text(f"PYTHONS = '2.7 {sys.version_info[0]}.{sys.version_info[1]}'\n{source}")
    subprocess.run([sys.executable, preamble], check=True)


def test_where_it_cannot_unpack_itself_it_says_what_to_set(tmp_path: Path) -> None:
    main = tmp_path / "main.py"
    main.write_text((ROOT / "etc" / "dist" / "main.py").read_text("utf-8"))
    (tmp_path / "_bootstrap.py").write_text("def bootstrap(): print('unpacked')\n")

    def run(**environ: str) -> tuple[int, str]:
        finished = subprocess.run([sys.executable, main], env=environ, cwd=tmp_path, capture_output=True, text=True)
        return finished.returncode, finished.stdout + finished.stderr

    assert run(HOME=str(tmp_path / "home")) == (0, "unpacked\n")
    assert run(HOME="nowhere", SHIV_ROOT=str(tmp_path / "cache" / "shiv")) == (0, "unpacked\n")
    message = "This file has to unpack itself, and cannot do so in nowhere/.shiv: set SHIV_ROOT to a directory.\n"
    assert run(HOME="nowhere") == (1, message)
    # What was unpacked before needs no place.
    (tmp_path / "nowhere" / ".shiv" / "main.py_1234").mkdir(parents=True)
    assert run(HOME="nowhere") == (0, "unpacked\n")


def test_it_is_built_for_those_pythons_that_the_machine_has(tmp_path: Path) -> None:
    for name in ("sh", "find"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    # The last one that is looked for is missing, as on Debian 12.
    for name in ("python3.11", "python3.12"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    finished = subprocess.run(
        [str(shutil.which("make")), "--silent", "--eval", "tell: ; @echo $(PYTHONS);", "tell"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert finished.stdout.split() == ["python3.11", "python3.12"]


def test_no_file_is_built_for_no_python(tmp_path: Path) -> None:
    file = tmp_path / "was-daemon.pyz"
    finished = subprocess.run(
        [ROOT / "etc" / "dist" / "one-file.sh", tmp_path / "some.whl", file], capture_output=True, text=True
    )
    assert finished.returncode == 2
    assert "no Python" in finished.stderr
    assert not file.exists()
