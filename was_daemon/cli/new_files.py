"""Writing of configurations and keys: a configuration is overwritten only with `force`, a key never."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

_KEY_BYTES = 24


def write_key(path: Path, key: str | None = None) -> None:
    """Write `key`, or a new one without it, to a new file that only its owner can read; raise OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write((key or secrets.token_urlsafe(_KEY_BYTES)) + "\n")


def write_config(path: Path, content: str, *, force: bool, mode: int = 0o644) -> None:
    """Check a configuration and write it; raise `ConfigError`, OSError, or `FileExistsError` unless `force`.

    The check reads it from a file in the same directory, where its relative paths start.
    """
    from was_daemon.config.load import load

    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(content)
        load(draft, os.environ)
        if path.exists() and not force:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def report_file_errors() -> Iterator[None]:
    """Turn errors of files into a `ClickException` of one line."""
    try:
        yield
    except FileExistsError as error:
        raise click.ClickException(f"{error.filename} exists already, and is left alone") from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {os.strerror(error.errno or 0).lower()}") from None
    except UnicodeEncodeError:
        raise click.ClickException("a name is not valid Unicode") from None
