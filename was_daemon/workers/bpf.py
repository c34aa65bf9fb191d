"""Byte code for seccomp filters (`linux/filter.h`), which read a system call as `struct seccomp_data`.

`Steps` are instructions in order. `Conditions` are steps that refuse a call with EPERM, or continue after their end.
"""

import errno
import struct

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Offsets in `struct seccomp_data`."""

_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_X32 = 0x40000000
_ANY = 0xFFFFFFFF

Steps = list[bytes]
Conditions = list[bytes]


def prologue(architecture: int, newest: int) -> Steps:
    """Kill a process that makes a call of another architecture; fail with ENOSYS for numbers from `newest` on.

    Afterwards the call's number is loaded, as `deny` and `allow_if` expect.
    """
    return [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, architecture, then=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        # Numbers with this bit are calls of the x32 ABI, which would bypass the list of numbers.
        _step(_AT_LEAST, _X32, otherwise=1),
        _step(_RETURN, _KILL),
        _step(_AT_LEAST, newest, otherwise=1),
        _step(_RETURN, _ERROR | errno.ENOSYS),
    ]


def deny(number: int, error: int) -> Steps:
    """Refuse the call `number` with `error`."""
    return [_step(_EQUAL, number, otherwise=1), _step(_RETURN, _ERROR | error)]


def allow_if(number: int, conditions: Conditions) -> Steps:
    """Allow the call `number` unless `conditions` refuse it."""
    return [_step(_EQUAL, number, otherwise=len(conditions) + 1), *conditions, *end()]


def end() -> Steps:
    """Allow the call."""
    return [_step(_RETURN, _ALLOW)]


def without_bits(argument: int, bits: int = _ANY) -> Conditions:
    """Refuse a call whose 32-bit argument at index `argument` has any of `bits` set."""
    return [_load(argument), _step(_ANY_BIT, bits, otherwise=1), _refuse()]


def with_bits(argument: int, bits: int) -> Conditions:
    """Refuse a call whose 32-bit argument at index `argument` has none of `bits` set."""
    return [_load(argument), _step(_ANY_BIT, bits, then=1), _refuse()]


def null_pointer(argument: int) -> Conditions:
    """Refuse a call whose 64-bit argument at index `argument` is not zero."""
    return [*without_bits(argument), _load(argument, upper=True), _step(_EQUAL, 0, then=1), _refuse()]


def one_of(argument: int, *values: int) -> Conditions:
    """Refuse a call whose 32-bit argument at index `argument` is none of `values`."""
    tests = [_step(_EQUAL, value, then=len(values) - place) for place, value in enumerate(values)]
    return [_load(argument), *tests, _refuse()]


def when(argument: int, value: int, conditions: Conditions) -> Conditions:
    """Apply `conditions` only to calls whose 32-bit argument at index `argument` is `value`."""
    return [_load(argument), _step(_EQUAL, value, otherwise=len(conditions)), *conditions]


def _load(argument: int, upper: bool = False) -> bytes:
    # Both architectures are little-endian. The kernel, too, reads only the lower half of a 32-bit argument.
    return _step(_LOAD, _ARGUMENTS + 8 * argument + 4 * upper)


def _refuse() -> bytes:
    return _step(_RETURN, _ERROR | errno.EPERM)


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)
