"""What the filter says of a call, by running its byte code: on every architecture, and of calls this kernel lacks."""

import errno
import os
import re
import struct
from pathlib import Path

import pytest

from tests.support.needs import require
from was_daemon.workers import seccomp

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
NUMBERS = {
    "x86_64": {"openat": 257, "clone": 56, "prlimit64": 302, "sendto": 44, "ioctl": 16, "fcntl": 72, "prctl": 157},
    "aarch64": {"openat": 56, "clone": 220, "prlimit64": 261, "sendto": 206, "ioctl": 29, "fcntl": 25, "prctl": 167},
}
ALLOWED, KILLED, REFUSED, ABSENT = 0x7FFF0000, 0x80000000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
HIGH = 1 << 32
THREAD = 0x3D0F00
"""What the C library's `pthread_create` passes to `clone`."""


def verdict(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the filter of `machine` answers to a call."""
    program = [struct.unpack("=HBBI", step) for step in batched(seccomp.program(machine))]
    padded = [*arguments, *[0xDEAD] * (6 - len(arguments))]
    data = struct.pack("=iIQ6Q", number, architecture or ARCHITECTURES[machine], 0, *padded)
    place = loaded = 0
    while True:
        code, then, otherwise, value = program[place]
        place += 1
        if code == 0x06:
            return value
        if code == 0x20:
            loaded = struct.unpack_from("=I", data, value)[0]
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
            place += then if holds else otherwise


def batched(program: bytes) -> list[bytes]:
    return [program[place : place + 8] for place in range(0, len(program), 8)]


@pytest.fixture(params=ARCHITECTURES)
def machine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("openat", (-100 % HIGH, 0, os.O_RDONLY | os.O_CLOEXEC)),
        ("clone", (THREAD,)),
        ("prlimit64", (0, 7, 0, 0x1000)),
        ("sendto", (3, 0x1000, 1, 0, 0, 0)),
        ("ioctl", (1, 0x5401, 0x1000)),
        ("ioctl", (3, 0x5421, 0x1000)),
        ("fcntl", (3, 1, 0)),
        ("fcntl", (3, 4, os.O_NONBLOCK | os.O_RDWR)),
        ("fcntl", (3, 1030, 0)),
        ("prctl", (15, 0x1000)),
    ],
)
def test_what_decoders_need_is_allowed(machine: str, call: str, arguments: tuple[int, ...]) -> None:
    assert verdict(machine, NUMBERS[machine][call], *arguments) == ALLOWED


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("openat", (-100 % HIGH, 0, os.O_WRONLY)),
        ("openat", (-100 % HIGH, 0, HIGH | os.O_RDWR)),
        ("openat", (-100 % HIGH, 0, 0o20000000 | os.O_RDWR)),
        ("clone", (17,)),
        ("clone", (HIGH | 17,)),
        ("clone", (THREAD | 0x10000000,)),
        ("prlimit64", (1, 7, 0, 0x1000)),
        ("prlimit64", (HIGH | 1, 7, 0, 0x1000)),
        ("sendto", (3, 0x1000, 1, 0, 0x1000, 16)),
        ("sendto", (3, 0x1000, 1, 0, HIGH, 16)),
        ("ioctl", (3, 0x8901, 1)),
        ("ioctl", (3, HIGH | 0x8901, 1)),
        ("ioctl", (3, 0x8902, 1)),
        ("ioctl", (3, 0x5452, 1)),
        ("fcntl", (3, 8, 1)),
        ("fcntl", (3, HIGH | 8, 1)),
        ("fcntl", (3, 10, 9)),
        ("fcntl", (3, 15, 0x1000)),
        ("fcntl", (3, 4, 0o20000)),
        ("fcntl", (3, 4, os.O_APPEND)),
        ("fcntl", (3, HIGH | 4, os.O_APPEND)),
        ("prctl", (1, 0)),
        ("prctl", (HIGH | 1, 0)),
    ],
)
def test_what_harms_others_is_refused_in_whatever_bits_it_is_asked_for(
    machine: str, call: str, arguments: tuple[int, ...]
) -> None:
    assert verdict(machine, NUMBERS[machine][call], *arguments) == REFUSED


def test_files_may_be_read_past_the_cache_by_no_architectures_number(machine: str) -> None:
    direct = {"x86_64": 0o40000, "aarch64": 0o200000}[machine]
    assert verdict(machine, NUMBERS[machine]["fcntl"], 3, 4, direct) == REFUSED


@pytest.mark.parametrize("number", [435, 437, 470, 471, 518, 520, 545, 0x3FFFFFFF])
def test_calls_that_cannot_be_judged_do_not_exist(machine: str, number: int) -> None:
    # From 512 on are those of x32, which old kernels make without its bit as well: 518 is sendmsg, 520 execve.
    assert verdict(machine, number) == ABSENT


@pytest.mark.parametrize("number", [0x40000000, 0x40000000 + 46, -1, -0x80000000])
def test_calls_of_x32_end_the_process(machine: str, number: int) -> None:
    assert verdict(machine, number) == KILLED


@pytest.mark.parametrize("architecture", [0x40000003, 0x40000028])
def test_calls_of_32_bits_end_the_process(machine: str, architecture: int) -> None:
    assert verdict(machine, 1, architecture=architecture) == KILLED


def test_the_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    header = HEADERS[machine]
    require(header.exists(), "linux-libc-dev")
    numbers = {
        name: int(number)
        for name, number in re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", header.read_text(), re.MULTILINE)
    }
    column = list(ARCHITECTURES).index(machine)
    conditional = {name: columns for name, (columns, _) in seccomp._CONDITIONAL.items()}
    ours = {
        name: columns[column]
        for name, columns in {**seccomp._DENIED, **seccomp._ABSENT, **conditional}.items()
        if columns[column] is not None
    }
    assert len(ours) > 150
    # Headers may lack the newest calls, whose numbers are the same everywhere.
    newest = {name: number for name, number in seccomp._DENIED.items() if name not in numbers and number[column]}
    assert all(first == second and first and first > 424 for first, second in newest.values()), newest
    assert {name: numbers.get(name, number) for name, number in ours.items()} == ours
