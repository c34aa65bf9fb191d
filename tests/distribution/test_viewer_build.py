"""OpenSeadragon for the viewer: fetched from npm when the daemon is built, in one version, known by its hash."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

VIEWER = ROOT / "etc" / "viewer"
LIBRARY = ROOT / "was_daemon" / "web" / "viewer" / "openseadragon"

NPM = """#!/bin/sh
echo "$@" >"{log}"
while [ "$1" != --prefix ]; do shift; done
cmp "$2/package-lock.json" "{lock}" || exit 1
mkdir -p "$2/node_modules/openseadragon/build/openseadragon"
cd "$2/node_modules/openseadragon"
echo licence >LICENSE.txt
echo '{{}}' >package.json
printf 'code;\\n//# sourceMappingURL=openseadragon.min.js.map' >build/openseadragon/openseadragon.min.js
"""


def fetch(directory: Path, npm: str | None) -> subprocess.CompletedProcess[str]:
    """Run fetch.sh where `npm` is the text of the only npm."""
    binaries = directory / "bin"
    binaries.mkdir()
    for name in ("sh", "dirname", "mktemp", "rm", "mkdir", "cp", "mv", "sed", "cmp", "env"):
        (binaries / name).symlink_to(str(shutil.which(name)))
    if npm is not None:
        (binaries / "npm").write_text(npm)
        (binaries / "npm").chmod(0o755)
    command = ["sh", str(VIEWER / "fetch.sh"), str(directory / "library")]
    environ = {"PATH": str(binaries), "TMPDIR": str(directory)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)


def test_one_version_is_named_and_known_by_its_hash_and_no_host_is() -> None:
    lock = (VIEWER / "package-lock.json").read_text("utf-8")
    wanted = json.loads((VIEWER / "package.json").read_text("utf-8"))["dependencies"]
    packages = {name: each for name, each in json.loads(lock)["packages"].items() if name}
    assert {name.removeprefix("node_modules/"): each["version"] for name, each in packages.items()} == wanted
    for each in packages.values():
        assert each["integrity"].startswith("sha512-")
        assert "resolved" not in each
    assert "registry" not in lock


def test_node_is_pinned_where_there_is_none() -> None:
    text = re.sub("#.*", "", (VIEWER / "node.txt").read_text("utf-8"))
    assert re.fullmatch(r"\s*[\w-]+==[\d.]+( \\\n +--hash=sha256:[0-9a-f]{64})+\s*", text)


def test_what_npm_brings_is_not_in_the_repository() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone of the repository")
    command = ["git", "check-ignore", "--quiet", LIBRARY / "openseadragon.js"]
    assert subprocess.run(command, cwd=ROOT).returncode == 0
    tracked = subprocess.run(["git", "ls-files", LIBRARY], cwd=ROOT, capture_output=True, text=True, check=True)
    assert tracked.stdout == ""


def test_the_program_its_licence_and_its_description_are_kept(tmp_path: Path) -> None:
    finished = fetch(tmp_path, NPM.format(log=tmp_path / "log", lock=VIEWER / "package-lock.json"))
    assert finished.returncode == 0, finished.stderr
    found = {file.name: file.read_text("utf-8") for file in (tmp_path / "library").iterdir()}
    assert found == {"openseadragon.js": "code;\n", "LICENSE.txt": "licence\n", "package.json": "{}\n"}
    asked = (tmp_path / "log").read_text("utf-8").split()
    assert asked[0] == "ci"
    assert "--ignore-scripts" in asked
    assert not any("://" in each or "registry" in each for each in asked)
    assert {file.name for file in tmp_path.iterdir()} == {"bin", "library", "log"}, "temporary files stay"


@pytest.mark.parametrize("npm", [None, "#!/bin/sh\nexit 1\n"], ids=["no npm", "no registry"])
def test_without_npm_the_daemon_is_built_without_the_viewer(tmp_path: Path, npm: str | None) -> None:
    finished = fetch(tmp_path, npm)
    assert finished.returncode == 0
    assert "The viewer at /view is left out" in finished.stderr
    assert not (tmp_path / "library").exists()
    assert {file.name for file in tmp_path.iterdir()} == {"bin"}
