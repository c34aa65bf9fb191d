"""Room for uploads that nobody has shown a right to yet.

Specify 7 sends the file before the token (contract, section 1): until then an upload may be anybody's. All of these
together get a part of the disk and of the daemon's attention, and one client at most half of it.
"""

import time
from collections.abc import Callable

import attrs

from was_daemon.model.errors import Overloaded

_UNDISTURBED_SECONDS = 10.0
"""How long an upload may take its place in any case."""


@attrs.frozen
class UploadLimits:
    """Sizes are in bytes. `pending` counts uploads whose token has not arrived, `pending_size` what was received of
    them; `min_free` is to stay free on the file system that takes an upload."""

    max_size: int
    pending: int
    pending_size: int
    min_free: int


class Admission:
    """The uploads whose token has not arrived.

    When there is no room for another, the slowest of those that have had some time gives way: whoever takes places
    without using them is the first to lose them.
    """

    def __init__(self, limits: UploadLimits) -> None:
        self.limits = limits
        self._size = 0
        self._pending: set[Permit] = set()

    def enter(self, client: str, give_up: Callable[[], None]) -> "Permit":
        """Let in an upload of `client`, which `give_up` ends; raises `Overloaded`."""
        most = self.limits.pending
        own = {permit for permit in self._pending if permit.client == client}
        if len(own) >= max(1, most // 2):
            self._displace(own)
        elif len(self._pending) >= most:
            self._displace(self._pending)
        permit = Permit(self, client, give_up)
        self._pending.add(permit)
        return permit

    def _displace(self, pending: "set[Permit]") -> None:
        now = time.monotonic()
        slow = [permit for permit in pending if now - permit.begin > _UNDISTURBED_SECONDS]
        if not slow:
            raise Overloaded("too many uploads are under way")
        slowest = min(slow, key=lambda permit: permit.size / (now - permit.begin))
        slowest.release()
        slowest.give_up()

    def grow(self, size: int) -> None:
        """Count `size` more bytes on the disk; raises `Overloaded`."""
        if self._size + size > self.limits.pending_size:
            raise Overloaded("too much is being uploaded")
        self._size += size

    def leave(self, permit: "Permit") -> None:
        """Count an upload no more."""
        self._pending.discard(permit)
        self._size -= permit.size


class Permit:
    """One upload that was let in, until `release`. `size` counts its bytes; `begin` is on the monotonic clock."""

    def __init__(self, admission: Admission, client: str, give_up: Callable[[], None]) -> None:
        self.client = client
        self.give_up = give_up
        self.size = 0
        self.begin = time.monotonic()
        self._admission = admission
        self._released = False

    def grow(self, size: int) -> None:
        """Count `size` more bytes; raises `Overloaded`."""
        if self._released:
            raise Overloaded("too many uploads are under way")
        self._admission.grow(size)
        self.size += size

    def release(self) -> None:
        """The upload has shown its token, or is over; a second call does nothing."""
        if not self._released:
            self._released = True
            self._admission.leave(self)
