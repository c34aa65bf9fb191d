"""Loaded by a daemon under test: in the directories of $FAULTY, calls of the operating system fail or hang on demand.

The file $FAULT says what happens: "hang" blocks all calls in the kernel, as long as somebody has locked the file;
"EIO pread open" has these two fail with that error. While it is empty nothing happens.
"""

import errno
import fcntl
import os
from collections.abc import Callable
from typing import Any

CALLS = (
    "stat",
    "open",
    "mkdir",
    "unlink",
    "rename",
    "link",
    "scandir",
    "pread",
    "preadv",
    "writev",
    "fsync",
    "utime",
    "fstatvfs",
)

_directories = tuple(filter(None, os.environ.get("FAULTY", "").split(":")))
_fault = os.environ.get("FAULT", "")


def _is_below(target: Any, directory: int | None) -> bool:
    # A descriptor, or a path, to which `directory` leads if it is relative; what is in bytes is none of the daemon's.
    # Path is made of calls that are replaced here, and would come back.
    path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else os.fspath(target)  # noqa: PTH115
    if directory is not None and isinstance(path, str):
        path = os.path.join(os.readlink(f"/proc/self/fd/{directory}"), path)  # noqa: PTH115, PTH118
    return isinstance(path, str) and any(f"{path}/".startswith(f"{directory}/") for directory in _directories)


def _faulty(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def perform(target: Any, *args: Any, **kwargs: Any) -> Any:
        if _is_below(target, kwargs.get("dir_fd", kwargs.get("src_dir_fd"))):
            if name == "preadv" or (name == "open" and args and args[0] & os.O_PATH):
                # What is in memory can be read however broken a disk is: of this one nothing is.
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(target))
            with open(_fault) as file:  # noqa: PTH123  # Path.open is made of calls that are replaced here
                kind, *names = file.read().split() or ("none",)
                if kind == "hang":
                    fcntl.flock(file, fcntl.LOCK_SH)
            if name in names:
                code = getattr(errno, kind)
                raise OSError(code, os.strerror(code), str(target))
        return call(target, *args, **kwargs)

    return perform


if _directories:
    for _name in CALLS:
        setattr(os, _name, _faulty(_name, getattr(os, _name)))
