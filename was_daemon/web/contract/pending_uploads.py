"""Limits on uploads whose token has not arrived.

Specify 7 sends the file before the token (contract, section 1): until then anybody may have sent the upload. All
pending uploads together get a limited number of places and bytes, and one client at most half of the places.
"""

import time
from collections.abc import Callable

import attrs

from was_daemon.model.errors import Overloaded

_PROTECTED_SECONDS = 10.0
"""Seconds for which a pending upload keeps its place in any case."""


@attrs.frozen
class UploadLimits:
    """Limits on uploads; sizes are in bytes.

    `max_size` is that of one upload; `pending` is the number of uploads whose token has not arrived, `pending_size` the
    bytes received of them; `min_free` is to stay free on the file system that an upload is written to.
    """

    max_size: int
    pending: int
    pending_size: int
    min_free: int


class PendingUploads:
    """The uploads whose token has not arrived.

    When there is no place for another, the slowest of those that have had some time is given up: a client that takes
    places without using them is the first to lose them.
    """

    def __init__(self, limits: UploadLimits) -> None:
        self.limits = limits
        self._size = 0
        self._pending: set[PendingUpload] = set()

    def add(self, client: str, give_up: Callable[[], None]) -> "PendingUpload":
        """Return a place for an upload of `client`, which `give_up` ends; raises `Overloaded`."""
        most = self.limits.pending
        own = {upload for upload in self._pending if upload.client == client}
        if len(own) >= max(1, most // 2):
            self._displace(own)
        elif len(self._pending) >= most:
            self._displace(self._pending)
        upload = PendingUpload(self, client, give_up)
        self._pending.add(upload)
        return upload

    def _displace(self, pending: "set[PendingUpload]") -> None:
        now = time.monotonic()
        slow = [upload for upload in pending if now - upload.begin > _PROTECTED_SECONDS]
        if not slow:
            raise Overloaded("too many uploads are under way")
        slowest = min(slow, key=lambda upload: upload.size / (now - upload.begin))
        slowest.release()
        slowest.give_up()

    def grow(self, size: int) -> None:
        """Count `size` more bytes of all pending uploads; raises `Overloaded`."""
        if self._size + size > self.limits.pending_size:
            raise Overloaded("too much is being uploaded")
        self._size += size

    def remove(self, upload: "PendingUpload") -> None:
        """Stop counting an upload and its bytes."""
        self._pending.discard(upload)
        self._size -= upload.size


class PendingUpload:
    """The place of one upload, until `release`; `size` counts its bytes, `begin` is on the monotonic clock."""

    def __init__(self, uploads: PendingUploads, client: str, give_up: Callable[[], None]) -> None:
        self.client = client
        self.give_up = give_up
        self.size = 0
        self.begin = time.monotonic()
        self._uploads = uploads
        self._released = False

    def grow(self, size: int) -> None:
        """Count `size` more bytes of this upload; raises `Overloaded`."""
        if self._released:
            raise Overloaded("too many uploads are under way")
        self._uploads.grow(size)
        self.size += size

    def release(self) -> None:
        """Give the place back: the token has arrived, or the upload is over. A second call does nothing."""
        if not self._released:
            self._released = True
            self._uploads.remove(self)
