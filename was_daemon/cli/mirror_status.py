"""How far the copies of mirrors follow, for `was-daemon status`."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from was_daemon.model.durations import in_words
from was_daemon.model.sizes import readable

if TYPE_CHECKING:
    from was_daemon.model.interfaces import IAssetStore


async def mirror_entries(stores: "Mapping[str, IAssetStore]") -> dict[str, Any]:
    """Return what each copy of each mirror lacks, by the names of the mirrors.

    A journal that is not there yet, or that cannot be read, is told by the check of its store.
    """
    import attrs

    from was_daemon.health.mirrors import copy_warnings
    from was_daemon.model.errors import StoreUnavailable
    from was_daemon.model.mirror import IMirror

    found: dict[str, Any] = {}
    for name, store in stores.items():
        if not IMirror.providedBy(store) or not IMirror(store).journal.path.exists():
            continue
        try:
            states = await IMirror(store).states()
        except StoreUnavailable:
            continue
        copies = {copy: attrs.asdict(state) for copy, state in states.items()}
        found[name] = {"copies": copies, "warnings": copy_warnings(name, IMirror(store), states)}
    return found


def mirror_warnings(mirrors: Mapping[str, Any]) -> list[str]:
    """Return the warnings in what `mirror_entries` has found."""
    return [warning for mirror in mirrors.values() for warning in mirror["warnings"]]


def mirror_lines(mirrors: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of `status` for what `mirror_entries` has found."""
    for name, mirror in mirrors.items():
        for copy, state in mirror["copies"].items():
            yield f"        copy of {name} in {copy}: {_told(state)}"


def _told(state: Mapping[str, Any]) -> str:
    if not state["files"]:
        return "up to date"
    why = f", {state['problem']}" if state["problem"] else ""
    return f"{state['files']} changes ({readable(state['bytes'])}) wait, for {in_words(state['lag'])}{why}"
