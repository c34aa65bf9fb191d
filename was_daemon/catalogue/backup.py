"""Copy of a catalogue in a SQLite file, made while daemons use it."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from was_daemon.model.errors import NoSpace, StoreUnavailable

_BUSY_SECONDS = 60


def write_backup(source: Path, target: Path) -> None:
    """Write the catalogue in `source`, as it is at one moment, to `target`, which is replaced as a whole; blocks.

    Only its owner can read the copy. Raises `StoreUnavailable` or `NoSpace`.
    """
    if not source.exists():
        raise StoreUnavailable(f"there is no catalogue yet: {source}")
    part = target.with_name(f".{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        # SQLite would let others read it, but keeps the permissions of a file that is there.
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            with closing(sqlite3.connect(source, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
                connection.execute("VACUUM INTO ?", (str(part),))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.replace(target)
    except sqlite3.Error as error:
        part.unlink(missing_ok=True)
        is_full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        raise (NoSpace if is_full else StoreUnavailable)(f"{source} cannot be copied to {target}: {error}") from error
    except OSError as error:
        raise StoreUnavailable(f"{target} cannot be written: {str(error.strerror).lower()}") from error
