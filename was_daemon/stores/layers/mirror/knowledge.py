"""What the journal of a mirror knows of assets and of copies.

Each function is a step of `was_daemon.concurrency.sqlite.Database`, which must see the file as it was at one moment:
another process may be moving a change from one table to the next.
"""

import sqlite3
from collections.abc import Collection, Mapping, Sequence

import attrs

from was_daemon.model.keys import AssetKey
from was_daemon.model.mirror import Action, CopiedVersion, CopyState, Known
from was_daemon.stores.layers.mirror import statements
from was_daemon.stores.layers.mirror.changes import Found, place_of


def find(connection: sqlite3.Connection, copies: Sequence[str], key: AssetKey, apart_from: Collection[int]) -> Found:
    """Return where an asset may be read that the primary does not give; see `MirrorJournal.find`."""
    place = place_of(key)
    waiting = statements.actions_waiting(connection, *place)
    begun = statements.actions_begun(connection, *place)
    under_way = {action for number, action in begun.items() if number not in apart_from}
    if Action.DELETE.value in under_way or any(action == Action.DELETE.value for action, _ in waiting.values()):
        return Found(is_deleted=True)
    # What is under way has most likely been made, and what is done certainly was.
    stale = {copy for copy in copies if under_way or waiting.get(copy, ("", False))[1]}
    versions = {copy: CopiedVersion(*row) for copy, *row in statements.copied(connection, *place)}
    compared = statements.compared(connection)
    current = [
        (copy, versions.get(copy))
        for copy in copies
        if copy not in stale and (copy in versions or copy not in compared)
    ]
    return Found(current=current, is_stale=any(copy in versions for copy in stale))


def look(connection: sqlite3.Connection, copy: str, key: AssetKey) -> Known:
    """Return what is known of an asset in a copy."""
    place = place_of(key)
    row = statements.copied_in(connection, copy, *place)
    version, run = (CopiedVersion(*row[:-1]), int(row[-1])) if row else (None, 0)
    return Known(version, _action_of(connection, copy, key), run)


def _action_of(connection: sqlite3.Connection, copy: str, key: AssetKey) -> Action | None:
    """Return what waits to be done with an asset in a copy, or is under way.

    A deletion counts also where an upload has begun after it, which may have been killed before the primary had it.
    """
    place = place_of(key)
    waiting = statements.actions_waiting(connection, *place)
    actions = {waiting[copy][0]} if copy in waiting else set()
    actions |= set(statements.actions_begun(connection, *place).values())
    return next((action for action in (Action.DELETE, Action.WRITE) if action.value in actions), None)


def note(
    connection: sqlite3.Connection, copy: str, key: AssetKey, before: Known, version: CopiedVersion, run: int
) -> bool:
    """Note the version of an asset in a copy, and return True, unless there was a change since `before` was known."""
    if look(connection, copy, key) != before:
        return False
    statements.set_copied(connection, copy, *place_of(key), attrs.astuple(version), run)
    return True


def is_deleted_since(connection: sqlite3.Connection, number: int, key: AssetKey) -> bool:
    """Return whether the change `number` of an asset waits no more, or somebody deletes the asset at this moment."""
    is_there = statements.is_waiting(connection, number)
    return not is_there or Action.DELETE.value in statements.actions_begun(connection, *place_of(key)).values()


def states(connection: sqlite3.Connection, copies: Sequence[str], now: float) -> Mapping[str, CopyState]:
    """Return what each copy lacks at the Unix time `now`."""
    return {copy: _state(connection, copy, now) for copy in copies}


def _state(connection: sqlite3.Connection, copy: str, now: float) -> CopyState:
    files, size, oldest, failing, lost, why = statements.summary(connection, copy)
    problem, compared = statements.copy_row(connection, copy)
    lag = max(0.0, now - oldest) if oldest is not None else 0.0
    return CopyState(files, size, lag, failing, lost, problem or why or "", compared)
