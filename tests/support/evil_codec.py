"""A codec that a file has taken over: within a real worker, in place of `render`, it does what the file says.

The file is JSON: `acts`, Python statements by name, and `names`, what these may use. Into its first output the codec
writes what came of each: "refused", "done", or the name of an error that the sandbox did not raise.
"""

import ctypes
import errno
import json
import platform
import struct
from typing import Any, BinaryIO

from was_daemon.imaging.render import Output
from was_daemon.workers import landlock, worker

_REFUSALS = {errno.EPERM, errno.EACCES, errno.ENOSYS}
_PRELUDE = """if True:
    import ctypes, fcntl, mmap, os, resource, signal, socket, struct, subprocess, sys, termios, threading, time
    from tests.support.evil_codec import call, message, system_call
"""
_NUMBERS = {
    "x86_64": {
        "add_key": 248, "bpf": 321, "clone": 56, "fcntl": 72, "get_robust_list": 274, "io_setup": 206,
        "ioprio_set": 251, "kcmp": 312, "mq_open": 240, "open_by_handle_at": 304, "perf_event_open": 298,
        "prlimit64": 302, "sched_setattr": 314, "seccomp": 317, "sync": 162, "userfaultfd": 323,
    },
    "aarch64": {
        "add_key": 217, "bpf": 280, "clone": 220, "fcntl": 25, "get_robust_list": 100, "io_setup": 0,
        "ioprio_set": 30, "kcmp": 272, "mq_open": 180, "open_by_handle_at": 265, "perf_event_open": 241,
        "prlimit64": 261, "sched_setattr": 274, "seccomp": 277, "sync": 81, "userfaultfd": 282,
    },
}  # fmt: skip
_SHARED_NUMBERS = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430, "clone3": 435,
    "openat2": 437, "pidfd_open": 434, "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442,
    "memfd_secret": 447, "process_mrelease": 448, "cachestat": 451, "fchmodat2": 452, "statmount": 457,
    "listmount": 458, "setxattrat": 463, "getxattrat": 464, "listxattrat": 465, "open_tree_attr": 467,
    "file_getattr": 468, "file_setattr": 469,
}  # fmt: skip
_libc = ctypes.CDLL(None, use_errno=True)
_kept: list[Any] = []


def take_over(landlock_version: int) -> None:
    """Have this process, which is about to be a worker, use the codec, and a kernel with that version of Landlock."""
    offered = landlock.version()
    landlock.version = lambda: min(landlock_version, offered)
    worker.render = _misbehave  # type: ignore[assignment]


def _misbehave(source: BinaryIO, name: str, orders: list[Output], max_pixels: int, size: object) -> None:
    task = json.loads(source.read())
    report = {}
    for act, statements in task["acts"].items():
        names: dict[str, Any] = {**task["names"], "original": source.fileno(), "output": orders[0].target.fileno()}
        exec(_PRELUDE, names)
        report[act] = _outcome(statements, names)
    orders[0].target.write(json.dumps(report).encode())


def _outcome(statements: str, names: dict[str, Any]) -> str:
    try:
        exec(statements, names)
    except OSError as error:
        return "refused" if error.errno in _REFUSALS else errno.errorcode.get(error.errno or 0, repr(error))
    except Exception as error:
        # Python's own words for a hard limit that the kernel does not let it lift.
        return "refused" if "not allowed" in str(error) else repr(error)
    return "done"


def call(function: str, *arguments: object) -> int:
    """Call a function of the C library, as machine code in a picture would; raises OSError.

    Numbers are passed with 64 bits, as a system call takes them.
    """
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result: int = getattr(_libc, function)(*wide)
    if result == -1:
        raise OSError(ctypes.get_errno(), function)
    return result


def system_call(name: str, *arguments: object) -> int:
    """Make a system call that the C library may have no function for; raises OSError."""
    return call("syscall", {**_SHARED_NUMBERS, **_NUMBERS[platform.machine()]}[name], *arguments)


def message(*descriptors: int) -> bytes:
    """A `struct msghdr` that carries a byte and open files, as `sendmsg` takes it; of `mmsghdr` it is the beginning."""
    byte = ctypes.create_string_buffer(b"x")
    part = struct.pack("QQ", ctypes.addressof(byte), 1)
    files = struct.pack("Qii", 16 + 4 * len(descriptors), 1, 1) + struct.pack(f"{len(descriptors)}i", *descriptors)
    parts, control = ctypes.create_string_buffer(part), ctypes.create_string_buffer(files.ljust(32, b"\0"), 32)
    # The kernel reads them by their addresses only.
    _kept.extend([byte, parts, control])
    header = struct.pack(
        "QQQQQQQ", 0, 0, ctypes.addressof(parts), 1, ctypes.addressof(control), 16 + 4 * len(descriptors), 0
    )
    return header + bytes(8)
