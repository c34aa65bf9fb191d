"""How far the copies of mirrors follow, for `was-daemon status`."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from was_daemon.model.durations import in_words
from was_daemon.model.sizes import readable

if TYPE_CHECKING:
    from was_daemon.model.interfaces import IAssetStore


async def mirror_entries(stores: "Mapping[str, IAssetStore]", min_free: int) -> dict[str, Any]:
    """Return what each copy of each mirror lacks, and the space for its journal, by the names of the mirrors.

    A journal that is not there yet, or that cannot be read, is told by the check of its store. Fewer than `min_free`
    bytes are worth a warning.
    """
    import attrs

    from was_daemon.health.mirrors import copy_warnings, space_warning, stranger_warnings
    from was_daemon.model.errors import StoreUnavailable
    from was_daemon.model.mirror import IMirror

    found: dict[str, Any] = {}
    for name, store in stores.items():
        if not IMirror.providedBy(store) or not IMirror(store).journal.path.exists():
            continue
        mirror = IMirror(store)
        try:
            states, free = await mirror.states(), await mirror.journal.free()
            others = await mirror.journal.other_settings()
        except StoreUnavailable:
            continue
        low = space_warning(f"journal of {name}", free, min_free)
        found[name] = {
            "copies": {copy: attrs.asdict(state) for copy, state in states.items()},
            "journal": {"where": str(mirror.journal.path), "free_bytes": free},
            "warnings": [
                *copy_warnings(name, mirror, states),
                *stranger_warnings(name, others),
                *([low] if low else []),
            ],
        }
    return found


def mirror_warnings(mirrors: Mapping[str, Any]) -> list[str]:
    """Return the warnings in what `mirror_entries` has found."""
    return [warning for mirror in mirrors.values() for warning in mirror["warnings"]]


def mirror_lines(mirrors: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of `status` for what `mirror_entries` has found."""
    for name, mirror in mirrors.items():
        for copy, state in mirror["copies"].items():
            yield f"        copy of {name} in {copy}: {_told(state)}"
        journal = mirror["journal"]
        free = "" if journal["free_bytes"] is None else f", {readable(journal['free_bytes'])} free"
        yield f"        journal of {name}: {journal['where']}{free}"


def _told(state: Mapping[str, Any]) -> str:
    if not state["files"]:
        return "up to date"
    why = f", {state['problem']}" if state["problem"] else ""
    return f"{state['files']} changes ({readable(state['bytes'])}) wait, for {in_words(state['lag'])}{why}"
