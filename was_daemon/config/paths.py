"""Paths in a configuration."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import attrs

_CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""Variable of systemd for the directory with a service's credentials, see systemd.exec(5)."""

_VARIABLE = re.compile(r"\$(\w+)(?=/|$)")


def current_directory() -> Path:
    """Return the current directory, by a relative path if it has been removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path()


@attrs.frozen
class PathResolver:
    """Resolution of paths in a configuration.

    Relative paths start at `directory`, that of the configuration; `environ` has the variables that a path may begin
    with. Where systemd does not pass credentials to this process, they are looked for in `directory`.
    """

    directory: Path
    environ: Mapping[str, str]

    def resolve(self, text: str) -> Path:
        """Return the path for `text`; raise ValueError for an unknown variable."""
        match = _VARIABLE.match(text)
        if not match:
            return self.directory / Path(text).expanduser()
        if match[1] == _CREDENTIALS and not self.environ.get(_CREDENTIALS):
            return Path(f"{self.directory}{text[match.end() :]}")
        if match[1] not in self.environ:
            raise ValueError(f"the environment has no {match[1]}")
        # `Path.is_dir` raises where this user may not look.
        if match[1] == _CREDENTIALS and not os.path.isdir(self.environ[_CREDENTIALS]):  # noqa: PTH112
            # Left over in a shell or a unit: systemd removes the directory when the service ends.
            raise ValueError(
                f"there is no directory {self.environ[_CREDENTIALS]}, which $CREDENTIALS_DIRECTORY names: unset the "
                f"variable to read the file from {self.directory}"
            )
        return Path(self.environ[match[1]] + text[match.end() :])
