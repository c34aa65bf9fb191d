"""The Debian package of this repository, and fresh machines to install it on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import BIN
from tests.support.needs import lacking, require
from tests.support.paths import ROOT

PROGRAM = "/usr/lib/was-daemon"

_NEEDED = "adduser,procps,python3,systemd"
"""What the package depends on, and a service manager, so that it can be installed without a network."""


def build_package(directory: Path, architecture: str = "amd64") -> Path:
    """Build the package as `make deb` does, into an empty directory."""
    require(shutil.which("dpkg-deb"), "dpkg-deb")
    wheels = directory / "wheels"
    if not wheels.exists():
        subprocess.run([sys.executable, "-m", "build", "--outdir", wheels, ROOT], check=True, stdout=subprocess.DEVNULL)
    (wheel,) = wheels.glob("*.whl")
    script = ROOT / "etc" / "dist" / "deb.sh"
    environ = {**os.environ, "XZ_LEVEL": "0", "PATH": f"{BIN}:{os.environ['PATH']}"}
    ran = subprocess.run([script, wheel, architecture, directory], env=environ, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    (package,) = directory.glob(f"*_{architecture}.deb")
    return package


def changed_package(package: Path, directory: Path, version: str, comment: str) -> Path:
    """Return a package of another version, whose configuration ends with another comment."""
    tree = directory / version
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    lines = [line for line in control.read_text().splitlines() if not line.startswith("Version:")]
    control.write_text("\n".join([*lines, f"Version: {version}", ""]))
    with (tree / "etc/was-daemon/was.toml").open("a") as configuration:
        configuration.write(f"# {comment}\n")
    made = directory / f"was-daemon_{version}_amd64.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, made], check=True, capture_output=True)
    shutil.rmtree(tree)
    return made


def make_root(release: str, root: Path, *options: str) -> None:
    """Make the root directory of a fresh machine of a release; skip the test where no mirror of this machine has it."""
    require(os.geteuid() == 0, "a root directory is made by root, which")
    require(shutil.which("mmdebstrap"), "mmdebstrap")
    command = ["mmdebstrap", "--quiet", "--variant=apt", *_settings_of_apt(root), *options, release, root]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        reason = f"mmdebstrap cannot make a {release}: {made.stderr[-500:]}"
        if release == "bookworm":
            lacking(reason)
        pytest.skip(reason)


def make_machine_root(release: str, root: Path) -> None:
    """Make the root directory of a machine that has what the package depends on, and systemd."""
    make_root(release, root, f"--include={_NEEDED}")
    # A machine has this from its installer.
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")


def _settings_of_apt(root: Path) -> list[str]:
    """Return options by which apt reaches its mirrors as this machine's does."""
    lines = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout.splitlines()
    options = root.with_suffix(".apt")
    options.write_text("\n".join(line for line in lines if line.startswith("Acquire::")) + "\n")
    return [f"--aptopt={options}", '--aptopt=APT::Sandbox::User "root"']
