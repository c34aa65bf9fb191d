"""`make release`: what keeps a commit from being released, its notes, and that it can be built again to the byte."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import BIN
from tests.support.paths import ROOT
from was_daemon import __version__

VIEWER = Path("was_daemon", "web", "viewer", "openseadragon")
_PYTHON = Path(sys.base_prefix) / "bin" / "python3"
_DATE = "2031-05-06T23:30:00-0800"
_CHANGES = "# Changelog\n\n## 1.2.3\n\n- New, see [docs/a.md](docs/a.md#b).\n\n## 1.2.2\n\n- Old.\n"


def git(repository: Path, *arguments: str) -> str:
    """Run git; return what it prints."""
    command = ["git", "-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", *arguments]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(repository), "GIT_COMMITTER_DATE": _DATE, "GIT_AUTHOR_DATE": _DATE}
    return subprocess.run(command, cwd=repository, env=environ, check=True, capture_output=True, text=True).stdout


def commit_all(repository: Path) -> None:
    git(repository, "init", "--quiet")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "All")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository whose last commit can be released as 1.2.3."""
    for name, text in {
        "was_daemon/__init__.py": '__version__ = "1.2.3"\n',
        "CHANGELOG.md": _CHANGES,
        ".gitignore": f"/{VIEWER}/\n",
        VIEWER / "openseadragon.js": "",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    (tmp_path / "etc" / "dist").mkdir(parents=True)
    shutil.copy(ROOT / "etc" / "dist" / "release.py", tmp_path / "etc" / "dist")
    commit_all(tmp_path)
    return tmp_path


def release(repository: Path, command: str) -> tuple[int, str]:
    """Run release.py; return its exit status, and what it says."""
    script = [sys.executable, "-B", repository / "etc" / "dist" / "release.py", command]
    finished = subprocess.run(script, cwd="/", capture_output=True, text=True)
    return finished.returncode, finished.stdout + finished.stderr


def test_a_commit_with_a_new_version_and_its_changes_is_released(repository: Path) -> None:
    assert release(repository, "check") == (0, "")
    assert release(repository, "version") == (0, "1.2.3\n")


def test_the_notes_are_the_changes_of_the_version_and_lead_nowhere(repository: Path) -> None:
    assert release(repository, "notes") == (0, "# was_daemon 1.2.3, 2031-05-07\n\n- New.\n")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("It [goes](docs/a.md) on. See [the\nrest](docs/a.md#b). More.", "It goes on. More."),
        ("See [a](docs/a.md), and [b](docs/b.md).", ""),
        ("All kinds of files: [docs/a.md](docs/a.md), [docs/b.md](docs/b.md).", "All kinds of files."),
        ("Stores: [one](docs/a.md) and [two](docs/b.md).", "Stores: one and two."),
        ("[docs/a.md](docs/a.md#b) has the commands.", '"Moving in" has the commands.'),
        ("Faster than [others](https://example.org/a).", "Faster than [others](https://example.org/a)."),
    ],
)
def test_where_more_is_said_is_left_out_of_the_notes_and_nothing_else(
    repository: Path, changes: str, said: str
) -> None:
    (repository / "docs").mkdir()
    (repository / "docs" / "a.md").write_text("# Moving in\n\nText.\n")
    (repository / "CHANGELOG.md").write_text(f"# Changelog\n\n## 1.2.3\n\n{changes}\n\nEnd.\n")
    told = release(repository, "notes")[1].partition("\n\n")[2]
    assert told == (f"{said}\n\n" if said else "") + "End.\n"


def test_the_notes_are_in_lines_of_one_length(repository: Path) -> None:
    item = "- One\n  word and [another](docs/a.md), " + "and another, " * 12 + "and\n  an end.\n"
    (repository / "CHANGELOG.md").write_text(f"# Changelog\n\n## 1.2.3\n\n### New\n\n{item}- Short.\n")
    lines = release(repository, "notes")[1].splitlines()[2:]
    assert lines[:2] == ["### New", ""]
    assert [line[:2] for line in lines[2:]] == ["- ", "  ", "  ", "- "]
    assert all(70 < len(line) <= 80 for line in lines[2:4])


def test_no_sentence_of_the_notes_is_a_stump() -> None:
    status, said = release(ROOT, "notes")
    text = " ".join(said.split())
    assert status == 0
    assert "](" not in text
    assert ".md" not in text
    assert not re.search(r"\b[Ss]ee [\w ]+\.|: *\.|\s\.|\. \.", text)


@pytest.mark.parametrize("tag", ["1.2.3", "v1.2.3"])
def test_a_version_is_released_once(repository: Path, tag: str) -> None:
    git(repository, "tag", tag)
    status, said = release(repository, "check")
    assert status == 1
    assert f"The tag {tag} exists" in said


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("notes.txt", "", "not committed: notes.txt."),
        ("was_daemon/__init__.py", '__version__ = "1.2.3"\n# changed\n', "not committed: was_daemon/__init__.py."),
    ],
    ids=["untracked", "changed"],
)
def test_what_is_not_committed_is_not_released(repository: Path, name: str, text: str, reason: str) -> None:
    (repository / name).write_text(text, "utf-8")
    status, said = release(repository, "check")
    assert status == 1
    assert reason in said


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("CHANGELOG.md", "# Changelog\n\n## 1.2.30\n\n- Other.\n", 'no section "## 1.2.3"'),
        ("CHANGELOG.md", "# Changelog\n\n## 1.2.3\n\n## 1.2.2\n\n- Old.\n", 'no section "## 1.2.3"'),
        ("CHANGELOG.md", _CHANGES.replace("## 1.2.3", "## Unreleased\n\n- Newer.\n\n## 1.2.3"), "Move them"),
        ("was_daemon/__init__.py", '__version__ = "1.2.3.dev1"\n', "1.2.3.dev1 is no version of a release"),
    ],
    ids=["no section", "empty section", "unreleased", "no release"],
)
def test_a_version_needs_its_changes_in_the_change_log(repository: Path, name: str, text: str, reason: str) -> None:
    (repository / name).write_text(text, "utf-8")
    git(repository, "commit", "--quiet", "--all", "--message", "Another")
    status, said = release(repository, "check")
    assert status == 1
    assert reason in said


def test_all_that_is_wrong_is_told_at_once(repository: Path) -> None:
    git(repository, "tag", "1.2.3")
    shutil.rmtree(repository / VIEWER)
    (repository / "CHANGELOG.md").write_text("", "utf-8")
    status, said = release(repository, "check")
    assert status == 1
    for reason in ("not committed", "no section", "exists", "OpenSeadragon is missing"):
        assert reason in said


def test_the_version_is_in_one_place() -> None:
    """Versions of other programs are in the files that pin these; a guide tells the catalogue's forms by version."""
    pins = {"constraints.txt", "etc/viewer/package-lock.json", "etc/viewer/node.txt", "docs/upgrade.md"}
    stated = re.compile(rf"(?<![\w.]){re.escape(__version__)}(?![\w.]*\w)|was.daemon[-_]v?[0-9]+\.[0-9]+\.[0-9]")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = []
    for name in set(tracked.rstrip("\0").split("\0")) - pins:
        if stated.search((ROOT / name).read_text("utf-8", "ignore")):
            found.append(name)
    assert sorted(found) == ["CHANGELOG.md", "was_daemon/__init__.py"]


def test_the_version_has_changes_in_the_change_log() -> None:
    status, said = release(ROOT, "notes")
    assert status == 0
    assert len(said.splitlines()) > 2


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the files of this one as they are, in one commit."""
    clone = tmp_path_factory.mktemp("one place")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in tracked.rstrip("\0").split("\0"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    commit_all(clone)
    shutil.copytree(ROOT / VIEWER, clone / VIEWER)
    return clone


@pytest.mark.slow
def test_what_is_built_again_elsewhere_is_the_same_to_the_byte(clone: Path, tmp_path: Path) -> None:
    def run(script: str) -> subprocess.CompletedProcess[str]:
        command = ["env", f"TOOLS={BIN}", clone / "etc" / "dist" / script, tmp_path / "dist", _PYTHON]
        return subprocess.run(command, capture_output=True, text=True)

    built = run("build.sh")
    assert built.returncode == 0, built.stdout + built.stderr
    files = {file.name for file in (tmp_path / "dist").iterdir()}
    changed = tmp_path / "dist" / "constraints.txt"
    changed.write_text(changed.read_text("utf-8") + "\n", "utf-8")

    compared = run("rebuild.sh")
    assert compared.stderr == "differs:  constraints.txt\n"
    assert compared.returncode == 1
    assert {line.removeprefix("the same: ") for line in compared.stdout.splitlines()} == files - {changed.name}
    name = f"was-daemon-{__version__}"
    assert files - {changed.name} == {
        f"was_daemon-{__version__}.tar.gz",
        f"was_daemon-{__version__}-py3-none-any.whl",
        f"{name}.pyz",
        f"{name}.cdx.json",
        "RELEASE-NOTES.md",
    }


def test_checksums_are_what_sha256sum_checks(tmp_path: Path) -> None:
    for name in ("b.whl", "A b.deb"):
        (tmp_path / name).write_text(name)
    for _ in range(2):
        subprocess.run([ROOT / "etc" / "dist" / "checksums.sh", tmp_path], check=True)
    sums = (tmp_path / "SHA256SUMS").read_text("utf-8")
    assert [line.split("  ")[1] for line in sums.splitlines()] == ["A b.deb", "b.whl"]
    checked = ["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"]
    assert subprocess.run(checked, cwd=tmp_path).returncode == 0
    (tmp_path / "b.whl").write_text("changed")
    assert subprocess.run(checked, cwd=tmp_path, capture_output=True).returncode == 1
