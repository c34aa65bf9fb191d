"""Room for uploads that nobody has shown a right to yet.

Specify 7 sends the file before the token (contract, section 1): until then an upload may be anybody's. All of these
together get a part of the disk and of the daemon's attention, and one client at most half of it.
"""

from collections import Counter

import attrs

from was_daemon.errors import Overloaded


@attrs.frozen
class UploadLimits:
    """Sizes are in bytes. `pending` counts uploads whose token has not arrived, `pending_size` what was received of
    them; `min_free` is to stay free on the file system that takes an upload."""

    max_size: int = 4 << 30
    pending: int = 128
    pending_size: int = 16 << 30
    min_free: int = 256 << 20


class Admission:
    """The uploads whose token has not arrived."""

    def __init__(self, limits: UploadLimits) -> None:
        self.limits = limits
        self._size = 0
        self._clients: Counter[str] = Counter()

    def enter(self, client: str) -> "Permit":
        """Let in an upload of `client`; raises `Overloaded`."""
        most = self.limits.pending
        if self._clients.total() >= most or self._clients[client] >= max(1, most // 2):
            raise Overloaded("too many uploads are under way")
        self._clients[client] += 1
        return Permit(self, client)

    def grow(self, size: int) -> None:
        """Count `size` more bytes on the disk; raises `Overloaded`."""
        if self._size + size > self.limits.pending_size:
            raise Overloaded("too much is being uploaded")
        self._size += size

    def leave(self, client: str, size: int) -> None:
        """Count an upload of `client` and its `size` bytes no more."""
        self._size -= size
        self._clients -= Counter({client: 1})


class Permit:
    """One upload that was let in, until `release`."""

    def __init__(self, admission: Admission, client: str) -> None:
        self._admission = admission
        self._client = client
        self._size = 0
        self._released = False

    def grow(self, size: int) -> None:
        """Count `size` more bytes; raises `Overloaded`."""
        self._admission.grow(size)
        self._size += size

    def release(self) -> None:
        """The upload has shown its token, or is over; a second call does nothing."""
        if not self._released:
            self._released = True
            self._admission.leave(self._client, self._size)
