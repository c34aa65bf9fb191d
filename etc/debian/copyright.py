"""copyright.py DIRECTORY: print the copyright file of the Debian package.

It has the licence of was_daemon, and those that the Python packages in DIRECTORY/python*/site-packages state of
themselves.
"""

import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

_ROOT = Path(__file__).parent.parent.parent
_TROVE = "License :: "

_BETWEEN = """
The Python packages in /usr/lib/was-daemon/lib are included as PyPI has them. Below are their licences, as they state
them; the texts are in the directories NAME-VERSION.dist-info beside them. C libraries inside of a package, such as
libvips and PDFium, have licences of their own, which are there, too. OpenSeadragon, in was_daemon/web/viewer, is under
the BSD 3-clause licence beside it. The GNU licences are also in /usr/share/common-licenses, such as
/usr/share/common-licenses/LGPL-3, and so is the Apache licence.

"""


def licence(package: Distribution) -> str:
    """Return the licence that a package states in its metadata."""
    metadata = package.metadata
    classifiers = [each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier", []) if each.startswith(_TROVE)]
    # `License` may be a whole text.
    name, *_ = (metadata.get("License") or "").splitlines() or [""]
    return metadata.get("License-Expression") or ", ".join(classifiers) or name or "see there"


def listed(directory: Path) -> list[str]:
    """Return a line for each package, whichever Pythons it is for."""
    paths = sorted(str(path) for path in directory.glob("python*/site-packages"))
    found = {(each.metadata["Name"], each.version): licence(each) for each in distributions(path=paths)}
    return [f"{name} {version}: {stated}" for (name, version), stated in sorted(found.items(), key=_by_name)]


def _by_name(item: tuple[tuple[str, str], str]) -> tuple[str, str]:
    (name, version), _ = item
    return name.lower(), version


if __name__ == "__main__":
    sys.stdout.write((_ROOT / "LICENSE").read_text("utf-8") + _BETWEEN)
    sys.stdout.write("\n".join(listed(Path(sys.argv[1]))) + "\n")
