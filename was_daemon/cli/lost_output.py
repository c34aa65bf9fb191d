"""The end of commands whose output cannot be written: the reader has gone, as after `| head`, or a disk is full."""

import errno
import os
import select
import sys
from typing import TypeGuard

import click

_ABOUT_OUTPUT = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT)
"""Errors of writing to the standard output. Those of files elsewhere are raised as `AssetError`."""


def is_about_output(error: BaseException) -> TypeGuard[OSError]:
    """Return whether an error means that the standard output cannot be written."""
    return isinstance(error, OSError) and error.errno in _ABOUT_OUTPUT


def has_reader() -> bool:
    """Return whether somebody reads the standard output, as far as the system tells: False after `| head` has ended."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return not any(event & select.POLLERR for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):
        # It is closed, or no file of the system.
        return True


def drop_output(error: OSError) -> None:
    """Print a line about output that cannot be written, none if its reader has gone, and write no more of it."""
    # What is still in the buffer would raise it again at the exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        click.echo(f"Error: {error.strerror}", err=True)
