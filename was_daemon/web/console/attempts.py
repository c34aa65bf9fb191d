"""Slowing down of clients that guess the password."""

from collections import OrderedDict

import attrs
from twisted.internet.interfaces import IReactorTime

_FREE = 5
"""Wrong passwords that people may send before they have to wait."""

_FIRST_SECONDS, _LONGEST_SECONDS = 2.0, 300.0
_FORGET_SECONDS = 3600.0
_MOST = 1024
"""Addresses that are remembered. With more than these, all others together are one."""

_OTHERS = "others"


@attrs.define
class _Failures:
    number: int = 0
    last: float = 0.0


class Attempts:
    """Wrong passwords of each client address: the wait after one doubles, up to five minutes."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait(self, address: str) -> float:
        """Return for how many seconds no password of this address is looked at; 0 if it is."""
        failures = self._failures.get(self._name(address))
        if not failures or failures.number < _FREE:
            return 0.0
        # The exponent is bounded, as floats are.
        pause = min(_FIRST_SECONDS * 2.0 ** min(failures.number - _FREE, 16), _LONGEST_SECONDS)
        return max(0.0, failures.last + pause - self._clock.seconds())

    def failed(self, address: str) -> None:
        """Count a wrong password."""
        now = self._clock.seconds()
        self._forget(now)
        failures = self._failures.setdefault(self._name(address), _Failures())
        failures.number, failures.last = failures.number + 1, now
        self._failures.move_to_end(self._name(address))

    def succeeded(self, address: str) -> None:
        """Forget the wrong passwords of an address that has sent the right one."""
        self._failures.pop(address, None)

    def _name(self, address: str) -> str:
        return address if address in self._failures or len(self._failures) < _MOST else _OTHERS

    def _forget(self, now: float) -> None:
        while self._failures:
            oldest = next(iter(self._failures))
            if self._failures[oldest].last > now - _FORGET_SECONDS:
                return
            del self._failures[oldest]
