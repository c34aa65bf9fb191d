"""The guides in the Debian package, without building it: every link leads to something that the package has."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown.extensions.toc import slugify, unique

from tests.support.paths import ROOT

DOCUMENTS = Path("usr/share/doc/was-daemon")
UNITS = Path("usr/lib/systemd/system")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a package with the units and the documents."""
    root = tmp_path_factory.mktemp("package")
    subprocess.run([sys.executable, ROOT / "etc" / "debian" / "guides.py", root / DOCUMENTS], check=True)
    # deb.sh compresses it.
    (root / DOCUMENTS / "CHANGELOG.md").rename(root / DOCUMENTS / "CHANGELOG.md.gz")
    (root / UNITS).mkdir(parents=True)
    for pattern in re.findall(r'^for unit in "\$sources"/(\S+) "\$sources"/(\S+);', script(), re.MULTILINE)[0]:
        for unit in ROOT.glob(pattern):
            (root / UNITS / unit.name).touch()
    return root


def script() -> str:
    return (ROOT / "etc" / "dist" / "deb.sh").read_text("utf-8")


def prose(page: Path) -> str:
    """A page without blocks of code, and without code in lines."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(?<!`)`[^`\n]*`", "`code`", text)


def links(page: Path) -> Iterator[tuple[str, str]]:
    """The paths and anchors of links that lead to no other site."""
    for target in re.findall(r"\]\(([^)]*)\)|^\[[^\]]+\]: (\S+)", prose(page), re.MULTILINE):
        path, _, anchor = "".join(target).partition("#")
        if not re.match(r"\w+:", path):
            yield path, anchor


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as the site has them."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        unique(slugify(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading), "-"), found)
    return found


def test_no_link_is_dead(package: Path) -> None:
    documents = package / DOCUMENTS
    pages = [documents / "CHANGELOG.md.gz", *(documents / "docs").glob("*.md")]
    # The reference, which is made of docstrings, is on the site only.
    assert len(pages) == len(list((ROOT / "docs").glob("*.md")))
    assert [page.name for page in pages if ":::" in prose(page)] == []
    seen, dead = 0, []
    for page in pages:
        for path, anchor in links(page):
            target = (page.parent / path).resolve() if path else page
            seen += 1
            if not target.is_file() or (anchor and anchor not in anchors(target)):
                dead.append(f"{page.name}: {path}#{anchor}")
    assert seen > 300
    assert dead == []


def test_the_files_that_commands_of_the_guide_copy_are_there(package: Path) -> None:
    guide = (ROOT / "docs" / "install.md").read_text("utf-8").partition("\n## nginx\n")[2]
    files = set(re.findall(r"(?<=\s)etc/nginx/[\w.-]+", guide))
    assert len(files) >= 3
    assert [name for name in files if not (package / DOCUMENTS / "examples" / name).is_file()] == []


def test_the_package_has_no_photographs_of_the_screen_but_their_words(package: Path) -> None:
    assert not [path for path in package.rglob("*") if path.suffix in {".png", ".webp"}]
    console = (package / DOCUMENTS / "docs" / "console.md").read_text("utf-8")
    assert "\n*(Picture: Failures: each with its reason and a remedy.)*\n" in console


def test_the_package_is_made_with_them() -> None:
    assert '\npython "$sources/etc/debian/guides.py" "$doc"\n' in script()
