"""guides.py DIRECTORY: write the guides of docs/ and the change log as the Debian package has them.

DIRECTORY is /usr/share/doc/was-daemon in the package. A file that a guide links to is there, too: below docs if it is
one of docs/, otherwise below examples, with its path in the repository. Links to units lead to where the package
installs them. Of photographs of the screen, and of the program's own source, the package has the words only.
"""

import os
import re
import shutil
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_DOCUMENTS = Path("/usr/share/doc/was-daemon")
_LINK = re.compile(
    r"(?P<mark>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?!\w+:|#)(?P<target>[^)#]+)(?P<anchor>#[^)]*)?\)"
)
_REFERENCE = Path("docs/reference.md")
"""A page that only the site has, since `make docs` fills it with docstrings."""
_PHOTOGRAPHS = frozenset({".png", ".webp"})
_UNITS = frozenset({".service", ".socket"})
_WITH_FILES = frozenset({"docs", "etc", "storage_plugins"})


def write(guide: Path, directory: Path) -> None:
    """Write a guide of the repository below `directory`, and the files that it links to."""
    name = guide.relative_to(_ROOT)

    def replace(link: re.Match[str]) -> str:
        file = (guide.parent / link["target"]).resolve()
        if not file.is_file():
            return link[0]
        place = _place(file.relative_to(_ROOT))
        if place is None:
            return f"*(Picture: {link['text']}.)*" if link["mark"] else link["text"]
        if file.suffix != ".md" and place.is_relative_to(_DOCUMENTS):
            _copy(file, directory / place.relative_to(_DOCUMENTS))
        target = os.path.relpath(place, (_DOCUMENTS / name).parent)
        return f"{link['mark']}[{link['text']}]({target}{link['anchor'] or ''})"

    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(_LINK.sub(replace, guide.read_text("utf-8")), "utf-8")


def _place(name: Path) -> Path | None:
    """Return where the package has a file of the repository; nothing if it does not have it."""
    if name == Path("CHANGELOG.md"):
        return _DOCUMENTS / "CHANGELOG.md.gz"
    if name.suffix in _UNITS:
        return Path("/usr/lib/systemd/system", name.name)
    if name == _REFERENCE or name.suffix in _PHOTOGRAPHS or name.parts[0] not in _WITH_FILES:
        return None
    return _DOCUMENTS / name if name.parts[0] == "docs" else _DOCUMENTS / "examples" / name


def _copy(file: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, copy)


def main() -> None:
    """Write all guides."""
    for guide in {_ROOT / "CHANGELOG.md", *(_ROOT / "docs").glob("*.md")} - {_ROOT / _REFERENCE}:
        write(guide, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
