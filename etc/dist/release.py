"""release.py check|notes|version: the version in was_daemon/__init__.py, as a release.

`check` tells what keeps the last commit from being released, and exits with status 1 then. `notes` prints what
CHANGELOG.md says of the version, and `version` its number. The repository is the one that this file is in.
"""

import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_UNRELEASED = "Unreleased"
_VIEWER = "was_daemon/web/viewer/openseadragon/openseadragon.js"
_COLUMNS = 80

# Links to files of the repository, which the reader of the notes may not have; the second has the file's name as its text.
_LINK = r"\[[^\]]*\]\((?!\w+:)[^)]*\)"
_NAMED = r"\[[\w./-]+\.md\]\((?!\w+:)[^)]*\)"
_POINTER = re.compile(
    rf"(?:(?<=[.:]) |^)See (?:[^.\[]|{_LINK})*{_LINK}(?:[^.\[]|{_LINK})*\.(?= |$)"
    rf"|(?:[,;]? see {_LINK}|: {_NAMED}(?:(?:,| and) {_NAMED})*)(?=\.(?: |$))"
)
"""A sentence, or the end of one, that says nothing but where more is said."""


def git(*arguments: str) -> str:
    """Return what git says of the repository."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip("\n")


def version() -> str:
    """Return the version that the program tells."""
    text = (ROOT / "was_daemon" / "__init__.py").read_text("utf-8")
    return re.findall(r'^__version__ = "(.*)"$', text, re.MULTILINE)[0]


def section(heading: str) -> str:
    """Return the text below a heading of the change log; empty if there is none."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def without_links(text: str) -> str:
    """Return a paragraph with the titles of documents, or the links' own words, in place of links to the repository."""

    def words(link: re.Match[str]) -> str:
        text, _, path = link[0][1:-1].partition("](")
        file = ROOT / path.partition("#")[0]
        return f'"{title(file)}"' if re.fullmatch(_NAMED, link[0]) and file.is_file() else text

    return re.sub(_LINK, words, _POINTER.sub("", text)).strip()


def title(document: Path) -> str:
    """Return the first heading of a document, or its name."""
    found = re.search(r"^# (.*)$", document.read_text("utf-8"), re.MULTILINE)
    return found[1] if found else document.stem


def filled(block: str) -> Iterator[str]:
    """Yield the items of a list, or the one paragraph, without links and in lines of one length; others as they are."""
    if block.startswith(("#", "|", "```")):
        yield block
        return
    for item in re.split(r"\n(?=\s*- )", block):
        mark = re.match(r"\s*- |", item)[0]  # type: ignore[index]
        text = without_links(" ".join(item.removeprefix(mark).split()))
        if text:
            indent = " " * len(mark)
            yield textwrap.fill(
                text,
                _COLUMNS,
                initial_indent=mark,
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )


def notes() -> str:
    """Return the notes of the release, with the date of the commit."""
    commit = os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct")
    date = time.strftime("%Y-%m-%d", time.gmtime(int(commit)))
    blocks = ["\n".join(filled(block)) for block in re.split(r"\n{2,}", section(version()))]
    return "\n\n".join([f"# was_daemon {version()}, {date}", *filter(None, blocks)])


def problems() -> Iterator[str]:
    """Yield what keeps the commit from being released, and what to do about each."""
    number = version()
    if not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+(rc[0-9]+)?", number):
        yield f"{number} is no version of a release. Set one such as 1.2.3 in was_daemon/__init__.py."
    changed = [line[3:] for line in git("status", "--porcelain").splitlines()]
    if changed:
        yield f"There are files that are not committed: {', '.join(changed)}. Commit them, or use a fresh clone."
    if not section(number):
        yield f'CHANGELOG.md has no section "## {number}". Say there what users notice.'
    if section(_UNRELEASED):
        yield f'CHANGELOG.md has changes below "## {_UNRELEASED}". Move them to the section "## {number}".'
    for tag in git("tag", "--list", number, f"v{number}").split():
        yield f"The tag {tag} exists: that version was released. Set the next one in was_daemon/__init__.py."
    if not (ROOT / _VIEWER).exists():
        yield "OpenSeadragon is missing, so there would be no viewer. Run make install where npm can fetch it."


def main() -> None:
    """Do what the command line asks for."""
    if sys.argv[1] == "version":
        print(version())
    elif sys.argv[1] == "notes":
        print(notes())
    elif found := list(problems()):
        sys.exit("\n".join(["This commit cannot be released:", *found]))


main()
