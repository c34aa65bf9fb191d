"""Writing of configurations, which are overwritten only with `force`."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from was_daemon.config.new_files import create


def write_config(path: Path, content: str, *, force: bool, mode: int = 0o644) -> None:
    """Check a configuration and write it; raise `ConfigError`, OSError, or `FileExistsError` unless `force`.

    The check reads it from a file in the same directory, where its relative paths start.
    """
    from was_daemon.config.load import load

    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with create(draft, mode) as file:
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
