"""Events in the life of an original, of which the catalogue's history consists."""

import enum
import time
from uuid import uuid4

import attrs

from was_daemon.model.digests import Digest
from was_daemon.model.keys import AssetKey
from was_daemon.model.origins import UNKNOWN_ORIGIN, Origin


class EventKind(enum.StrEnum):
    """Kind of an event; its value is the word in the database."""

    STORED = "stored"
    """A client has stored an original under a name that had none."""

    REPLACED = "replaced"
    """A client has stored an original in place of another one."""

    DELETED = "deleted"
    """A client has deleted the original."""

    QUARANTINED = "quarantined"
    """An original without a record in Specify was moved to the trash."""

    RESTORED = "restored"
    """A version was brought back from the trash, perhaps in place of another one."""

    FOUND = "found"
    """An original that came into the store without the daemon, or whose upload was interrupted, was read."""

    IMPORTED = "imported"
    """What another server has recorded of the original was entered."""

    LOST = "lost"
    """The store does not have an original that nobody has deleted through the daemon."""

    @property
    def has_content(self) -> bool:
        """Whether there is an original afterwards."""
        return self not in (EventKind.DELETED, EventKind.QUARANTINED, EventKind.LOST)

    @property
    def is_change(self) -> bool:
        """Whether a daemon has changed the original, and not only seen what is there."""
        return self not in (EventKind.FOUND, EventKind.LOST, EventKind.IMPORTED)


@attrs.frozen
class Event:
    """One event: what happened to the original `key` in the store called `store`, at the Unix time `at` in seconds.

    `source` names the event among those of all daemons, so that it is recorded once. `digest` is None where there is no
    original afterwards, and where nobody has read it.
    """

    source: str
    at: float
    kind: EventKind
    store: str
    key: AssetKey
    digest: Digest | None = None
    origin: Origin = UNKNOWN_ORIGIN

    @classmethod
    def new(
        cls,
        kind: EventKind,
        store: str,
        key: AssetKey,
        digest: Digest | None = None,
        origin: Origin = UNKNOWN_ORIGIN,
        at: float | None = None,
    ) -> "Event":
        """Return an event that happens now, or has happened at `at`."""
        return cls(uuid4().hex, time.time() if at is None else at, kind, store, key, digest, origin)
