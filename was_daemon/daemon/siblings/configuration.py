"""The configuration as the first process tells it to the others, so that all go by one reading of its files."""

import os
from pathlib import Path
from typing import Any

from was_daemon.config.load import Source
from was_daemon.config.secret_files import SecretFiles


def to_tell(source: Source) -> dict[str, Any]:
    """What JSON knows of a source that was loaded."""
    return {
        "path": str(source.path),
        "directory": str(source.directory),
        "text": source.text,
        "secret_files": source.secret_files.texts,
    }


def told(document: dict[str, Any]) -> Source:
    """The source that `to_tell` made `document` of, with this process's environment."""
    return Source(
        Path(document["path"]),
        os.environ,
        Path(document["directory"]),
        document["text"],
        SecretFiles(document["secret_files"]),
    )
