"""`make docs`: the pages, and that nothing in them leads nowhere."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import BIN
from tests.support.paths import ROOT


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the pages of the repository at `root` as `make docs` does."""
    command = [BIN / "mkdocs", "build", "--strict", "--site-dir", site]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages."""
    site = tmp_path_factory.mktemp("site")
    finished = build(ROOT, site)
    assert finished.returncode == 0, finished.stderr
    assert "WARNING" not in finished.stderr
    return site


def test_every_page_is_there(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} | {"index", "changelog", "contributing"}
    assert pages <= {path.stem for path in site.glob("*.html")}


@pytest.mark.parametrize(
    "name",
    [
        "was_daemon.model.interfaces.IAssetStore.write",
        "was_daemon.model.interfaces.IAssetStorePlugin.create",
        "was_daemon.model.keys.AssetKey.thumbnail",
        "was_daemon.model.errors.AssetNotFound",
        "was_daemon.testing.contract.StoreContract",
    ],
)
def test_the_reference_has_the_public_interface(site: Path, name: str) -> None:
    assert f'id="{name}"' in (site / "reference.html").read_text("utf-8")


def test_links_to_files_of_the_repository_lead_to_them(site: Path) -> None:
    page = (site / "configuration.html").read_text("utf-8")
    (unit,) = set(re.findall(r'href="([^"]*was-daemon\.service[^"]*)"', page))
    assert (site / unit).read_text("utf-8") == (ROOT / "etc" / "was-daemon.service").read_text("utf-8")


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    targets = ("nowhere.md", "#nowhere", "install.md#nowhere")
    for name in ("docs", "etc", "tests", "was_daemon", "storage_plugins"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("mkdocs.yml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    with (tmp_path / "docs" / "security.md").open("a") as page:
        page.writelines(f"\n[nowhere]({target})\n" for target in targets)
    finished = build(tmp_path, tmp_path / "site")
    assert finished.returncode != 0
    warnings = [line for line in finished.stderr.splitlines() if line.startswith("WARNING")]
    assert [any(f"'{target}'" in line for line in warnings) for target in targets] == [True] * 3, finished.stderr


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 200
