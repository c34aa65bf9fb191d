"""Changes of assets as the journal of a mirror has them, and their rows in it. Pure values."""

import enum
from collections.abc import Sequence

import attrs

from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.mirror import Action, CopiedVersion
from was_daemon.stores.layers.mirror.statements import StepRow, WaitingRow


@attrs.frozen
class Step:
    """The part of a change that concerns one asset, which is moved or copied from `source` if there is one."""

    key: AssetKey
    action: Action
    source: AssetKey | None = None


@attrs.frozen
class Begun:
    """A change under way: the numbers of its steps in the journal, and its time."""

    numbers: Sequence[int]
    steps: Sequence[Step]
    at: float


class Outcome(enum.Enum):
    """The result of a change in the primary."""

    MADE = "made"
    UNKNOWN = "unknown"
    NOT_MADE = "not made"


@attrs.frozen
class Ended:
    """A change that has ended; `size` is that of what was written."""

    begun: Begun
    outcome: Outcome
    size: int = 0


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


def place_of(key: AssetKey) -> tuple[str, str, str]:
    """Return collection, kind and name of an asset, as they are in the journal."""
    return key.collection, key.kind.value, key.name


def row_of(step: Step) -> StepRow:
    """Return a step as it is in the journal."""
    source = f"{step.source.kind.value}/{step.source.name}" if step.source else None
    return (*place_of(step.key), step.action.value, source)


def waiting_of(row: WaitingRow) -> Waiting:
    """Return the change in a row of the journal."""
    number, copy, collection, kind, name, action, source, is_done, attempts = row
    directory, _, moved = (source or "").partition("/")
    origin = AssetKey(collection, Kind(directory), moved) if moved else None
    key = AssetKey(collection, Kind(kind), name)
    return Waiting(number, copy, key, Action(action), origin, bool(is_done), attempts)
