"""`make docs`: the pages, that nothing in them leads nowhere, and how they are on a phone."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import Page, browser
from tests.support.daemon import BIN, clean_environment
from tests.support.paths import ROOT

PHONE, DESK = (390, 844), (1280, 800)


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the pages of the repository at `root` as `make docs` does."""
    command = [BIN / "mkdocs", "build", "--strict", "--site-dir", site]
    # Otherwise the theme advertises its successor.
    environment = clean_environment({"NO_MKDOCS_2_WARNING": "1"})
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages."""
    site = tmp_path_factory.mktemp("site")
    finished = build(ROOT, site)
    assert finished.returncode == 0, finished.stderr
    assert "WARNING" not in finished.stderr
    return site


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Page]:
    """A browser, in which nothing is asked for but files."""
    with browser(tmp_path) as page:
        yield page
        assert [url for url in page.requests if not url.startswith(("file:", "data:", "about:"))] == []


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_no_page_is_wider_than_a_phone_and_none_loads_anything_from_elsewhere(site: Path, reader: Page) -> None:
    reader.show_as(PHONE, scale=2, touch=True)
    wide = {}
    for path in sorted(site.rglob("*.html")):
        reader.open(path.as_uri())
        width = reader.evaluate("document.documentElement.scrollWidth")
        if width > PHONE[0]:
            wide[path.name] = width
    assert wide == {}


@pytest.mark.slow
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_the_search_works_without_a_server(site: Path, reader: Page, size: tuple[int, int]) -> None:
    reader.show_as(size, touch=size == PHONE)
    reader.open((site / "index.html").as_uri())
    if size == PHONE:
        reader.click(".md-header label[for=__search]")
    else:
        reader.click("[data-md-component=search-query]")
    reader.wait_for("document.activeElement.matches('[data-md-component=search-query]')")
    for letter in "rollback":
        reader.press(letter)
    reader.wait_for("document.querySelector('.md-search-result__link[href*=\"upgrade.html\"]')")


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 200
