"""Decisions by hand about who may see originals, as commands and the console make them."""

import time
from collections.abc import Sequence

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.identities import Identity
from was_daemon.catalogue.visibility import Decision, decide

_PAGE_ROWS = 500
"""Decisions that one transaction records."""


async def decide_by_hand(
    catalogue: Catalogue, identities: Sequence[Identity], is_private: bool | None, reason: str | None
) -> None:
    """Decide that originals are private or public, or take decisions back if `is_private` is None.

    All daemons heed it within seconds. Raises `StoreUnavailable`.
    """
    decisions = [Decision(*identity, is_private, reason, time.time()) for identity in identities]
    for start in range(0, len(decisions), _PAGE_ROWS):
        await catalogue.run(decide, decisions[start : start + _PAGE_ROWS])
