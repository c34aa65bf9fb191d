"""Byte code for the kernel's filters of system calls (`linux/filter.h`), which see a call as `struct seccomp_data`.

Steps are a sequence of instructions. Conditions are steps that refuse a call with EPERM, or go on to what follows.
"""

import errno
import struct

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Where in `struct seccomp_data` these are."""

_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_X32 = 0x40000000
_ANY = 0xFFFFFFFF

Steps = list[bytes]
Conditions = list[bytes]


def beginning(architecture: int, newest: int) -> Steps:
    """Kill a process that makes a call of another architecture; there are no calls from the number `newest` on.

    From here on the call's number is loaded.
    """
    return [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, architecture, then=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        # Numbers with this bit are calls of the x32 ABI, by which all others could be made.
        _step(_AT_LEAST, _X32, otherwise=1),
        _step(_RETURN, _KILL),
        _step(_AT_LEAST, newest, otherwise=1),
        _step(_RETURN, _ERROR | errno.ENOSYS),
    ]


def deny(number: int, error: int) -> Steps:
    """Refuse the call of that number with `error`."""
    return [_step(_EQUAL, number, otherwise=1), _step(_RETURN, _ERROR | error)]


def allow_if(number: int, conditions: Conditions) -> Steps:
    """Allow the call of that number unless `conditions` refuse it."""
    return [_step(_EQUAL, number, otherwise=len(conditions) + 1), *conditions, *end()]


def end() -> Steps:
    """Allow the call."""
    return [_step(_RETURN, _ALLOW)]


def no_bits(argument: int, bits: int = _ANY) -> Conditions:
    """Refuse a call whose argument in that place, a number of 32 bits, has one of `bits`."""
    return [_load(argument), _step(_ANY_BIT, bits, otherwise=1), _refuse()]


def some_bit(argument: int, bits: int) -> Conditions:
    """Refuse a call whose argument in that place has none of `bits`."""
    return [_load(argument), _step(_ANY_BIT, bits, then=1), _refuse()]


def no_pointer(argument: int) -> Conditions:
    """Refuse a call whose argument in that place, a number of 64 bits, is not zero."""
    return [*no_bits(argument), _load(argument, upper=True), _step(_EQUAL, 0, then=1), _refuse()]


def one_of(argument: int, *values: int) -> Conditions:
    """Refuse a call whose argument in that place, a number of 32 bits, is none of `values`."""
    tests = [_step(_EQUAL, value, then=len(values) - place) for place, value in enumerate(values)]
    return [_load(argument), *tests, _refuse()]


def when(argument: int, value: int, conditions: Conditions) -> Conditions:
    """Look at `conditions` only where the argument in that place is `value`."""
    return [_load(argument), _step(_EQUAL, value, otherwise=len(conditions)), *conditions]


def _load(argument: int, upper: bool = False) -> bytes:
    # Both architectures are little-endian. Of an argument of 32 bits the kernel looks at the lower half only, too.
    return _step(_LOAD, _ARGUMENTS + 8 * argument + 4 * upper)


def _refuse() -> bytes:
    return _step(_RETURN, _ERROR | errno.EPERM)


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)
