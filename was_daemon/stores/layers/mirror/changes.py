"""Changes of assets as the journal of a mirror has them. Pure values."""

from collections.abc import Sequence

import attrs

from was_daemon.model.keys import AssetKey
from was_daemon.model.mirror import Action, CopiedVersion


@attrs.frozen
class Step:
    """What a change does to one asset; `source` is the asset of the same collection that it is moved or copied from."""

    key: AssetKey
    action: Action
    source: AssetKey | None = None


@attrs.frozen
class Begun:
    """A change under way: the numbers of its steps in the journal, and its time."""

    numbers: Sequence[int]
    steps: Sequence[Step]
    at: float


@attrs.frozen
class Waiting:
    """A change that one copy lacks. Of several changes of an asset, the last one waits.

    `is_done` tells that the primary has made it: it is unknown of a change whose process was killed.
    """

    number: int
    copy: str
    key: AssetKey
    action: Action
    source: AssetKey | None
    is_done: bool
    attempts: int


@attrs.frozen
class Found:
    """Where an asset may be read that the primary does not give.

    `is_deleted` tells that its deletion is in the journal. `current` has the copies, in order, whose version is the
    last one that was stored, with that version, None where it is not known whether there is one. `is_stale` tells that
    a copy has an earlier version only.
    """

    is_deleted: bool = False
    current: Sequence[tuple[str, CopiedVersion | None]] = ()
    is_stale: bool = False
